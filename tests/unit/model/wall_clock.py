"""An oracle of cron schedules: it looks at the clock of a zone every minute and knows no cron library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
CHANGES = {  # zones and days (UTC) around a change of their clocks
    "Berlin, forward": ("Europe/Berlin", datetime(2026, 3, 28, tzinfo=UTC), 3),
    "Berlin, back": ("Europe/Berlin", datetime(2026, 10, 24, tzinfo=UTC), 3),
    "New York, forward": ("America/New_York", datetime(2026, 3, 7, tzinfo=UTC), 3),
    "New York, back": ("America/New_York", datetime(2026, 10, 31, tzinfo=UTC), 3),
    "Lord Howe, half an hour forward": ("Australia/Lord_Howe", datetime(2026, 10, 3, tzinfo=UTC), 3),
    "Lord Howe, half an hour back": ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC), 3),
    "Apia, a day left out": ("Pacific/Apia", datetime(2011, 12, 28, tzinfo=UTC), 5),
    "Sao Paulo, midnight skipped": ("America/Sao_Paulo", datetime(2018, 11, 3, tzinfo=UTC), 3),
    "Sao Paulo, midnight repeated": ("America/Sao_Paulo", datetime(2018, 2, 16, tzinfo=UTC), 3),
}
EXPRESSIONS = [
    "30 2 * * *", "0 2 * * *", "15 1 * * *", "45 1 * * *", "*/15 2 * * *", "*/20 1 * * *", "* 2 * * *", "0 1-4 * * *",
    "30 2,3 * * *", "*/5 * * * *", "* * * * *", "0 * * * *", "17 * * * *", "45 * * * *", "0 */2 * * *",
    "30 */3 * * *", "0 1-23/2 * * *", "0 0 * * *", "30 0 * * *", "0 12 * * *", "0 12 30 12 *", "10 0-23/4 * * *",
]  # fmt: skip


def _values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for term in field.split(","):
        body, _, step = term.partition("/")
        first, _, last = ("*" if body == "*" else body).partition("-")
        bounds = (low, high) if body == "*" else (int(first), int(last or first))
        found |= set(range(bounds[0], bounds[1] + 1, int(step or 1)))
    return found


def fires(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The minutes in UTC from ``start`` to ``end`` at which the expression fires. Its day of week is ``*``."""
    minute, hour, day, month, _ = expression.split()
    minutes, hours = _values(minute, 0, 59), _values(hour, 0, 23)
    days, months = _values(day, 1, 31), _values(month, 1, 12)

    def named(wall: datetime) -> bool:
        return wall.minute in minutes and wall.hour in hours and wall.day in days and wall.month in months

    def shown(moment: datetime) -> datetime:
        return moment.astimezone(zone).replace(tzinfo=None, fold=0)

    found: list[datetime] = []
    moment, latest = start, shown(start - MINUTE)  # the latest time that the clock has shown so far
    elapses = "*" in hour or "/" in hour
    while moment < end:
        wall = shown(moment)
        passed = [latest + MINUTE * n for n in range(1, (wall - latest) // MINUTE + 1)]  # several over a gap
        if named(wall) if elapses else any(map(named, passed)):
            found.append(moment)
        moment, latest = moment + MINUTE, max(latest, wall)
    return found
