"""robots.txt (RFC 9309): whether a page may be fetched, and how fast. Fetched once per origin and collection.

A missing robots.txt allows everything; an unreachable one forbids everything, so it fails the run as an unreachable
page does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.kit import errors, lazy
from service.network.request import Request, Response

if TYPE_CHECKING:
    import protego
    from protego import Protego
else:
    protego = lazy.module("protego")

AGENT = "penstock"
MAX_BYTES = 512 * 1024


class Robots:
    """The rules of all origins of a collection."""

    def __init__(self, fetch: Callable[[Request], Awaitable[Response]]) -> None:
        self._fetch = fetch
        self._rules: dict[str, Protego] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def allows(self, url: str) -> bool:
        """Whether the origin allows ``url``. Raises the errors of ``fetch`` if the origin is unreachable."""
        return (await self._of(url)).can_fetch(url, AGENT)

    async def delay(self, url: str) -> float:
        """The seconds between two requests that the origin asks for."""
        rules = await self._of(url)
        rate = rules.request_rate(AGENT)
        every = rate.seconds / rate.requests if rate is not None and rate.requests else 0.0
        return max(float(rules.crawl_delay(AGENT) or 0.0), every)

    async def _of(self, url: str) -> Protego:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        async with self._locks[origin]:
            if origin not in self._rules:
                self._rules[origin] = protego.Protego.parse(await self._text(f"{origin}/robots.txt"))
        return self._rules[origin]

    async def _text(self, url: str) -> str:
        try:
            answer = await self._fetch(Request(url, accept="text/plain, */*;q=0.5", max_bytes=MAX_BYTES))
        except errors.Permanent as error:
            status = error.details.get("status")
            if isinstance(status, int) and 400 <= status < 500:
                return ""
            raise
        return answer.body.decode("utf-8-sig", "replace")
