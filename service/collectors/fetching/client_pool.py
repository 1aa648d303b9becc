"""The clients of one collection, one per concurrent request. A request waits until a client is free."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from service.collectors.fetching.completeness import Evidence
from service.network.request import Request, Response
from service.network.retry import Retry
from service.steps.context import CollectContext

if TYPE_CHECKING:
    from service.network.client import Client


class Clients:
    """``limit`` is the number of concurrent requests (None: one, without a limit for other runs)."""

    def __init__(
        self,
        ctx: CollectContext,
        *,
        limit: int | None,
        interval: float,
        timeout_seconds: float,
        retry: Retry,
        field: str,
    ) -> None:
        from service.network.client import Client, Tally  # what describes a collector makes no request

        self._ctx = ctx
        self._tally = Tally()
        self._reported = 0  # bytes
        self._stack = AsyncExitStack()
        self._free: asyncio.Queue[Client] = asyncio.Queue()
        self._all = [
            Client(
                ctx, timeout_seconds=timeout_seconds, retry=retry, field=field, interval=interval, at_once=limit,
                tally=self._tally,
            )
            for _ in range(limit or 1)
        ]  # fmt: skip

    async def __aenter__(self) -> Clients:
        await self._stack.__aenter__()
        for client in self._all:
            self._free.put_nowait(await self._stack.enter_async_context(client))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def fetch(self, request: Request) -> Response:
        """Send a request with the next free client. Raises ``errors.Transient`` or ``errors.Permanent``."""
        client = await self._free.get()
        try:
            return await client.fetch(request)
        finally:
            self._free.put_nowait(client)
            self._report_bytes()

    def _report_bytes(self) -> None:
        received = self._tally.bytes
        self._ctx.count_bytes(received - self._reported)
        self._reported = received

    def count(self, evidence: Evidence) -> None:
        """Write the counts of requests, retries and bytes to ``evidence``."""
        tally = self._tally
        evidence.requests, evidence.retries, evidence.bytes = tally.requests, tally.retries, tally.bytes
