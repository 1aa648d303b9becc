"""Cursors that are times: the latest one that has passed, which a single record from the future must not move.

Times are dates and times in text, and numbers that count seconds, milliseconds, microseconds or nanoseconds since 1970.
A number is a time if its column is not named like an identifier and the middle value of the column lies between 2001
and now (until 2200 if the column is named like a time).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from service.collectors.http_api.incremental import Cursor, Order

NUMBERS: tuple[Order, ...] = ("integer", "number")
_TEXTS: tuple[Order, ...] = ("time", "format")
_TICKS = (1, 10**3, 10**6, 10**9)
_FIRST = datetime(2001, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
_IDENTIFIES = re.compile(
    r"(^|[_.-])(u?u?id|guid|key|no|nr|num|number|seq|sequence|version|revision|rev|offset|count|snowflake|cursor|code)$"
    r"|[a-z](I[dD]|Key|No|Number|Seq|Version|Offset|Count)$",
)
_TIMELY = re.compile(
    r"time|date|epoch|stamp|created|updated|modif|changed|edited|seen|occur|moment|(^|[_.-])(at|ts|on|when)$|[a-z](At|Ts|On)$",
)


def latest(column: str, order: Order, middle: Cursor | None, now: datetime) -> datetime | int | None:
    """The greatest cursor that is not in the future, whatever the clocks of the source and of this machine say, in the
    type in which cursors of this order compare (``incremental.comparable``); None if cursors are not times.

    ``middle`` is the middle one of numbers.
    """
    limit = now + timedelta(days=1)
    if order in _TEXTS:
        return limit
    if order not in NUMBERS or middle is None or _IDENTIFIES.search(column):
        return None
    last = _LAST if _TIMELY.search(column.lower()) or _TIMELY.search(column) else limit.timestamp()
    ticks = next((n for n in _TICKS if _FIRST <= float(middle) / n <= last), None)
    return None if ticks is None else int(limit.timestamp() * ticks)
