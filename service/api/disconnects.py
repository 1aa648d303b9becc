"""Work that ends when the client that waits for it goes away."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine
from typing import TypeVar

from litestar.types import Receive

from service.kit import errors

T = TypeVar("T")


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
