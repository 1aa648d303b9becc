"""Proxies on loopback that pass bytes on, hold them back for a while, or cut every connection, as a network may."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class TcpProxy:
    """Passes connections on to a port of this host. What was held back arrives later; what was cut does not."""

    def __init__(self, loop: asyncio.AbstractEventLoop, upstream: int) -> None:
        self.port = 0
        self._loop = loop
        self._upstream = upstream
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> TcpProxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 18)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        self._server.close()

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Nothing arrives on either side in the context, and no connection ends."""
        self._call(self._passing.clear)
        try:
            yield
        finally:
            self._call(self._passing.set)

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Connections end at once, and new ones do so, too, in the context."""
        self._call(self._refuse)
        try:
            yield
        finally:
            self._refusing = False

    def _refuse(self) -> None:
        self._refusing = True
        for writer in self._writers:
            writer.transport.abort()

    def _call(self, action: Callable[[], None]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(action)
        self._loop.call_soon_threadsafe(done.set)
        assert done.wait(10)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            await self._passing.wait()
            to_read, to_write = await asyncio.open_connection("127.0.0.1", self._upstream, limit=1 << 18)
        except (OSError, asyncio.CancelledError):  # nobody listens there now, or it is the end
            writer.transport.abort()
            return
        self._writers |= {writer, to_write}
        try:
            await asyncio.gather(self._pass(reader, to_write), self._pass(to_read, writer))
        except asyncio.CancelledError:  # the end; a stream would show a task that was cancelled as an error
            pass
        finally:
            self._writers -= {writer, to_write}
            for one in (writer, to_write):
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


class Proxies:
    """The thread in which proxies work."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open: list[TcpProxy] = []

    @contextlib.contextmanager
    def at_work(self) -> Iterator[Proxies]:
        self._thread.start()
        try:
            yield self
        finally:
            for proxy in self._open:
                self._run(proxy.close())
            self._run(_cancelled())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def to(self, port: int) -> TcpProxy:
        """A new proxy before ``port``."""
        self._open.append(self._run(TcpProxy(self._loop, port).open()))
        return self._open[-1]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


async def _cancelled() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
