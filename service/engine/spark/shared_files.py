"""Shared files: a folder that executors read and write, too, with the files of one operation."""

from __future__ import annotations

import itertools
import shutil
import weakref
from pathlib import Path

_numbers = itertools.count(1)


class SharedFiles:
    """A new folder in that of the run, removed with the last frame that reads its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / f"spark-{next(_numbers)}"
        self.path.mkdir()
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)
