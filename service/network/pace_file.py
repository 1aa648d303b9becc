"""Ledger: what the processes that ask one host tell each other, in one small file.

The file is read and written, never mapped: a process that goes wrong can spoil the pace of the others, but not kill
them. All look at it under one lock of microseconds. Each process has a row that only it writes, and holds a lock on
a byte for as long as it lives: the kernel releases that whatever the process dies of, and its row counts no more.
Without a path there is no file, and only this process's row.

::

    free, paused, rows, -, -                        seconds of a clock that all share; how many rows were ever used
    on their way, limit, waiting since, seen, last  one row a process
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import NamedTuple

_LINE = struct.Struct("5d")
_LOCK = struct.Struct("hhqqi4x")
_FIRST_BYTE = 1 << 32  # locks lie where no data does
ROWS = 1000
"""Processes that can ask one host at the same time."""


class Row(NamedTuple):
    """One process: its requests on their way, the fewest at once that it wants kept to, since when it waits for a
    turn (0: it does not) and when it looked last, and when its newest request went or goes out."""

    busy: float = 0.0
    limit: float = 0.0
    since: float = 0.0
    seen: float = 0.0
    last: float = 0.0


class HostState(NamedTuple):
    """When the next request may go out, until when nobody asks, and every row."""

    free: float
    paused: float
    rows: list[Row]


class PaceFile:
    """One host's. Raises ``OSError`` where the file cannot be used."""

    def __init__(self, path: Path | None = None) -> None:
        self._handle = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._memory = bytearray(2 * _LINE.size)
        self._known = False  # whether the file says that our row is in use
        self._rows = 1
        self.own = 0
        if self._handle is not None:
            self.own = self._claimed(self._handle)
            self._rows = self.own + 1
            before = Row._make(_LINE.unpack_from(self._bytes(self._rows), self._rows * _LINE.size))
            self.tell(Row(last=before.last))  # whoever had it before us is dead

    def _claimed(self, handle: int) -> int:
        for row in range(ROWS):
            if self._byte(handle, fcntl.F_OFD_SETLK, row):
                return row
        os.close(handle)
        raise OSError(f"more than {ROWS} processes ask one host")

    @staticmethod
    def _byte(handle: int, command: int, row: int) -> bool:
        """Take the lock of a row, or look whether it is free."""
        wanted = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _FIRST_BYTE + row, 1, 0)
        try:
            answer = fcntl.fcntl(handle, command, wanted)
        except (BlockingIOError, PermissionError):
            return False
        return command == fcntl.F_OFD_SETLK or bool(_LOCK.unpack(answer)[0] == fcntl.F_UNLCK)

    def lock(self) -> bool:
        """Whether the lock was free, and is held now."""
        if self._handle is None:
            return True
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        if self._handle is not None:
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def read(self) -> HostState:
        """What is written. Under the lock."""
        found = list(_LINE.iter_unpack(self._bytes(self._rows)))
        rows = int(found[0][2]) if 0 <= found[0][2] <= ROWS else 0
        self._known = rows > self.own
        if rows > self._rows:
            self._rows = rows
            found = list(_LINE.iter_unpack(self._bytes(rows)))
        return HostState(found[0][0], found[0][1], [Row._make(line) for line in found[1:]])

    def _bytes(self, rows: int) -> bytes:
        size = (1 + rows) * _LINE.size
        data = bytes(self._memory) if self._handle is None else os.pread(self._handle, size, 0)
        return data.ljust(size, b"\0")

    def write(self, free: float, paused: float) -> None:
        """The times for all. Under the lock, after ``read``."""
        self._put(0, _LINE.pack(free, paused, self._rows, 0.0, 0.0))
        self._known = True

    @property
    def known(self) -> bool:
        """Whether the others look at our row already: ``write`` makes them."""
        return self._known

    def tell(self, row: Row) -> None:
        """This process's row; the lock is not needed."""
        self._put(1 + self.own, _LINE.pack(row.busy, row.limit, row.since, row.seen, row.last))

    def _put(self, line: int, data: bytes) -> None:
        if self._handle is None:
            self._memory[line * _LINE.size : (line + 1) * _LINE.size] = data
        else:
            os.pwrite(self._handle, data, line * _LINE.size)

    def alive(self, row: int) -> bool:
        """Whether the process of that row lives."""
        return row == self.own or (self._handle is not None and not self._byte(self._handle, fcntl.F_OFD_GETLK, row))

    def close(self) -> None:
        """Give the row back. Safe to call again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
