"""The aggregates of ``aggregate``, as Polars expressions over the rows of a group: one closed table.

Each answers what DuckDB answers (a test compares every row of the table with it): missing values are left out, nothing
but missing values gives null, NaN is the greatest number. Whole numbers are added in 128 bits, so that a sum that does
not fit 64 is found and not wrapped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from service.engine import steady_sums
from service.values import dtypes

Kind = Literal["integer", "float", "decimal", "boolean", "text", "time", "clock", "duration", "other"]
_NUMBERS: frozenset[Kind] = frozenset({"integer", "float", "decimal"})
_ORDERED: frozenset[Kind] = frozenset({*_NUMBERS, "boolean", "text", "time", "clock", "duration"})
_EVERY: frozenset[Kind] = frozenset({*_ORDERED, "other"})
_INSTEAD: dict[Kind, str] = {
    "boolean": "write {}(CAST(x AS INTEGER))", "decimal": "write {}(CAST(x AS DOUBLE))",
    "text": "write {}(CAST(x AS DOUBLE)) if the texts are numbers",
}  # fmt: skip
"""What to write for values that an aggregate does not take; of other kinds, a ``sql`` step takes more."""
_SMALL = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)


@dataclass(frozen=True)
class Aggregate:
    """One aggregate: the kinds of values that it takes, its expression, and the type that this has.

    ``narrow``: the values are whole numbers of 128 bits, which must be brought into 64.
    """

    kinds: frozenset[Kind]
    build: Callable[[pl.Expr, pl.DataType], pl.Expr]
    dtype: Callable[[pl.DataType], pl.DataType]
    narrow: bool = False


def kind_of(dtype: pl.DataType) -> Kind:
    """The kind of values that a column of that type has."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "float"
    if isinstance(dtype, pl.Duration):
        return "duration"
    if isinstance(dtype, pl.Time):
        return "clock"
    if dtype.is_temporal():
        return "time"
    match dtype:
        case pl.Decimal():
            return "decimal"
        case pl.Boolean():
            return "boolean"
        case pl.String() | pl.Categorical() | pl.Enum():
            return "text"
        case _:
            return "other"


def wide(dtype: pl.DataType) -> pl.DataType:
    """The type that values of a column are looked at in: 64 bits for whole numbers, text for categories."""
    if isinstance(dtype, _SMALL):
        return pl.Int64()
    return pl.String() if isinstance(dtype, pl.Categorical | pl.Enum) else dtype


def find(name: str, dtype: pl.DataType) -> Aggregate:
    """The aggregate ``name`` over values of that type. Raises ``ValueError`` where it takes no such values."""
    kind = kind_of(dtype)
    for row in TABLE[name]:
        if kind in row.kinds:
            return row
    instead = _INSTEAD.get(kind, "use a sql step: SELECT key, {}(x) AS y FROM input GROUP BY key").format(name)
    raise ValueError(f"{name} of {dtypes.name_of(dtype)} values is not supported here; {instead}")


def _present(column: pl.Expr, made: pl.Expr) -> pl.Expr:
    return pl.when(column.count() > 0).then(made)


def _float(column: pl.Expr) -> pl.Expr:
    return column.cast(pl.Float64)


def _count(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return column.count().cast(pl.Int64)


def count_true(column: pl.Expr) -> pl.Expr:
    """The number of true values, 0 without any."""
    return column.cast(pl.Int64).sum()


def _count_true(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return _present(column, count_true(column))


def _sum_128(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return _present(column, column.cast(pl.Int128).sum())


def _sum_float(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return _present(column, steady_sums.total(_float(column)))


def _sum_decimal(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return _present(column, column.cast(_widest(dtype)).sum())


def _mean_128(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return _present(column, _float(column.cast(pl.Int128).sum()) / _float(column.count()))


def _mean(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return steady_sums.mean(_float(column))


def _greatest_float(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return pl.when(column.is_nan().any()).then(pl.lit(float("nan"), dtype=dtype)).otherwise(column.max())


def _median(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return _float(column).median()


def _middle_time(column: pl.Expr, _: pl.DataType) -> pl.Expr:
    return column.cast(pl.Datetime("us")).median()


def _spread(function: str, ddof: int) -> tuple[Aggregate, ...]:
    def build(column: pl.Expr, _: pl.DataType) -> pl.Expr:
        return _present(column, getattr(_float(column), function)(ddof=ddof))

    return (Aggregate(_NUMBERS, build, _double),)


def _double(_: pl.DataType) -> pl.DataType:
    return pl.Float64()


def _whole(_: pl.DataType) -> pl.DataType:
    return pl.Int64()


def _truth(_: pl.DataType) -> pl.DataType:
    return pl.Boolean()


def _moment(_: pl.DataType) -> pl.DataType:
    return pl.Datetime("us")


def _widest(dtype: pl.DataType) -> pl.DataType:
    assert isinstance(dtype, pl.Decimal)
    return pl.Decimal(38, dtype.scale)


_INTEGER: frozenset[Kind] = frozenset({"integer"})
_FLOAT: frozenset[Kind] = frozenset({"float"})
_BOOLEAN: frozenset[Kind] = frozenset({"boolean"})
_EXTREMES = _ORDERED - _FLOAT

TABLE: dict[str, tuple[Aggregate, ...]] = {
    "count": (Aggregate(_EVERY, _count, _whole),),
    "count_if": (Aggregate(_BOOLEAN, _count_true, _whole),),
    "sum": (
        Aggregate(_INTEGER | _BOOLEAN, _sum_128, _whole, narrow=True),
        Aggregate(_FLOAT, _sum_float, _double),
        Aggregate(frozenset({"decimal"}), _sum_decimal, _widest),
    ),
    "avg": (
        Aggregate(_INTEGER, _mean_128, _double),
        Aggregate(frozenset({"float", "decimal"}), _mean, _double),
    ),
    "min": (Aggregate(_ORDERED, lambda c, _: c.min(), wide),),
    "max": (Aggregate(_FLOAT, _greatest_float, wide), Aggregate(_EXTREMES, lambda c, _: c.max(), wide)),
    "median": (
        Aggregate(frozenset({"integer", "float"}), _median, _double),
        Aggregate(frozenset({"time"}), _middle_time, _moment),
    ),
    "stddev": _spread("std", 1),
    "stddev_pop": _spread("std", 0),
    "variance": _spread("var", 1),
    "var_pop": _spread("var", 0),
    "first": (Aggregate(_EVERY, lambda c, _: c.first(), wide),),
    "last": (Aggregate(_EVERY, lambda c, _: c.last(), wide),),
    "any_value": (Aggregate(_EVERY, lambda c, _: c.drop_nulls().first(), wide),),
    "bool_and": (Aggregate(_BOOLEAN, lambda c, _: _present(c, c.all()), _truth),),
    "bool_or": (Aggregate(_BOOLEAN, lambda c, _: _present(c, c.any()), _truth),),
}
"""Name to what it is for which kinds of values, the first that fits."""

SAME = {
    "countif": "count_if",
    "mean": "avg",
    "stddev_samp": "stddev",
    "var_samp": "variance",
}
"""Other names of some."""
