"""When DuckDB may checkpoint by itself: a checkpoint that finds the disk full leaves an instance that nobody can use.

It writes at most what the catalog and its write-ahead log have together. While the disk has less room, the log grows.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

NEVER = "1TB"
"""The setting ``checkpoint_threshold`` of a catalog that is being opened, or has little room."""
_USUAL = "16MB"
_SPARE = 4 << 20  # for others who write meanwhile


class Checkpoints:
    """The checkpoints of the catalog ``path``; of one in memory (None) there are none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._allowed = False

    def follow(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Let the commits that follow checkpoint, or not, as the disk has room."""
        if self._path is None or self._allowed == (has_room := _has_room(self._path)):
            return
        cursor.execute(f"SET GLOBAL checkpoint_threshold = '{_USUAL if has_room else NEVER}'")
        self._allowed = has_room


def _has_room(path: Path) -> bool:
    try:
        space = os.statvfs(path)
        log = Path(f"{path}.wal")
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize >= size + _SPARE
