"""The body of a streaming answer. However it ends, it ends its worker.

Only the worker's time counts towards the deadline of the query, not that of a slow client. A limit on the total time
ends streams whose clients never read on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from service.sandbox.duckdb_errors import timed_out


class Stream:
    """An async iterator of bytes. ``finish`` is called once: at the end, an error, ``aclose`` or the total limit."""

    def __init__(
        self, parts: AsyncIterator[bytes], *, finish: Callable[[], None], seconds: float, total_seconds: float
    ) -> None:
        self._parts = parts
        self._finish: Callable[[], None] | None = finish
        self._left = seconds
        self._limit = seconds
        self._expiry = asyncio.get_running_loop().call_later(total_seconds, self._end)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._finish is None:
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(max(self._left, 0.0)):
                return await anext(self._parts)
        except TimeoutError:
            self._end()
            raise timed_out(self._limit) from None
        except BaseException:
            self._end()
            raise
        finally:
            self._left -= loop.time() - began

    async def aclose(self) -> None:
        """End the worker: the client reads no further."""
        self._end()

    def _end(self) -> None:
        self._expiry.cancel()
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
