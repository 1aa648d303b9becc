"""Digests: hashes that stand for values of two versions, whatever their types are.

A digest is the sum of a hash of each column, each with a seed of its own that is drawn for every comparison, so that
nobody can make rows whose digests collide. Values have the same digest if they are equal as ``values.equality`` says,
and others have it with a chance of 1 in 2^64. Rows are matched by two digests, as pairs of rows are many.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import polars as pl

from service.values import equality


def seeds(count: int) -> list[int]:
    """New seeds for the digest of ``count`` columns."""
    return [secrets.randbits(63) for _ in range(count)]


def digest(values: Sequence[pl.Expr], seeds: Sequence[int]) -> pl.Expr:
    """One whole number of 64 bits for the values of a row."""
    hashes = [value.hash(seed) for value, seed in zip(values, seeds, strict=True)]
    return pl.sum_horizontal(hashes) if hashes else pl.lit(0, pl.UInt64)


def has_form(one: pl.DataType, other: pl.DataType) -> bool:
    """Whether the values of two types have one form in which equal ones are equal."""
    return (
        one == other
        or (one.is_integer() and other.is_integer())
        or (one.is_float() and other.is_float())
        or (equality.is_text(one) and equality.is_text(other))
        or _are_times(one, other)
    )


def _are_times(one: pl.DataType, other: pl.DataType) -> bool:
    days = equality.is_day(one) and equality.is_day(other) and equality.is_zoned(one) == equality.is_zoned(other)
    return days or (isinstance(one, pl.Duration) and isinstance(other, pl.Duration))


def form(column: pl.Expr, dtype: pl.DataType, other: pl.DataType) -> pl.Expr:
    """A column of ``dtype`` in the form in which values of both types match; only for types with ``has_form``."""
    if equality.is_text(dtype):
        return column if isinstance(dtype, pl.String) else column.cast(pl.String)
    if dtype == other:
        return column
    if dtype.is_integer():
        return column.cast(pl.Int128)
    if dtype.is_float():
        return column.cast(pl.Float64)
    return equality.nanoseconds(column, dtype)


def comparable(column: pl.Expr, dtype: pl.DataType, other: pl.DataType, label: str) -> pl.Expr:
    """A column of ``dtype`` so that its values are equal to those of type ``other`` made so just if they are equal.

    ``label`` differs between the two columns: values of types that have nothing in common get it, to differ always.
    """
    if has_form(dtype, other):
        return form(column, dtype, other)
    if isinstance(dtype, pl.Null) or isinstance(other, pl.Null):
        return column.is_not_null()
    if dtype.is_integer() and other.is_float():
        return pl.struct(whole=column.cast(pl.Int128), part=pl.lit(None, pl.Float64))
    if dtype.is_float() and other.is_integer():
        whole = equality.whole(column)
        return pl.struct(whole=whole, part=pl.when(whole.is_null()).then(column.cast(pl.Float64)))
    if equality.are_decimal(dtype, other):
        return pl.struct(value=column.cast(equality.common_decimal(dtype, other), strict=False), null=column.is_null())
    return pl.when(column.is_not_null()).then(pl.lit(label))
