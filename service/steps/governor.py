"""Governor: when the next request to a host may go out. One a host, shared by all collectors of a run.

It keeps a distance between requests where one was asked for, and stands still where the host said so
(``Retry-After``, an exhausted rate limit). It says how long to wait; somebody else sleeps.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_ITEM = re.compile(r"(?:^|;)\s*([rt])\s*=\s*(\d+)")
_EPOCH = 1_000_000_000
"""A reset beyond it is a moment, not a number of seconds."""


@dataclass
class Governor:
    """The pace towards one host. ``clock`` answers seconds that only go forward."""

    clock: Callable[[], float] = time.monotonic
    _free: float = field(default=0.0, init=False)
    _pace: float = field(default=0.0, init=False)

    def reserve(self, interval: float) -> float:
        """Take the next place, ``interval`` seconds before the one after it; answers the seconds until then."""
        interval = max(interval, self._pace)
        now = self.clock()
        start = max(now, self._free)
        self._free = start + interval
        return start - now

    def pace(self, seconds: float) -> None:
        """The host wants so many seconds between two requests from now on."""
        if seconds > self._pace:
            self._pace = seconds
            self._free = max(self._free, self.clock() + seconds)  # it was just asked for this

    def pause(self, seconds: float) -> None:
        """Nobody asks this host again for so long."""
        self._free = max(self._free, self.clock() + seconds)


def exhausted(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds until a rate limit is renewed, where an answer says that nothing is left of it.

    Reads ``RateLimit`` (``"default";r=0;t=30``), ``RateLimit-Remaining`` with ``RateLimit-Reset``, and the same
    with ``X-``, whose reset may be a moment (seconds since 1970).
    """
    if not any("ratelimit" in name for name in headers):
        return None
    items = dict(_ITEM.findall(headers.get("ratelimit", "")))
    remaining, reset = items.get("r"), items.get("t")
    for prefix in ("ratelimit", "x-ratelimit"):
        remaining = remaining or headers.get(f"{prefix}-remaining")
        reset = reset or headers.get(f"{prefix}-reset")
    if remaining is None or reset is None or remaining.strip() != "0":
        return None
    try:
        seconds = float(reset)
    except ValueError:
        return None
    if seconds >= _EPOCH:
        seconds -= time.time() if now is None else now
    return max(0.0, seconds) if seconds < float("inf") else None
