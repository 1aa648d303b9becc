"""Work that ends when the client that waits for it goes away."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from typing import TypeVar

from litestar.types import HTTPReceiveMessage, Receive, WebSocketReceiveMessage

from service.kit import errors

T = TypeVar("T")


class Hearing:
    """``receive`` of one request for callers who may give up: the message that they waited for goes to the next one.

    The server drops a message whose receiver was cancelled, and tells the next one that the client went away.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._message: asyncio.Future[HTTPReceiveMessage | WebSocketReceiveMessage] | None = None

    async def __call__(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """The next message, as ``receive``."""
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
    """The result of ``work``, which is cancelled if the client disconnects. Raises ``errors.Unavailable`` then."""
    loop, gone = asyncio.get_running_loop(), asyncio.ensure_future(disconnected(receive))
    end = None
    try:
        async with asyncio.timeout(None) as presence:
            end = functools.partial(_end, presence, loop)
            gone.add_done_callback(end)
            return await work
    except TimeoutError:
        if not presence.expired():
            raise
        raise errors.Unavailable("the client disconnected before the answer was complete") from None
    finally:
        if end is not None:
            gone.remove_done_callback(end)
        gone.cancel()


def _end(presence: asyncio.Timeout, loop: asyncio.AbstractEventLoop, _: asyncio.Future[None]) -> None:
    presence.reschedule(loop.time())


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
