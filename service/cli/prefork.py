"""Early: the forkserver begins to load what children need while this process still loads its own.

Either takes about a second. One after the other, as ``bootstrap`` alone would have them (it cannot begin before it is
itself loaded), a start takes both; side by side it takes little more than one.
"""

from __future__ import annotations

from service.processes import child, preloaded


def begin() -> None:
    """Start the forkserver; ``bootstrap.open_core`` then finds it running."""
    child.prepare(preloaded.MODULES)
