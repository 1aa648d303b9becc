"""Cron expressions and the instants at which they fire in a time zone.

cronsim reads the expression and finds the wall-clock times that it names; how wall-clock times become instants where
a clock changes is decided here (.decisions/0015): cronsim and croniter both differ from these rules.

- An hour field with a fixed hour (``2``, ``1-4``, ``8,20``): a wall-clock time that a change skips fires at the end of
  the gap, one that it repeats fires at its first occurrence. Several that fall on one instant are one fire.
- An hour field with ``*`` or a step (``*``, ``*/2``, ``0-23/4``): time elapses. Every instant whose wall-clock time
  the expression names fires, so that a skipped hour causes no gap and a repeated one is not left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FORM = (
    "write minute (0-59), hour (0-23), day of month (1-31), month (1-12 or JAN-DEC) and day of week (0-7 or SUN-SAT), "
    f"ranges upwards, or one of {', '.join(_ALIASES)}"
)
_LONGEST = 200
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_NAMES = ("minute", "hour", "day-of-month", "month", "day-of-week")
_LAST_VALUES = (59, 23, 31, 12, 6)


class Cron:
    """A cron expression of five fields, or an alias such as ``@hourly``. Raises ``ValueError`` with the reason."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._fields = _fields(text)
        self._elapsed = any(term.startswith("*") or "/" in term for term in self._fields.split()[1].split(","))
        try:
            next(iter(self._walls(datetime(2000, 1, 1))))
        except CronSimError as error:
            raise ValueError(_fault(text, self._fields, str(error))) from None
        except StopIteration:
            raise ValueError(f"'{text}' never fires: no month has such a day") from None

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The first fire later than ``moment``, in UTC.

        Raises ``OverflowError`` if there is none before the year 9999.
        """
        try:
            return self._elapsing(moment, zone) if self._elapsed else self._fixed(moment, zone)
        except StopIteration:
            raise OverflowError(f"'{self.text}' does not fire any more") from None

    def latest(self, since: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
        """The last fire later than ``since`` and not later than ``until``, in UTC; None if there is none."""
        window = timedelta(hours=1)
        while True:
            start = max(since, until - window)
            found, fire = None, self.after(start, zone)
            while fire <= until:
                found, fire = fire, self.after(fire, zone)
            if found is not None or start <= since:
                return found
            window *= 2

    def _walls(self, wall: datetime) -> Iterator[datetime]:
        """The wall-clock times that the expression names, later than ``wall``."""
        return CronSim(self._fields, wall)

    def _fixed(self, moment: datetime, zone: ZoneInfo) -> datetime:
        walls = self._walls(_wall(moment, zone))
        while (instant := _first_instant(next(walls), zone)) <= moment:
            pass
        return instant

    def _elapsing(self, moment: datetime, zone: ZoneInfo) -> datetime:
        start = moment.astimezone(UTC)
        wall = _wall(start, zone)
        while True:
            offset = _offset(start, zone)
            instant = (next(iter(self._walls(wall))) - offset).replace(tzinfo=UTC)
            change = _first_change(start, instant, zone)
            if change is None:
                return instant
            start, wall = change, _wall(change, zone) - _SECOND


def check(text: str) -> None:
    """Raise ``ValueError`` if nobody can mean the expression: it is wrong, or has a step longer than its range.

    ``Cron`` takes such steps, since stored configurations may have them: only the first value of the range fires.
    """
    fields = Cron(text)._fields.split()
    for place, (name, field) in enumerate(zip(_NAMES, fields, strict=True)):
        for term in field.split(","):
            span, _, step = term.partition("/")
            if step and int(step) > (values := _count(place, span)):
                raise ValueError(
                    f"'{text}' is not a cron expression: in its {name} field the step {step} is longer than its range "
                    f"of {values}; list the values instead"
                )


def _count(place: int, span: str) -> int:
    """The number of values in a range of a field; a single value begins a range up to the last one."""
    lone = ["*"] * len(_NAMES)
    lone[place] = span
    cron = CronSim(" ".join(lone), datetime(2000, 1, 1))
    values = (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays)[place]
    last = _LAST_VALUES[place]
    first = next(iter(values))
    if len(values) == 1 and isinstance(first, int):
        return last - first + 1 if first >= 0 else 1  # the last day of a month has a negative number
    return min(len(values), last + 1 if 0 in values else last)


def _fault(text: str, fields: str, reason: str) -> str:
    """Why cronsim refuses the fields, in our words."""
    field = reason.removeprefix("Bad ").lower()
    if field not in _NAMES:
        return f"'{text}' is not a cron expression: {reason}; {_FORM}"
    parts = fields.split()
    wrong = parts[_NAMES.index(field)]
    if field == "day-of-month":
        try:
            CronSim(" ".join([*parts[:3], "*", *parts[4:]]), datetime(2000, 1, 1))
        except CronSimError:
            pass
        else:
            return f"'{text}' never fires: the months '{parts[3]}' have no day '{wrong}' in the day-of-month field"
    return f"'{text}' is not a cron expression: its {field} field is wrong: '{wrong}'; {_FORM}"


def _fields(text: str) -> str:
    """The five fields. Raises ``ValueError``."""
    if len(text) > _LONGEST:
        raise ValueError(f"a cron expression has at most {_LONGEST} characters")
    plain = text.strip()
    if plain.startswith("@"):
        if plain.lower() not in _ALIASES:
            raise ValueError(f"'{text}' is not a known alias; {_FORM}")
        return _ALIASES[plain.lower()]
    fields = plain.split()
    if len(fields) != len(_NAMES):
        raise ValueError(f"'{text}' has {len(fields)} fields of five; {_FORM}")
    return " ".join(fields)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """What a clock in the zone shows."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When a clock shows ``wall`` first; if a change skips it, the end of the gap."""
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _wall(instant, zone) == wall:
        return instant
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # a time in a gap is read with both offsets
    return _change_between(before, instant, zone)


def _first_change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime | None:
    """The first change of the offset later than ``start`` and not later than ``end``; None if there is none."""
    while start < end:
        step = min(start + _DAY, end)
        if _offset(step, zone) != _offset(start, zone):
            return _change_between(start, step, zone)
        start = step
    return None


def _change_between(start: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """The first second at which the offset is not that of ``start``; that of ``end`` differs."""
    before = _offset(start, zone)
    low, high = start.replace(microsecond=0), end
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high
