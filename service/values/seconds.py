"""Durations and times of day as seconds, without a rounding error of the engine.

Polars divides a column by a literal by multiplying it with the reciprocal: -60 s in nanoseconds becomes
-60.00000000000001. By a column it divides exactly, so the divisor here is a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_Ticks = TypeVar("_Ticks", "pl.Expr", "pl.Series")
_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def from_ticks(ticks: _Ticks, unit: str | None) -> _Ticks:
    """Whole ``ticks`` of ``unit`` (``ms``, ``us`` or ``ns``; None: ``us``) as float64 seconds; null stays null."""
    return ticks / (ticks * 0 + _PER_SECOND[unit or "us"])


def exactly(ticks: pl.Expr, unit: str | None) -> pl.Expr:
    """Whole ``ticks`` as decimal seconds of nine places: a float would lose the microseconds of 100 000 years."""
    per_second = _PER_SECOND[unit or "us"]
    whole, rest = ticks // per_second, ticks % per_second
    nine = pl.Decimal(38, 9)
    return whole.cast(nine) + from_ticks(rest, unit).cast(nine)
