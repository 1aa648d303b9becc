"""Clocks, passed in as values, so that tests control the time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """A source of times."""

    def now(self) -> datetime:
        """The present time, with the time zone UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never decrease, for durations."""
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """Return when the present time is ``moment`` or later, if nobody sets the clock meanwhile."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep_until(self, moment: datetime) -> None:
        await asyncio.sleep(max(0.0, (moment - self.now()).total_seconds()))


class FixedClock:
    """A clock for tests: its time changes only with ``advance`` and ``set``."""

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._at = at
        self._elapsed = 0.0
        self._sleepers: dict[asyncio.Event, float] = {}

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._at += timedelta(seconds=seconds)
        self._elapsed += seconds
        for sleeper in self._sleepers:
            sleeper.set()

    def set(self, at: datetime) -> None:
        """Set the clock, as an operator does: no time passes."""
        self._at = at

    async def sleep_until(self, moment: datetime) -> None:
        until = self._elapsed + (moment - self._at).total_seconds()
        while self._elapsed < until:
            moved = asyncio.Event()
            self._sleepers[moved] = until
            try:
                await moved.wait()
            finally:
                del self._sleepers[moved]

    @property
    def sleeps(self) -> float | None:
        """The seconds until the first sleeper wakes; None if nobody sleeps."""
        return min(self._sleepers.values(), default=self._elapsed) - self._elapsed if self._sleepers else None


async def rest_until(clock: Clock, moment: datetime | None, woken: asyncio.Event) -> None:
    """Return when ``woken`` is set, or when the clock shows ``moment`` if there is one, whichever comes first."""
    waits: list[asyncio.Task[object]] = [asyncio.create_task(woken.wait())]
    if moment is not None:
        waits.append(asyncio.create_task(clock.sleep_until(moment)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def rfc3339(moment: datetime) -> str:
    """``2026-01-01T00:00:00.000000Z``: RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
