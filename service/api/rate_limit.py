"""Rate limits: token buckets in memory, one per key. One process serves the API, so that its memory counts all."""

from __future__ import annotations

from collections import OrderedDict

from service.kit import errors
from service.kit.clock import Clock

_MOST_KEYS = 20_000


class RateLimiter:
    """Allows ``per_minute`` calls of ``take`` for each key, refilled steadily. Rarely used keys are forgotten.

    ``what`` names what is counted, in metrics.
    """

    def __init__(self, per_minute: int, clock: Clock, what: str = "requests") -> None:
        self._most = float(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        self._what = what
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count a request. Raises ``errors.Throttled`` with the seconds until the next one is allowed."""
        now = self._clock.monotonic()
        left, at = self._buckets.get(key, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        if left < 1:
            raise errors.Throttled(
                f"too many requests; at most {self._most:.0f} a minute",
                retry_after=(1 - left) / self._per_second,
                limit=self._what,
            )
        self._buckets[key] = (left - 1, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
