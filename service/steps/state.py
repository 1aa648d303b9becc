"""State: what a collector remembers from one version to the next. It moves with the version, or not at all.

It is files. A run finds those that the newest version has, and leaves those that its own version is to have: new ones
in a folder of its own, and the names of earlier ones that stay as they are, which cost nothing to keep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class State:
    """One collector's. ``folder`` takes the new files (it may not exist yet), ``earlier`` has those of the newest
    version (None: there are none), ``stays`` takes the names of those that are to stay."""

    folder: Path
    earlier: Path | None = None
    stays: list[str] = field(default_factory=list)
