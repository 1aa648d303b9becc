"""The reserve: disk space of the data directory that is kept for what frees space or lets somebody in.

Without it nobody can log in to a full disk and delete what fills it. It is a file whose blocks are allocated and mean
nothing. A write that may use it, and finds the disk full, gets a slice of it and is tried again; what it leaves goes
back to the reserve at once, before others fill it. The rest is taken back when there is room. Methods block, and may be
called by any thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import structlog

from service.kit import errors

SIZE = 8 << 20
SLICE = 256 << 10
_SHARE = 16  # at most this part of a small disk
_ROOM = 2  # the reserve is taken where this many times its size is free: nobody should run short because of it

_log = structlog.get_logger("penstock.disk")

T = TypeVar("T")


class Reserve:
    """The reserve in the file ``path``. On a disk without room for it there is none until there is, which is logged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._short = True
        self.take()
        if self._short:
            _log.warning(
                "disk.reserve_short", file=path.name,
                hint="without it log-ins and deletions fail while the disk is full; make room, and it is taken back",
            )  # fmt: skip

    def take(self) -> None:
        """Allocate what the reserve lacks, if there is room for it. Does not wait for who uses it."""
        if self._short and self._lock.acquire(blocking=False):
            try:
                self._short = not self._allocate(whole=True)
            finally:
                self._lock.release()

    def spend(self, work: Callable[[], T]) -> T:
        """The result of ``work``, which gets slices of the reserve while it finds the disk full, and is repeated.

        Raises what it raises: STORAGE_FULL too, when nothing of the reserve is left.
        """
        try:
            return work()
        except errors.Unavailable as error:
            if error.error_code != "STORAGE_FULL":
                raise
            full = error
        with self._lock:
            try:
                while self._give():
                    try:
                        return work()
                    except errors.Unavailable as error:
                        if error.error_code != "STORAGE_FULL":
                            raise
                raise full
            finally:
                self._allocate(whole=False)

    def _give(self) -> bool:
        """Give up a slice. Returns whether there was something left to give up."""
        try:
            with self._opened() as handle:
                size = os.fstat(handle).st_size
                os.truncate(handle, max(size - SLICE, 0))
        except OSError:  # something else has the name
            return False
        if not self._short:
            _log.warning("disk.reserve_used", file=self._path.name, hint="the disk is full; make room")
        self._short = True
        return size > 0

    def _allocate(self, *, whole: bool) -> bool:
        """Allocate what the reserve lacks; unless ``whole``, also what fits of it. Returns whether it is whole."""
        try:
            with self._opened() as handle:
                space, held = os.fstatvfs(handle), os.fstat(handle).st_blocks * 512
                size = min(SIZE, space.f_blocks * space.f_frsize // _SHARE // SLICE * SLICE)
                room = space.f_bavail * space.f_frsize
                enough = room >= (size - held) * _ROOM
                if enough or not whole:
                    target = size if enough else min(size, held + room)
                    os.truncate(handle, target)
                    os.posix_fallocate(handle, 0, target)
                return enough
        except OSError:  # the disk is full, or something else has the name
            return False

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(handle, 0o600)
            yield handle
        finally:
            os.close(handle)
