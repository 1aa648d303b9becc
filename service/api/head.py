"""HEAD: the answer of GET without its body.

The route runs as for GET, so that status and headers are the same. When the headers are sent, the route is told that
the client went away, which ends a stream and the worker behind it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar.types import Message, Receive, Send


def without_body(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """``receive`` and ``send`` for a route that answers GET, whose body is not sent."""
    answered = asyncio.Event()

    async def answer(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
        elif not answered.is_set():
            answered.set()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def hear() -> Any:
        message = asyncio.ensure_future(receive())
        end = asyncio.ensure_future(answered.wait())
        try:
            await asyncio.wait({message, end}, return_when=asyncio.FIRST_COMPLETED)
            return message.result() if message.done() else {"type": "http.disconnect"}
        finally:
            message.cancel()
            end.cancel()

    return hear, answer
