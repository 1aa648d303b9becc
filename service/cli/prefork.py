"""An early start of the forkserver: it loads the modules of the children while this process loads its own.

Each takes about a second. ``bootstrap`` alone would start the forkserver only after it is loaded itself; at the same
time, both take little more than one second.
"""

from __future__ import annotations

from service.processes import forkserver, preloaded


def begin() -> None:
    """Start the forkserver; ``bootstrap.open_core`` then finds it running."""
    forkserver.prepare(preloaded.MODULES)
