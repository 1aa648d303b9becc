"""Stream: a body that is still being made, and that ends its worker however it ends.

The worker's time is counted, the reader's is not: a slow client does not use up a query's deadline, a slow
query does. Against clients that never come back there is a bound on the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from service.sandbox.duckdb_errors import timed_out


class Stream:
    """An async iterator of bytes. ``finish`` is called once: at the end, an error, ``aclose`` or the bound."""

    def __init__(
        self, parts: AsyncIterator[bytes], *, finish: Callable[[], None], seconds: float, total_seconds: float
    ) -> None:
        self._parts = parts
        self._finish: Callable[[], None] | None = finish
        self._left = seconds
        self._given = seconds
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
            raise timed_out(self._given) from None
        except BaseException:
            self._end()
            raise
        finally:
            self._left -= loop.time() - began

    async def aclose(self) -> None:
        """Nobody reads on: end the worker."""
        self._end()

    def _end(self) -> None:
        self._expiry.cancel()
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
