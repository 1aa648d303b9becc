"""Rate limits: token buckets, one per key, and the headers that tell a caller how many requests are left.

One process serves the API, so that its memory counts all. Where several do, ``shared_limits`` has others.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import NamedTuple, Protocol

from service.kit import errors
from service.kit.clock import Clock

_MOST_KEYS = 20_000
_IPV6_NETWORK = 64  # bits of an address that a provider gives to one customer, who may use any address in it


class Allowance(NamedTuple):
    """What a key may do after a request: ``left`` more at once, all of ``most`` again after ``full_after`` seconds.

    ``wait`` is 0, or the seconds until the next request is allowed: this one was not.
    """

    most: int
    left: int
    full_after: float
    wait: float = 0.0

    def require(self, what: str) -> None:
        """Raise ``errors.Throttled`` if the request was not allowed. ``what`` names the limit in metrics."""
        if self.wait:
            message = f"too many requests; at most {self.most} a minute"
            raise errors.Throttled(message, most=self.most, retry_after=self.wait, limit=what)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of the IETF's draft: the limit, what is left of it, and the seconds until all of it is back."""
        return [
            (b"ratelimit-limit", b"%d" % self.most),
            (b"ratelimit-remaining", b"%d" % self.left),
            (b"ratelimit-reset", b"%d" % math.ceil(self.full_after)),
        ]


class Limiter(Protocol):
    """Counts requests by key."""

    async def take(self, key: str, per_minute: int | None = None) -> Allowance:
        """Count a request of ``key``, which may make ``per_minute`` (by default what all others may)."""
        ...


class RateLimiter:
    """Allows ``per_minute`` calls of ``take`` for each key, refilled steadily. Rarely used keys are forgotten."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._most = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def take(self, key: str, per_minute: int | None = None) -> Allowance:
        """Count a request of ``key``; one that is refused costs nothing."""
        now, most = self._clock.monotonic(), per_minute or self._most
        left, at = self._buckets.get(key, (float(most), now))
        left = min(float(most), left + (now - at) * most / 60)
        if left < 1:
            return Allowance(most, 0, (most - left) * 60 / most, wait=(1 - left) * 60 / most)
        left -= 1
        self._buckets[key] = (left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        return Allowance(most, int(left), (most - left) * 60 / most)


def network(address: str) -> str:
    """What is counted for a client's address: itself, or the network of an IPv6 address, all of which is one's own."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))
