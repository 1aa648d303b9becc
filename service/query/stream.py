"""The bodies of streaming answers. However one ends, it ends its worker.

A task takes the parts from the worker as fast as it makes them and puts them into a spool, from which the client reads,
so that a slow client holds no worker. The worker's own time counts towards the deadline of the query; a limit on the
total time counts the client's, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from service.kit import caller
from service.processes.pipe import Pipe
from service.processes.places import Place, Places
from service.query.spool import Spool, SpoolDisk
from service.sandbox.duckdb_errors import timed_out


class Finish:
    """Gives a worker back, once: afterwards it may work for another query."""

    def __init__(self, act: Callable[..., None]) -> None:
        self._act: Callable[..., None] | None = act

    def __call__(self, *, free: bool = False) -> None:
        act, self._act = self._act, None
        if act is not None:
            act(free=free)


class Streams:
    """The streams that clients read at present: how many there may be, the disk of their spools, and their time."""

    def __init__(self, places: Places, disk: SpoolDisk, seconds: float) -> None:
        self._places = places
        self._disk = disk
        self._seconds = seconds

    @property
    def waiting(self) -> int:
        """How many queries wait for a place among the streams."""
        return self._places.waiting

    async def place(self, seconds: float) -> Place:
        """A place for a stream, within ``seconds``; release it if no stream comes. Raises ``errors.Unavailable``."""
        return await self._places.take(caller.current(), seconds)

    def opened(
        self, parts: AsyncIterator[bytes], pipe: Pipe, place: Place, *, finish: Finish, seconds: float
    ) -> Stream:
        """The stream of the ``parts`` that come out of ``pipe``; it ends both, and its place."""
        spool = Spool(self._disk, caller.current())
        stream = Stream(parts, spool, finish=finish, ended=place.release, seconds=seconds, total_seconds=self._seconds)
        stream.pump.add_done_callback(lambda _: pipe.close())  # not before, since the task may wait for the pipe
        return stream


class Stream:
    """An async iterator of bytes, read from ``parts`` through ``spool``.

    ``finish`` is called once the worker is done, and at the end; ``ended`` once, at the end: all was read, an error,
    ``aclose`` or the total limit.
    """

    def __init__(
        self, parts: AsyncIterator[bytes], spool: Spool, *, finish: Finish, ended: Callable[[], None],
        seconds: float, total_seconds: float,
    ) -> None:  # fmt: skip
        self._spool = spool
        self._finish = finish
        self._ended: Callable[[], None] | None = ended
        self._failure: Exception | None = None
        self.pump = asyncio.create_task(self._fill(parts, seconds))
        self._expiry = asyncio.create_task(self._expire(total_seconds))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._failure is not None:
            raise self._failure
        if self._ended is None:
            raise StopAsyncIteration
        try:
            part = await self._spool.get()
        except BaseException:
            await self.aclose()
            raise
        if part is None:
            await self.aclose()
            raise self._failure or StopAsyncIteration
        return part

    async def aclose(self) -> None:
        """End the worker, if it still works: the client reads no further."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        if self._expiry is not asyncio.current_task():
            self._expiry.cancel()
        self.pump.cancel()
        self._finish()
        await asyncio.gather(self.pump, return_exceptions=True)
        await self._spool.close()
        ended()

    async def _fill(self, parts: AsyncIterator[bytes], seconds: float) -> None:
        loop, left = asyncio.get_running_loop(), seconds
        try:
            while True:
                began = loop.time()
                async with asyncio.timeout(max(left, 0.0)):
                    part = await anext(parts, None)
                left -= loop.time() - began
                if part is None:
                    break
                await self._spool.put(part)
            self._spool.end()
        except TimeoutError:
            self._spool.end(timed_out(seconds))
        except Exception as error:
            self._spool.end(error)
        finally:
            self._finish()

    async def _expire(self, seconds: float) -> None:
        """End when the client did not read the answer in time, since it may never ask for more."""
        await asyncio.sleep(seconds)
        self._failure = timed_out(seconds)
        await self.aclose()
