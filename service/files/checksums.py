"""Checksums of stored files, computed once a process: neither Parquet nor DuckDB detects a flipped bit by itself."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

_BLOCK = 4 << 20
_MOST = 100_000  # files that are remembered
_Stamp = tuple[int, int, int, int]


def sha256(path: Path) -> str:
    """The SHA-256 of a file as hexadecimal text. Raises ``OSError``."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class Checksums:
    """Compares files with their recorded sizes and checksums.

    The size is compared at each call. The checksum is computed once for an inode, its size and time of modification, so
    that a check of a known file, or of a link to it in another version, costs one ``stat``. Threads may share it.
    """

    def __init__(self) -> None:
        self._known: dict[_Stamp, str] = {}
        self._hashing: dict[_Stamp, threading.Lock] = {}

    def fault(self, path: Path, size: int, checksum: str) -> str | None:
        """What is wrong with the file, or None. An empty ``checksum`` compares the size alone."""
        try:
            status = path.stat()
            if status.st_size != size:
                return f"{path.name} has {status.st_size} bytes instead of {size}"
            if not checksum:
                return None
            stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if self._checksum(str(path), stamp) != checksum:
                return f"{path.name} has another checksum than when it was written"
        except OSError as error:
            return f"{path.name} cannot be read ({error.strerror})"
        return None

    def _checksum(self, path: str, stamp: _Stamp) -> str:
        known = self._known.get(stamp)
        if known is not None:
            return known
        with self._hashing.setdefault(stamp, threading.Lock()):
            known = self._known.get(stamp)
            if known is not None:
                return known
            if len(self._known) >= _MOST:
                self._known.clear()
                self._hashing.clear()
            found = self._known[stamp] = sha256(Path(path))
            return found
