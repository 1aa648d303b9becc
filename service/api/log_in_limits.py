"""Limits of log-ins: attempts in a minute by account and address, and by address; failures make the next one wait."""

from __future__ import annotations

from collections.abc import Callable

from service.api import rate_limit
from service.api.log_in_backoff import Backoff
from service.api.rate_limit import Limiter
from service.kit.clock import Clock

LIMIT = "log-ins"
ADDRESS_FACTOR = 10
"""Log-ins of an address over all names, as a multiple of the limit for one name."""


class LogInLimits:
    """The limits in the memory of this process: ``limit`` attempts for one name and address."""

    def __init__(self, limit: int, clock: Clock, limiter: Callable[[int, Clock], Limiter]) -> None:
        self._per_name = limiter(limit, clock)
        self._per_address = limiter(limit * ADDRESS_FACTOR, clock)
        self._backoff = Backoff(limit, 60 / limit, clock)

    async def count(self, address: str, username: str) -> str:
        """Count an attempt with a password; the key under which it fails. Raises ``errors.Throttled``."""
        name = key(address, username)
        await self.count_address(address)
        self._backoff.check(name)
        (await self._per_name.take(name)).require(LIMIT)
        return name

    async def count_address(self, address: str) -> None:
        """Count an attempt of an address. Raises ``errors.Throttled``."""
        (await self._per_address.take(rate_limit.network(address))).require(LIMIT)

    async def failed(self, key: str) -> None:
        """Note that the attempt of a key failed."""
        self._backoff.failed(key)

    async def succeeded(self, key: str) -> None:
        """Note that the attempt of a key succeeded."""
        self._backoff.succeeded(key)


def key(address: str, username: str) -> str:
    """What failures are counted by."""
    return f"{rate_limit.network(address)} {username[:256]}"
