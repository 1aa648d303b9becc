"""Nanoseconds in SQL: DuckDB adds and subtracts moments in microseconds, and rounds those of TIMESTAMP_NS silently.

Columns that such an operation reads are guarded: a value with nanoseconds is an error there instead of another value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from service.sandbox import expression_tree
from service.sandbox.expression_tree import Node

_ROUNDING = frozenset({"+", "-", "add", "subtract", "date_add", "age", "avg", "mean"})
_THROUGH = _ROUNDING | {
    "any_value", "arg_max", "arg_min", "coalesce", "first", "first_value", "greatest", "if", "ifnull", "lag", "last",
    "last_value", "lead", "least", "max", "max_by", "min", "min_by", "mode", "nullif",
}  # fmt: skip
"""Functions that answer a moment if their argument is one. Others answer another type, or values of the user."""


def guarded(tree: Node, schema: Mapping[str, pl.DataType]) -> frozenset[str]:
    """The columns of ``schema`` in nanoseconds that the tree adds to, subtracts from or averages."""
    moments = {
        name.casefold(): name
        for name, dtype in schema.items()
        if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns" and dtype.time_zone is None
    }
    found: set[str] = set()
    known = {name.casefold() for name in schema}
    for node in expression_tree.walk(tree) if moments else ():
        if str(node.get("function_name", "")).lower() in _ROUNDING:
            names = set(_read(list(node.values())))
            # a name that is not a column may be that of one in a subquery
            found |= moments.keys() if names - known else names & moments.keys()
    return frozenset(moments[name] for name in found)


def _read(value: Any) -> Iterator[str]:
    """The names of the columns whose values, not those of another function, a part of a tree reads."""
    if isinstance(value, list):
        for item in value:
            yield from _read(item)
    elif isinstance(value, dict):
        function = str(value.get("function_name", "")).lower()
        if value.get("class") == "COLUMN_REF":
            yield str(value["column_names"][-1]).casefold()
        elif value.get("class") != "CAST" and (not function or function in _THROUGH):
            yield from _read(list(value.values()))
