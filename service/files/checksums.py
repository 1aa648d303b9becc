"""Checksums of stored files, computed once a process: neither Parquet nor DuckDB detects a flipped bit by itself."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from pathlib import Path

_MOST = 100_000  # files that are remembered
_LOOK_SECONDS = 0.05  # between two looks at the end of a file that is being written
_AT_ONCE = 256 * 1024  # bytes

_Inode = tuple[int, int]  # device and number
_Stamp = tuple[int, int]  # size in bytes and time of modification in ns


def sha256(path: Path) -> str:
    """The SHA-256 of a file as hexadecimal text. Raises ``OSError``."""
    with path.open("rb", buffering=0) as handle:
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return hashlib.file_digest(handle, "sha256").hexdigest()  # through one small buffer


class Following:
    """The SHA-256 of a file that is being written, computed beside the writing.

    A thread follows the end of the file while its bytes are still in memory, so that nobody waits for a second reading.
    The writer only appends. If the file at the end is another one, or has another size, it is read again.
    """

    def __init__(self, path: Path) -> None:
        """``path`` may not exist yet; it does when the context ends without an error."""
        self._path = path
        self._digest = hashlib.sha256()
        self._status: os.stat_result | None = None  # of the file that was read, at its end
        self._read = 0
        self._written = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="checksum", daemon=True)

    def __enter__(self) -> Following:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._written.set()
        self._thread.join()

    def hexdigest(self) -> str:
        """The SHA-256 of the whole file as hexadecimal text, after the context. Raises ``OSError``."""
        read, status = self._status, self._path.stat()
        same = read is not None and (read.st_dev, read.st_ino) == (status.st_dev, status.st_ino)
        return self._digest.hexdigest() if same and self._read == status.st_size else sha256(self._path)

    def _follow(self) -> None:
        while not self._path.exists() and not self._written.wait(_LOOK_SECONDS):
            pass
        with contextlib.suppress(OSError), self._path.open("rb", buffering=0) as handle:
            buffer = memoryview(bytearray(_AT_ONCE))
            is_complete = False
            while not is_complete:
                is_complete = self._written.wait(_LOOK_SECONDS)
                while size := handle.readinto(buffer):
                    self._digest.update(buffer[:size])
                    self._read += size
            self._status = os.fstat(handle.fileno())


class Checksums:
    """Compares files with their recorded sizes and checksums.

    The size is compared at each call. The checksum is computed again only if the size or the time of modification of
    the inode changed, so that a check of a known file costs one ``stat``, also under another name (a hard link in a
    later version). A file that was replaced by a link, a folder or a pipe is damaged. Threads may share it.
    """

    def __init__(self) -> None:
        self._known: dict[_Inode, tuple[_Stamp, str]] = {}
        self._hashing: dict[_Inode, threading.Lock] = {}

    def fault(self, path: Path, size: int, checksum: str) -> str | None:
        """What is wrong with the file, or None. An empty ``checksum`` compares the size alone."""
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                return f"{path.name} is not a regular file"
            if status.st_size != size:
                return f"{path.name} has {status.st_size} bytes instead of {size}"
            if not os.access(path, os.R_OK):  # one whose checksum is known is opened by a child alone
                return f"{path.name} cannot be read ({os.strerror(errno.EACCES)})"
            if checksum and self._checksum(path, status) != checksum:
                return f"{path.name} has another checksum than when it was written"
        except OSError as error:
            return f"{path.name} cannot be read ({error.strerror})"
        return None

    def remember(self, handle: int, size: int, checksum: str) -> None:
        """Note the checksum of an open file, of which ``size`` bytes were read, in place of an earlier one."""
        status = os.fstat(handle)
        if status.st_size == size:
            self._known[status.st_dev, status.st_ino] = ((status.st_size, status.st_mtime_ns), checksum)

    def is_known(self, path: str, size: int, checksum: str) -> bool:
        """Whether the file is as it was recorded, without reading it; False may also mean that nobody has read it."""
        try:
            status = os.lstat(path)
        except OSError:
            return False
        known = self._known.get((status.st_dev, status.st_ino))
        stamp = (size, status.st_mtime_ns)
        return known == (stamp, checksum) and status.st_size == size and stat.S_ISREG(status.st_mode)

    def _checksum(self, path: Path, status: os.stat_result) -> str:
        inode, stamp = (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)
        known = self._known.get(inode)
        if known is not None and known[0] == stamp:
            return known[1]
        with self._hashing.setdefault(inode, threading.Lock()):
            known = self._known.get(inode)
            if known is not None and known[0] == stamp:
                return known[1]
            if len(self._known) >= _MOST:
                self._known.clear()
                self._hashing.clear()
            found = sha256(path)
            self._known[inode] = (stamp, found)
            return found
