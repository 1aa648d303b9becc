"""A queue of bytes between a worker and a client who reads more slowly: in memory, then on disk.

The parts of an answer wait in memory while the client keeps up. When the worker has waited for the client for a second
in all, parts go to files as fast as the worker makes them, so that it is free for others. The files have no names: they
end with the process, however it ends. Where the disk's part for spools is used up, or the disk is full, the worker
waits for the client, who must then read with some speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import deque
from pathlib import Path
from typing import BinaryIO

import structlog

from service.files import disk
from service.kit import errors

_MEMORY_BYTES = 2 << 20
_SEGMENT_BYTES = 64 << 20
_PATIENCE = 1.0
"""Seconds that a worker waits for its client before parts go to disk."""
_WINDOW_SECONDS = 30.0
_LEAST_RATE = 64 << 10
"""Bytes a second that a client must read, over a window, while a worker waits for him."""

_log = structlog.get_logger("penstock.spool")


class SpoolDisk:
    """The disk that spools may use: ``most_bytes`` in all, ``per_caller`` for those of one caller, in ``folder``."""

    def __init__(self, folder: Path, most_bytes: int, per_caller: int) -> None:
        self.folder = folder
        self._most = most_bytes
        self._each = per_caller
        self._used: dict[str, int] = {}

    def take(self, who: str, size: int) -> bool:
        """Whether ``who`` gets ``size`` bytes; give them back."""
        mine = self._used.get(who, 0)
        if mine + size > self._each or sum(self._used.values()) + size > self._most:
            return False
        self._used[who] = mine + size
        return True

    def give(self, who: str, size: int) -> None:
        """Give bytes back."""
        left = self._used.get(who, 0) - size
        if left > 0:
            self._used[who] = left
        else:
            self._used.pop(who, None)


class _Segment:
    """A file with the bytes of consecutive parts; reading and writing block."""

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by ``close``
        self.sizes: deque[int] = deque()
        self.written = 0
        self._read = 0

    def append(self, part: bytes) -> None:
        self._file.seek(self.written)
        left = memoryview(part)
        while left:
            left = left[self._file.write(left) :]
        self.written += len(part)
        self.sizes.append(len(part))

    def take(self) -> bytes:
        self._file.seek(self._read)
        part = self._file.read(self.sizes.popleft())
        self._read += len(part)
        return part

    def close(self) -> None:
        self._file.close()


class Spool:
    """The queue of one answer, of one writer and one reader."""

    def __init__(self, space: SpoolDisk, who: str) -> None:
        self._space = space
        self._who = who
        self._memory: deque[bytes] = deque()
        self._held = 0  # bytes in memory
        self._segments: deque[_Segment] = deque()
        self._using = asyncio.Lock()  # of the files, which threads read and write
        self._changed = asyncio.Event()
        self._waited = 0.0
        self._window: tuple[float, int] | None = None  # since when the writer waits, and what was read by then
        self._taken = 0  # bytes that were read
        self._made_room = 0  # how often the reader, or the end of it, has made room
        self._end: BaseException | None = None
        self._has_ended = False
        self._is_closed = False

    async def put(self, part: bytes) -> None:
        """Add a part; waits while there is no room.

        Raises ``errors.TimedOut`` if the client hardly reads meanwhile.
        """
        self._window = None
        while not self._is_closed:
            before = self._made_room
            if not self._segments and await self._has_room(len(part)):
                self._memory.append(part)
                self._held += len(part)
                break
            # A thread that writes is waited for, also by ``close``, when nobody waits for the part any more.
            if await asyncio.shield(asyncio.ensure_future(self._to_disk(part))):
                break
            if self._made_room == before:  # else the change that is waited for has come meanwhile
                await self._see_reading()
        self._changed.set()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing follows: the reader gets the end, or the error, after what was added."""
        self._end, self._has_ended = error, True
        self._changed.set()

    async def get(self) -> bytes | None:
        """The next part, or None at the end or when it is closed. Raises the error that the writer ended with."""
        while True:
            if self._memory:
                part = self._memory.popleft()
                self._held -= len(part)
                break
            if self._segments:
                found = await asyncio.shield(asyncio.ensure_future(self._from_disk()))
                if found is None:
                    self._make_room()  # a writer may wait for the end of the files
                    continue
                part = found
                break
            if self._has_ended or self._is_closed:
                if self._end is not None:
                    raise self._end
                return None
            self._changed.clear()
            await self._changed.wait()
        self._taken += len(part)
        self._make_room()
        return part

    async def close(self) -> None:
        """Drop what was not read, and its files."""
        self._is_closed = True
        self._memory.clear()
        async with self._using:
            while self._segments:
                self._drop()
        self._make_room()

    def _make_room(self) -> None:
        self._made_room += 1
        self._changed.set()

    async def _has_room(self, size: int) -> bool:
        """Whether memory has room for a part; waits for it as long as patience lasts."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self._memory and self._held + size > _MEMORY_BYTES:
            left = _PATIENCE - self._waited - (loop.time() - began)
            if left <= 0:
                break
            await self._change(left)
        self._waited += loop.time() - began
        return not self._memory or self._held + size <= _MEMORY_BYTES

    async def _see_reading(self) -> None:
        """Wait for a change, while the client reads with the least rate. Raises ``errors.TimedOut``."""
        loop = asyncio.get_running_loop()
        since, taken = self._window or (loop.time(), self._taken)
        if loop.time() - since >= _WINDOW_SECONDS:
            if self._taken - taken < _WINDOW_SECONDS * _LEAST_RATE:
                raise errors.TimedOut(
                    f"the answer was read with less than {_LEAST_RATE >> 10} KiB a second for {_WINDOW_SECONDS:g} s; "
                    "read faster, or ask for less"
                )
            since, taken = loop.time(), self._taken
        self._window = since, taken
        await self._change(since + _WINDOW_SECONDS - loop.time())

    async def _change(self, seconds: float) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    async def _to_disk(self, part: bytes) -> bool:
        """Write a part to the last file; False if there is no disk for it."""
        async with self._using:
            try:
                segment = self._segment_for(len(part))
                if segment is None:
                    return False
                await asyncio.to_thread(segment.append, part)
                if segment is self._segments[0] and segment.written == len(part):
                    _log.info("spool.begun", caller=self._who)
            except OSError as error:
                if not disk.is_full(error):
                    raise
                if self._segments and not self._segments[-1].written:
                    self._drop(-1)
                return False
            return True

    def _segment_for(self, size: int) -> _Segment | None:
        """The file that takes the next part; None if there is no disk for another one."""
        if self._segments and self._segments[-1].written + size <= _SEGMENT_BYTES:
            return self._segments[-1]
        if self._is_closed or not self._space.take(self._who, _SEGMENT_BYTES):
            return None
        try:
            self._segments.append(_Segment(self._space.folder))
        except OSError:
            self._space.give(self._who, _SEGMENT_BYTES)
            raise
        return self._segments[-1]

    async def _from_disk(self) -> bytes | None:
        """The oldest part on disk. Files that were read go."""
        async with self._using:
            while self._segments:
                if self._segments[0].sizes:
                    return await asyncio.to_thread(self._segments[0].take)
                self._drop()
            return None

    def _drop(self, place: int = 0) -> None:
        self._segments[place].close()
        del self._segments[place]
        self._space.give(self._who, _SEGMENT_BYTES)
