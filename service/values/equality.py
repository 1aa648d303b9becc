"""Equality of values in two columns, also of different types.

Null equals null, NaN equals NaN, and -0.0 equals 0.0, as in SQL; the same holds inside lists and structs. Values of two
types are compared by value where no digit can get lost: whole numbers, floats and decimals of any size, dates and
timestamps of any unit, timestamps of two time zones (as instants), texts and categories. Values of other types, such as
a text and a number, differ always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_TICKS = {"ms": 1_000_000, "us": 1_000, "ns": 1}  # nanoseconds
_DAY = 86_400_000_000_000
_DIGITS = 38


def differ(one: pl.Expr, other: pl.Expr, one_type: pl.DataType, other_type: pl.DataType) -> pl.Expr:
    """A boolean for each pair of values, never null: whether they differ."""
    if one_type == other_type:
        return one.ne_missing(other)
    if isinstance(one_type, pl.Null) or isinstance(other_type, pl.Null):
        return one.is_not_null() | other.is_not_null()
    return ~((one.is_null() & other.is_null()) | _equal(one, other, one_type, other_type).fill_null(False))


def _equal(one: pl.Expr, other: pl.Expr, one_type: pl.DataType, other_type: pl.DataType) -> pl.Expr:
    """Whether two values are equal; false or null if one of them is null."""
    if one_type.is_integer() and other_type.is_integer():
        return one.cast(pl.Int128) == other.cast(pl.Int128)
    if one_type.is_float() and other_type.is_float():
        return one.cast(pl.Float64) == other.cast(pl.Float64)
    if one_type.is_float() and other_type.is_integer():
        return whole(one) == other.cast(pl.Int128)
    if one_type.is_integer() and other_type.is_float():
        return whole(other) == one.cast(pl.Int128)
    if are_decimal(one_type, other_type):
        common = common_decimal(one_type, other_type)
        return one.cast(common, strict=False) == other.cast(common, strict=False)
    if is_text(one_type) and is_text(other_type):
        return one.cast(pl.String) == other.cast(pl.String)
    if isinstance(one_type, pl.Duration) and isinstance(other_type, pl.Duration):
        return nanoseconds(one, one_type) == nanoseconds(other, other_type)
    if is_day(one_type) and is_day(other_type) and is_zoned(one_type) == is_zoned(other_type):
        return nanoseconds(one, one_type) == nanoseconds(other, other_type)
    return pl.lit(False)


def whole(value: pl.Expr) -> pl.Expr:
    """A float as a whole number; null if it is not one."""
    return pl.when(value.is_finite() & (value.floor() == value)).then(value.cast(pl.Int128, strict=False))


def are_decimal(one: pl.DataType, other: pl.DataType) -> bool:
    """Whether values of two types are compared as decimals: one of them is a decimal, the other one, too, or whole."""
    return (one.is_decimal() or other.is_decimal()) and all(t.is_decimal() or t.is_integer() for t in (one, other))


def common_decimal(one: pl.DataType, other: pl.DataType) -> pl.Decimal:
    """The type in which two types are compared that ``are_decimal``; values that are too large for it equal nothing."""
    return pl.Decimal(_DIGITS, max(t.scale for t in (one, other) if isinstance(t, pl.Decimal)))


def is_text(dtype: pl.DataType) -> bool:
    """Whether values of this type are texts."""
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def is_day(dtype: pl.DataType) -> bool:
    """Whether values of this type are points in time."""
    return isinstance(dtype, pl.Date | pl.Datetime)


def is_zoned(dtype: pl.DataType) -> bool:
    """Whether values of this type have a time zone."""
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None


def nanoseconds(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Points in time or durations as whole nanoseconds of 128 bits, exact for every unit."""
    ticks = _TICKS[dtype.time_unit] if isinstance(dtype, pl.Datetime | pl.Duration) else _DAY
    return value.to_physical().cast(pl.Int128) * ticks
