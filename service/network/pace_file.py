"""The pace file of one host: what the processes that send requests to it share.

The file is read and written, never mapped: a faulty process can spoil the pace of the others, but not crash them.
All processes read it under one lock, held for microseconds. Each process writes only its own row and holds a lock on
one byte while it lives; the kernel releases that lock however the process dies, and its row no longer counts.
Without a path no file is written, and pacing covers this process only.

Where services on several hosts share an installation, the service beside these processes borrows its part of the host
from the others and lends it to them: how many requests may be in flight, and until when they may start. In such a
folder is the pipe ``ASKS``, by which a process asks for more.

::

    free, paused, rows, places, until, -, -, -                         seconds of a clock that all processes share
    busy, limit, waiting since, seen, last, queued, shortest, longest  one row per process
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ASKS = "asks"
"""The pipe in a folder whose files are lent; each line is the name of a file."""
_LINE = struct.Struct("8d")
_HEAD = struct.Struct("3d")  # what any process writes of the first line
_LOCK = struct.Struct("hhqqi4x")
_FIRST_BYTE = 1 << 32  # locks are taken on bytes far behind the data
ROWS = 1000
"""The largest number of processes that can call one host at the same time."""


class Row(NamedTuple):
    """The state of one process: requests in flight, the strictest limit on them that it asks for, since when it waits
    for a turn (0: it does not wait), when it looked last, when its newest request starts, how many requests wait, and
    the shortest and the longest interval that they ask for."""

    busy: float = 0.0
    limit: float = 0.0
    since: float = 0.0
    seen: float = 0.0
    last: float = 0.0
    queued: float = 0.0
    shortest: float = 0.0
    longest: float = 0.0


class Lent(NamedTuple):
    """How many requests may be in flight, and the moment before which they must start."""

    places: float = 0.0
    until: float = 0.0


class HostState(NamedTuple):
    """When the next request may start, until when the host is paused, what is lent to all, and every row."""

    free: float
    paused: float
    lent: Lent
    rows: list[Row]


_UNBOUNDED = Lent(math.inf, math.inf)


class PaceFile:
    """The pace file of one host. Raises ``OSError`` if the file cannot be used.

    Who lends has no row of its own (``lends``).
    """

    def __init__(self, path: Path | None = None, *, lends: bool = False) -> None:
        self._asks = None if path is None else path.with_name(ASKS)
        self._name = "" if path is None else path.name
        self.is_lent = self._asks is not None and self._asks.exists()
        self._handle = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._memory = bytearray(2 * _LINE.size)
        self._known = False  # whether the file counts this process's row
        self._rows = 1
        self.own = -1 if lends else 0
        if self._handle is not None and not lends:
            self.own = self._claim_row(self._handle)
            self._rows = self.own + 1
            before = Row._make(_LINE.unpack_from(self._bytes(self._rows), self._rows * _LINE.size))
            self.put_row(Row(last=before.last))  # the process that had the row before is dead

    def _claim_row(self, handle: int) -> int:
        for row in range(ROWS):
            if self._byte(handle, fcntl.F_OFD_SETLK, row):
                return row
        os.close(handle)
        raise OSError(f"more than {ROWS} processes call one host")

    @staticmethod
    def _byte(handle: int, command: int, row: int) -> bool:
        """Take the lock of a row (``F_OFD_SETLK``), or test whether it is free (``F_OFD_GETLK``)."""
        wanted = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _FIRST_BYTE + row, 1, 0)
        try:
            answer = fcntl.fcntl(handle, command, wanted)
        except (BlockingIOError, PermissionError):
            return False
        return command == fcntl.F_OFD_SETLK or bool(_LOCK.unpack(answer)[0] == fcntl.F_UNLCK)

    def lock(self) -> bool:
        """Try to take the lock; whether it is held now."""
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
        """Read the file. Call it under the lock."""
        found = list(_LINE.iter_unpack(self._bytes(self._rows)))
        rows = int(found[0][2]) if 0 <= found[0][2] <= ROWS else 0
        self._known = rows > self.own
        if rows > self._rows:
            self._rows = rows
            found = list(_LINE.iter_unpack(self._bytes(rows)))
        lent = (
            Lent(*(value if 0 <= value < math.inf else 0.0 for value in found[0][3:5])) if self.is_lent else _UNBOUNDED
        )
        return HostState(found[0][0], found[0][1], lent, [Row._make(line) for line in found[1:]])

    def _bytes(self, rows: int) -> bytes:
        size = (1 + rows) * _LINE.size
        data = bytes(self._memory) if self._handle is None else os.pread(self._handle, size, 0)
        return data.ljust(size, b"\0")

    def write(self, free: float, paused: float) -> None:
        """Write the times for all processes. Call it under the lock, after ``read``."""
        self._put(0, _HEAD.pack(free, paused, self._rows))
        self._known = True

    def lend(self, lent: Lent, free: float, paused: float) -> None:
        """Let the processes have so much of the host from now on. Call it under the lock, after ``read``."""
        self._put(0, _LINE.pack(free, paused, self._rows, *lent, 0.0, 0.0, 0.0))

    def ask(self) -> None:
        """Ask who lends to look at this file. Nobody is there while the service starts or ends: then ask again."""
        with suppress(OSError):
            pipe = os.open(str(self._asks), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(pipe, f"{self._name}\n".encode())
            finally:
                os.close(pipe)

    @property
    def known(self) -> bool:
        """Whether the others read this process's row already; ``write`` makes them do so."""
        return self._known

    def put_row(self, row: Row) -> None:
        """Write this process's row; the lock is not needed."""
        self._put(1 + self.own, _LINE.pack(*row))

    def _put(self, line: int, data: bytes) -> None:
        if self._handle is None:
            self._memory[line * _LINE.size : line * _LINE.size + len(data)] = data
        else:
            os.pwrite(self._handle, data, line * _LINE.size)

    def alive(self, row: int) -> bool:
        """Whether the process of that row is alive."""
        return row == self.own or (self._handle is not None and not self._byte(self._handle, fcntl.F_OFD_GETLK, row))

    def close(self) -> None:
        """Release the row. Safe to call again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
