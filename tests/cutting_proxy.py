"""A proxy on loopback between Penstock and an object store, which cuts, delays and refuses what a test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["cut request", "cut answer", "lose answer", "slow down", "hang"]
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass
class Trouble:
    """What happens to requests that ``meant`` chooses by method and path, ``times`` times."""

    action: Action
    meant: Callable[[str, str], bool]
    times: int
    seen: int = field(default=0)


class CuttingProxy:
    """Passes requests on to ``port``, each over a connection of its own, except those in trouble."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._troubles: list[Trouble] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        self.requests: list[str] = []
        """Method and path of each request."""

    @contextlib.contextmanager
    def at_work(self) -> Iterator[CuttingProxy]:
        self._thread.start()
        assert self._ready.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    @contextlib.contextmanager
    def trouble(self, action: Action, method: str, pattern: str, times: int = 1_000_000) -> Iterator[Trouble]:
        """In the context ``action`` happens to requests of that method whose path and query match."""
        found = re.compile(pattern)
        one = Trouble(action, lambda m, path: m == method and found.search(path) is not None, times)
        self._troubles.append(one)
        try:
            yield one
        finally:
            self._troubles.remove(one)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            self.requests.append(f"{method} {path}")
            found = _LENGTH.search(head)
            body = await reader.readexactly(int(found[1]) if found is not None else 0)
            trouble = next((t for t in self._troubles if t.seen < t.times and t.meant(method, path)), None)
            if trouble is not None:
                trouble.seen += 1
            await self._answer(trouble.action if trouble is not None else None, head, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, action: Action | None, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        if action == "hang":
            await self._stop.wait()
            return
        if action == "slow down":
            answer = b"HTTP/1.1 503 Slow Down\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(_SLOW_DOWN)
            writer.write(answer + _SLOW_DOWN)
            await writer.drain()
            return
        line, rest = head.split(b"\r\n", 1)
        request = line + b"\r\nConnection: close\r\n" + rest + body
        to_read, to_write = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            if action == "cut request":
                to_write.write(request[: len(request) - len(body) + len(body) // 2 - (not body)])
                await to_write.drain()
                return
            to_write.write(request)
            await to_write.drain()
            answer = await to_read.read()
        finally:
            to_write.close()
        if action == "lose answer":
            return
        line, rest = answer.split(b"\r\n", 1)
        answer = line + b"\r\nConnection: close\r\n" + rest
        writer.write(answer[: -max(1, len(answer) // 4)] if action == "cut answer" else answer)
        await writer.drain()
