"""Whether two results are the same: values by their kind, rows with or without their order."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

Row = tuple[Any, ...]
CLOSE = 1e-9


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; floats to nine digits, numbers whatever their type."""
    if one is None or other is None:
        return one is other
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        if isinstance(one, float) or isinstance(other, float):
            a, b = float(one), float(other)
            return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12)
        return Decimal(one) == Decimal(other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def same_rows(some: Sequence[Row], others: Sequence[Row], *, ordered: bool) -> bool:
    """Whether two results have the same rows."""
    if not ordered:
        some, others = sorted(some, key=_key), sorted(others, key=_key)
    return len(some) == len(others) and all(map(same, some, others))


def _key(row: Row) -> str:
    return repr([_rounded(value) for value in row])


def _rounded(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str | dt.date | dt.time | dt.timedelta):
        return value
    if isinstance(value, int | float | Decimal):
        return "nan" if math.isnan(value) else f"{float(value) + 0.0:.6e}"
    return value
