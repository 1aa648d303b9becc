"""A schedule: when a pipeline runs by itself, and what happens to times missed while the service was down."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from service.kit import errors
from service.kit.errors import Problem
from service.model.cron import Cron, check


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a pipeline runs by itself.

    Where a clock changes, a schedule with a fixed hour fires once: at the end of the gap if its time is skipped, at the
    first occurrence if its time is repeated. With `*` or a step in the hour field it fires whenever the clock shows a
    matching time.
    """

    cron: Annotated[
        str,
        msgspec.Meta(
            description="Minute, hour, day of month, month, day of week; or `@hourly` and the like.",
            examples=["0 6 * * MON-FRI"],
        ),
    ]
    timezone: Annotated[
        str, msgspec.Meta(description="The time zone of `cron`, such as `Europe/Berlin`.", examples=["UTC"])
    ] = "UTC"
    misfire: Annotated[
        Literal["skip", "run_once"],
        msgspec.Meta(description="Times missed while the service was down: no run, or one run for all of them."),
    ] = "run_once"
    enabled: Annotated[bool, msgspec.Meta(description="false: it never fires.")] = True

    def after(self, moment: datetime) -> datetime:
        """The first fire later than ``moment``, in UTC."""
        return _cron(self.cron).after(moment, _zone(self.timezone))

    def latest(self, since: datetime, until: datetime) -> datetime | None:
        """The last fire later than ``since`` and not later than ``until``, in UTC; None if there is none."""
        return _cron(self.cron).latest(since, until, _zone(self.timezone))

    @property
    def times(self) -> str:
        """What decides when it fires; two schedules with the same text fire at the same times."""
        return f"{self.cron} {self.timezone}" if self.enabled else ""


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule of a pipeline and what it has done. Times are UTC.

    Times up to ``handled`` are done with: fired, missed, or before the schedule existed. ``last_fire`` is the time that
    fired last, ``last_run_id`` its run.
    """

    pipeline_id: str
    name: str
    schedule: Schedule
    paused: bool
    handled: datetime
    last_fire: datetime | None = None
    last_run_id: str | None = None

    @property
    def active(self) -> bool:
        """Whether it fires."""
        return self.schedule.enabled and not self.paused

    def next_fire(self, now: datetime) -> datetime | None:
        """The next time later than ``now`` and not handled yet; None if it does not fire."""
        return self.schedule.after(max(self.handled, now)) if self.active else None


def problems(value: Any) -> Iterable[Problem]:
    """What is wrong with the cron expression and the time zone of a schedule as it was written."""
    written = value if isinstance(value, dict) else {}
    cron, timezone = written.get("cron"), written.get("timezone")
    if isinstance(cron, str):
        try:
            check(cron)
        except ValueError as error:
            yield Problem("schedule.cron", str(error))
    if isinstance(timezone, str):
        try:
            _zone(timezone)
        except ValueError:
            hint = errors.did_you_mean(timezone, available_timezones())
            yield Problem("schedule.timezone", f"there is no time zone '{timezone}'{hint}")


@functools.lru_cache(maxsize=4096)
def _cron(text: str) -> Cron:
    return Cron(text)


@functools.lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises ``ValueError``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(str(error)) from None
