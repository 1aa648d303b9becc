"""Work that ends when the client that waits for it goes away."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import TypeVar

from litestar.types import HTTPReceiveMessage, Receive, WebSocketReceiveMessage

from service.kit import errors

T = TypeVar("T")
_SOON = 0.25  # seconds; most work that had to wait for a place is done by then, too


class Hearing:
    """``receive`` of one request for callers who may give up: the message that they waited for goes to the next one.

    The server drops a message whose receiver was cancelled, and tells the next one that the client went away. Who reads
    a body does not give up before its end, so that its first part is waited for without more ado (``has_body``).
    """

    def __init__(self, receive: Receive, *, has_body: bool = False) -> None:
        self._receive = receive
        self._has_body = has_body
        self._message: asyncio.Future[HTTPReceiveMessage | WebSocketReceiveMessage] | None = None

    async def __call__(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """The next message, as ``receive``."""
        if self._has_body:
            self._has_body = False
            return await self._receive()
        if self._message is None:
            self._message = asyncio.ensure_future(self._receive())
        message = await asyncio.shield(self._message)
        self._message = None
        return message

    def close(self) -> None:
        """Wait for no further message."""
        if self._message is not None:
            self._message.cancel()


async def unless_gone(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """The result of ``work``, which is cancelled if the client disconnects. Raises ``errors.Unavailable`` then.

    Nobody listens to the client while the work may be done sooner: listening costs a fifth of a quick query.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as presence:
            listening = _Listening(receive, functools.partial(_end, presence, loop))
            waiting = loop.call_later(_SOON, listening.begin)
            try:
                return await work
            finally:
                waiting.cancel()
                listening.end()
    except TimeoutError:
        if not presence.expired():
            raise
        raise errors.Unavailable("the client disconnected before the answer was complete") from None


class _Listening:
    """Waits for the end of a client, and then calls ``gone``."""

    def __init__(self, receive: Receive, gone: Callable[[asyncio.Future[None]], None]) -> None:
        self._receive = receive
        self._gone = gone
        self._end: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._end = asyncio.ensure_future(disconnected(self._receive))
        self._end.add_done_callback(self._gone)

    def end(self) -> None:
        if self._end is not None:
            self._end.remove_done_callback(self._gone)
            self._end.cancel()


def _end(presence: asyncio.Timeout, loop: asyncio.AbstractEventLoop, _: asyncio.Future[None]) -> None:
    presence.reschedule(loop.time())


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
