"""Limits where several processes serve an installation.

Log-ins are counted in the catalog, which they read and write anyway; what the memory of this process refuses already
costs nothing there. Requests are counted in memory: each process allows its part, the limit divided by the processes
that live.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

import structlog

from service.api import log_in_limits, rate_limit
from service.api.log_in_backoff import FORGOTTEN
from service.api.log_in_limits import ADDRESS_FACTOR, LIMIT, LogInLimits
from service.api.rate_limit import Allowance, Limiter, RateLimiter
from service.api.services import Services
from service.catalog.log_in_counts import LogInCounts
from service.kit.clock import Clock

_LOOK = 5.0  # seconds between two counts of processes
_log = structlog.get_logger("penstock.api")


class SharedLogInLimits(LogInLimits):
    """The limits of log-ins over all processes."""

    def __init__(self, limit: int, clock: Clock, limiter: Callable[[int, Clock], Limiter], counts: LogInCounts) -> None:
        super().__init__(limit, clock, limiter)
        self._limit = limit
        self._counts = counts

    async def count(self, address: str, username: str) -> str:
        key = log_in_limits.key(address, username)
        await self.count_address(address)
        (await self._per_name.take(key)).require(LIMIT)
        refusal = 0.0

        def wait(failures: int, seconds: float) -> float:
            nonlocal refusal
            refusal = self._backoff.wait(failures, seconds)
            return refusal

        seconds = await asyncio.to_thread(self._counts.take, key, self._limit, wait)
        self._backoff.require(refusal)
        Allowance(self._limit, 0, seconds, wait=seconds).require(LIMIT)
        return key

    async def count_address(self, address: str) -> None:
        await super().count_address(address)
        most = self._limit * ADDRESS_FACTOR
        seconds = await asyncio.to_thread(self._counts.take, rate_limit.network(address), most)
        Allowance(most, 0, seconds, wait=seconds).require(LIMIT)

    async def failed(self, key: str) -> None:
        await asyncio.to_thread(self._counts.failed, key, FORGOTTEN)

    async def succeeded(self, key: str) -> None:
        await asyncio.to_thread(self._counts.succeeded, key)


class Part:
    """What this process may allow of a limit. ``count`` answers how many processes there are, and may block."""

    def __init__(self, count: Callable[[], int], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._processes = 1
        self._looked = -math.inf
        self.looking: asyncio.Task[None] | None = None

    def of(self, limit: int) -> int:
        """The part of a limit: at least 1. The processes are counted again now and then, beside the requests."""
        if self._clock.monotonic() - self._looked > _LOOK and (self.looking is None or self.looking.done()):
            self._looked = self._clock.monotonic()
            self.looking = asyncio.create_task(self._look())
        return max(1, math.ceil(limit / self._processes))

    async def _look(self) -> None:
        try:
            self._processes = max(1, await asyncio.to_thread(self._count))
        except Exception as error:  # the catalog does not answer now: what was counted last holds
            _log.warning("limits.not_shared", reason=str(error), exception=type(error).__name__)


class PartLimiter(RateLimiter):
    """Allows this process's ``part`` of what a key may do."""

    def __init__(self, per_minute: int, clock: Clock, part: Part) -> None:
        super().__init__(per_minute, clock)
        self._part = part

    async def take(self, key: str, per_minute: int | None = None) -> Allowance:
        return await super().take(key, self._part.of(per_minute or self._most))


def of_all(services: Services) -> Services:
    """The services of one of several processes, whose limits hold for all."""
    processes, clock = services.history.processes, services.clock
    part = Part(lambda: sum(one.kind == "serve" for one in processes.living(clock.now())), clock)
    limit, counts = services.settings.login_rate_limit_per_minute, LogInCounts(services.store)
    log_ins = SharedLogInLimits(limit, clock, services.limiter, counts)
    return replace(services, limiter=lambda most, _: PartLimiter(most, clock, part), log_in_limits=log_ins)
