"""Division by a number in SQL, exact in every row: the number becomes a column.

The engine divides a column by a number by multiplying with its reciprocal, and a row alone truly: ``49 / 49`` would be
0.9999999999999999 among other rows, its ``floor`` 0, and 1 where a record is served by itself. What is written from
tokens (``expression``) has its divisors as columns from there; this is for what has groups and windows in it.
"""

from __future__ import annotations

import polars as pl
import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.duckdb import DuckDB

_CALCULATED = (exp.Paren, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div)


def exact(text: str, schema: pl.Schema, dialect: type[Dialect] = DuckDB) -> str:
    """``text``, a query or an expression that is known to be good, with columns for divisors.

    It is read and written in ``dialect``: what a query does not say of its order depends on that. Decimals are
    divided by what they were: the type of a quotient depends on it.
    """
    if "/" not in text:
        return text
    others = {name for name, dtype in schema.items() if not isinstance(dtype, pl.Decimal)}

    def divided(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Div | exp.IntDiv) and _is_number(node.expression):
            like = _long(node.this)
            if like is not None and (len(others) == len(schema) or _names(node.this) <= others):
                node.set("expression", _column(node.expression, like))
        return node

    return sqlglot.parse_one(text, dialect=dialect).transform(divided).sql(dialect=dialect, identify=True)


def _names(node: exp.Expr) -> set[str]:
    return {column.name for column in node.find_all(exp.Column)}


def _is_number(node: exp.Expr) -> bool:
    if isinstance(node, exp.Cast):
        return isinstance(node.this, exp.Literal)
    if isinstance(node, exp.Literal):
        return not node.is_string
    return isinstance(node, _CALCULATED) and all(_is_number(part) for part in node.iter_expressions())


def _long(dividend: exp.Expr) -> exp.Expr | None:
    """What has a value in every row, or group, that ``dividend`` has one in."""
    for node in dividend.walk(prune=lambda n: isinstance(n, exp.Query | exp.AggFunc | exp.Window)):
        if isinstance(node, exp.Query):
            return None
        if isinstance(node, exp.Column | exp.AggFunc | exp.Window):
            return node.copy()
    return None


def _column(number: exp.Expr, like: exp.Expr) -> exp.Expr:
    whole = all(str(n.this).isdigit() for n in number.find_all(exp.Literal)) and not number.find(exp.Cast)
    missing = exp.cast(exp.Is(this=like, expression=exp.Null()), "bigint" if whole else "double")
    nothing = exp.Mul(this=missing, expression=exp.Literal.number(0))
    return exp.paren(exp.Add(this=nothing, expression=exp.paren(number.copy(), copy=False)), copy=False)
