"""A lock on a directory, held by a process: the kernel gives it back when the process ends, in whatever way."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from service.kit import errors


@contextlib.contextmanager
def locked(path: Path, busy: str, field: str) -> Iterator[None]:
    """Create the directory with mode 0700 if it is missing, and keep others who lock it out.

    Raises ``errors.Conflict`` (with the message ``busy`` and ``field``) while another one has the lock, ``OSError`` if
    the directory cannot be made or opened. A file system without locks keeps nobody out.
    """
    while True:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _lock(handle, busy, field)
            if _is_at(handle, path):  # else the one who had the lock has removed the directory
                yield
                return
        finally:
            os.close(handle)


def _lock(handle: int, busy: str, field: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise errors.Conflict(busy, field=field) from None
    except OSError:
        pass  # a file system without locks


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
