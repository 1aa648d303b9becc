"""Work that ends when the client that waits for it goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from litestar.types import Receive

from service.kit import errors

T = TypeVar("T")


async def unless_gone(receive: Receive, work: Coroutine[None, None, T]) -> T:
    """The result of ``work``, which is cancelled if the client disconnects. Raises ``errors.Unavailable`` then."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise errors.Unavailable("the client disconnected before the answer was complete")
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
