"""Calendar: parts of dates and times as columns, plain and as points on a circle (which puts December next to
January). Weekdays and weeks are ISO: Monday is 1, the week belongs to the year of its Thursday.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from service.kit import lazy
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Part = Literal["year", "quarter", "month", "week", "day", "weekday", "hour", "minute", "is_weekend", "epoch"]
Circle = Literal["month", "weekday", "hour"]


class Calendar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parts of a date or time that become columns."""

    parts: Annotated[
        list[Part],
        msgspec.Meta(
            description="Each becomes <column>_<part>. As ISO 8601: Monday is weekday 1, week 1 has the first "
            "Thursday; epoch is in seconds."
        ),
    ] = []
    cyclical: Annotated[
        list[Circle], msgspec.Meta(description="Each becomes <column>_<part>_sin and <column>_<part>_cos.")
    ] = []
    drop: Annotated[bool, msgspec.Meta(description="Drop the column itself.")] = False


_PARTS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "year": lambda c: c.dt.year(),
    "quarter": lambda c: c.dt.quarter(),
    "month": lambda c: c.dt.month(),
    "week": lambda c: c.dt.week(),
    "day": lambda c: c.dt.day(),
    "weekday": lambda c: c.dt.weekday(),
    "hour": lambda c: c.dt.hour(),
    "minute": lambda c: c.dt.minute(),
    "is_weekend": lambda c: c.dt.weekday() >= 6,
}
_A_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_A_DAY = 86_400
_OF_DAY = frozenset({"hour", "minute"})
_CIRCLES: dict[str, tuple[int, int]] = {"month": (12, 1), "weekday": (7, 1), "hour": (24, 0)}
"""The number of values, and the first value."""


def parts(column: str, setting: Calendar, schema: pl.Schema, ctx: ProcessContext) -> list[pl.Expr]:
    """The expressions of the new columns. Raises ``errors.Permanent`` where the column has no such part."""
    field = f"datetime.{column}"
    dtype = schema[column]
    if not isinstance(dtype, pl.Date | pl.Datetime | pl.Time):
        raise columns.setting_error(
            ctx, field, f"the column is {dtypes.name_of(dtype)}; cast it to date or datetime before"
        )
    for part in (*setting.parts, *setting.cyclical):
        if (isinstance(dtype, pl.Date) and part in _OF_DAY) or (isinstance(dtype, pl.Time) and part not in _OF_DAY):
            raise columns.setting_error(ctx, field, f"a {dtypes.name_of(dtype)} has no {part}")
    made = [_part(column, p, dtype).alias(f"{column}_{p}") for p in dict.fromkeys(setting.parts)]
    for part in dict.fromkeys(setting.cyclical):
        count, first = _CIRCLES[part]
        angle = (_PARTS[part](pl.col(column)).cast(pl.Float64) - first) * (2 * math.pi / count)
        made += [angle.sin().alias(f"{column}_{part}_sin"), angle.cos().alias(f"{column}_{part}_cos")]
    return made


def _part(column: str, part: str, dtype: pl.DataType) -> pl.Expr:
    if part != "epoch":
        return _PARTS[part](pl.col(column))
    stored = pl.col(column).to_physical().cast(pl.Int64)  # Polars' own epoch is null outside of 1677 to 2262
    return stored * _A_DAY if isinstance(dtype, pl.Date) else stored // _A_SECOND[getattr(dtype, "time_unit", "us")]
