"""Comparisons that the engine makes although they say nothing: a date with a number, a decimal with a text.

``day > 2024`` is true of every day since 1975, because the engine compares the days since 1970; ``price = '5'`` is
false of every decimal. Both are refused, as most databases do, where the columns' types are known. A date may be
compared with a text, which is read as one, and a boolean with 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import polars as pl
from sqlglot import exp

from service.values import dtypes

Kind = Literal["number", "decimal", "text", "time", "boolean"]

_COMPARED = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_NUMBERS = (exp.DType.DOUBLE, exp.DType.FLOAT, exp.DType.BIGINT, exp.DType.INT)
_TIMES = (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIME, exp.DType.DATETIME)
_MEANINGLESS = (
    {"time", "number"}, {"time", "decimal"}, {"time", "boolean"}, {"decimal", "text"}, {"boolean", "text"},
)  # fmt: skip


def check(tree: exp.Expr, schema: Mapping[str, pl.DataType]) -> None:
    """Raise ``ValueError`` where a column of ``schema`` is compared with what is never equal to it."""
    for one, other in _pairs(tree):
        kinds = {_kind(one, schema), _kind(other, schema)}
        if kinds in _MEANINGLESS and not _truth(one, other):
            column, beside = (one, other) if isinstance(one, exp.Column) else (other, one)
            raise ValueError(f"{_said(column, schema)} cannot be compared with {_said(beside, schema)}")


def _said(node: exp.Expr, schema: Mapping[str, pl.DataType]) -> str:
    if isinstance(node, exp.Column):
        return f"'{node.name}' ({dtypes.name_of(schema[node.name])})"
    return node.sql(dialect="duckdb")


def _pairs(tree: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    for node in tree.find_all(*_COMPARED, exp.In, exp.Between):
        if isinstance(node, exp.In):
            others = node.expressions
        elif isinstance(node, exp.Between):
            others = [node.args["low"], node.args["high"]]
        else:
            others = [node.expression]
        yield from ((node.this.unnest(), other.unnest()) for other in others)


def _kind(node: exp.Expr, schema: Mapping[str, pl.DataType]) -> Kind | None:
    match node:
        case exp.Column() if node.name in schema:
            return _of(schema[node.name])
        case exp.Literal():
            return "text" if node.is_string else "number"
        case exp.Neg():
            return _kind(node.this, schema)
        case exp.Boolean():
            return "boolean"
        case exp.Cast():
            return "time" if node.to.this in _TIMES else "number" if node.to.this in _NUMBERS else None
        case _:
            return None


def _of(dtype: pl.DataType) -> Kind | None:
    if isinstance(dtype, pl.Date | pl.Datetime | pl.Time):
        return "time"
    if dtype.is_numeric():
        return "decimal" if dtype.is_decimal() else "number"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return "text"
    return "boolean" if isinstance(dtype, pl.Boolean) else None


def _truth(*sides: exp.Expr) -> bool:
    """Whether one side is the text of a boolean, which the engine reads as one."""
    return any(isinstance(s, exp.Literal) and s.is_string and s.this in ("true", "false") for s in sides)
