"""A pipe from a child to its parent, for bytes in large pieces that no message should carry.

The child makes a named pipe in its private folder and says so; opening it waits until the parent has opened it, too.
Then the name goes, so that nothing of it is left in the folder.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import stat
import termios
from pathlib import Path
from typing import BinaryIO

NAME = "stream"
_CAPACITY = 1 << 20
_LARGE = _CAPACITY // 2
_PAUSE, _SHORT = 0.002, 0.001  # seconds in which a busy child, and a fast one, fills about half of the pipe


def make(folder: Path) -> Path:
    """Make the pipe in the child's folder; tell the parent, then ``open_to_write``."""
    path = folder / NAME
    os.mkfifo(path, 0o600)
    return path


def open_to_write(path: Path) -> BinaryIO:
    """The child's end, once the parent has opened its own."""
    handle = path.open("wb", buffering=0)
    path.unlink()
    return handle


class Pipe:
    """The parent's end; it belongs to the event loop."""

    def __init__(self, folder: Path) -> None:
        """Open the pipe that a child made in ``folder``. Raises ``OSError``, also if something else is there."""
        self._handle = os.open(folder / NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISFIFO(os.fstat(self._handle).st_mode):
                raise OSError("the child did not make a pipe")
        except BaseException:
            os.close(self._handle)
            raise
        with contextlib.suppress(OSError):  # the user's pipes have too many pages together
            fcntl.fcntl(self._handle, fcntl.F_SETPIPE_SZ, _CAPACITY)
        self._pause = 0.0  # none before the first piece

    async def read(self) -> bytes:
        """The next bytes; none when the child has closed its end. Call it after ``close`` and it raises ``OSError``."""
        await self._readable()
        if self._pause and self._waiting_bytes() < _LARGE:
            await asyncio.sleep(self._pause)  # few large pieces cost less than many small ones
        part = os.read(self._handle, _CAPACITY)
        self._pause = _SHORT if len(part) >= _LARGE else _PAUSE
        return part

    def close(self) -> None:
        """Close the end; safe to call again."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def _waiting_bytes(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self._handle, termios.FIONREAD, count)
        return count[0]

    async def _readable(self) -> None:
        loop, handle, ready = asyncio.get_running_loop(), self._handle, asyncio.Event()
        loop.add_reader(handle, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(handle)
