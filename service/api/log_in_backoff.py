"""Back-off of log-ins: who fails again and again must wait longer and longer, and nobody else because of that.

Failures are counted by account and address together. Counted by account alone, anybody could lock its owner out; by
address alone, one person could lock out a whole office. Names that no account has are counted alike.
"""

from __future__ import annotations

from collections import OrderedDict

from service.kit import errors
from service.kit.clock import Clock

_MOST_KEYS = 20_000
_LONGEST = 900.0  # seconds
FORGOTTEN = 2 * _LONGEST
"""Seconds without a failure after which there were none."""


class Backoff:
    """After ``free`` failures in a row, a key waits ``first`` seconds, then twice as long each time."""

    def __init__(self, free: int, first: float, clock: Clock) -> None:
        self._free = free
        self._first = first
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def check(self, key: str) -> None:
        """Raise ``errors.Throttled`` with the seconds that are left if the key must wait."""
        count, at = self._known(key)
        self.require(self.wait(count, self._clock.monotonic() - at))

    def wait(self, count: int, seconds: float) -> float:
        """How long to wait after ``count`` failures in a row, the last ``seconds`` ago; 0 or less: not at all."""
        if count < self._free or seconds >= FORGOTTEN:
            return 0.0
        return min(self._first * 2.0 ** min(count - self._free, 30), _LONGEST) - seconds

    def require(self, wait: float) -> None:
        """Raise ``errors.Throttled`` if there are seconds to wait."""
        if wait > 0:
            message = "too many log-ins with a wrong name or password; wait, then try again"
            raise errors.Throttled(message, most=self._free, retry_after=wait, limit="log-ins")

    def failed(self, key: str) -> None:
        """Note a failure."""
        count, _ = self._known(key)
        self._failures[key] = (count + 1, self._clock.monotonic())
        self._failures.move_to_end(key)
        if len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def succeeded(self, key: str) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def _known(self, key: str) -> tuple[int, float]:
        count, at = self._failures.get(key, (0, 0.0))
        return (count, at) if count and self._clock.monotonic() - at < FORGOTTEN else (0, 0.0)
