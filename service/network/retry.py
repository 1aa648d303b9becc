"""The retry policy, as a value: how often to try again and how long to wait.

Only ``errors.Transient`` is retried. A ``Retry-After`` of the source is honoured, unless it is longer than
``max_delay_seconds``: then the step fails, and the error carries the delay for the next attempt of the run.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, TypeVar

import msgspec

from service.kit import errors

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]
STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exponential backoff with jitter, for statuses 408, 425, 429, 500, 502, 503, 504, for connection errors, and for
    a 403 with a time to retry after."""

    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=20, description="Attempts in total; 1 never retries.")] = 5
    initial_delay_seconds: Annotated[
        float, msgspec.Meta(ge=0, le=60, description="Wait before the second attempt; doubles each time.")
    ] = 0.5
    max_delay_seconds: Annotated[
        float, msgspec.Meta(ge=0, le=3600, description="Longest wait; a longer Retry-After fails the step.")
    ] = 60.0

    def delay(self, attempt: int, error: Exception) -> float | None:
        """Seconds to wait after the failed attempt number ``attempt`` (from 1); None to give up."""
        if not isinstance(error, errors.Transient) or attempt >= self.max_attempts:
            return None
        if error.delay is not None:
            return error.delay if error.delay <= self.max_delay_seconds else None
        return self.backoff(attempt)

    def backoff(self, attempt: int) -> float:
        """The wait in seconds if the source names none: half of it is fixed, half of it random."""
        longest = min(self.max_delay_seconds, self.initial_delay_seconds * 2.0 ** (attempt - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads load, it is not for security

    async def run(
        self,
        work: Callable[[], Awaitable[T]],
        sleep: Sleep = asyncio.sleep,
        on_wait: Callable[[int, float, Exception], None] = lambda attempt, seconds, error: None,
    ) -> T:
        """Call ``work`` until it succeeds or ``delay`` returns None; then raise its last error."""
        attempt = 1
        while True:
            try:
                return await work()
            except errors.Transient as error:
                wait = self.delay(attempt, error)
                if wait is None:
                    raise
                on_wait(attempt, wait, error)
                await sleep(wait)
            attempt += 1


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The seconds in ``Retry-After``: a number, or a date relative to the answer's own ``Date``."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    until = _date(value)
    if until is None:
        return None
    since = _date(headers.get("date", "")) or now or datetime.now(UTC)
    return max(0.0, (until - since).total_seconds())


def _date(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
