"""SQL aggregates over the rows of a group: expressions inside of them, the aggregates, and expressions around them.

``sum(price * n) / count(*)`` is taken apart: what is inside and around an aggregate is an expression over one row, of
the rows and of the groups, and DuckDB evaluates it (``row_sql``); the aggregates themselves are Polars expressions of a
closed table (``aggregates``), so that a group needs no second engine over all rows.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import duckdb
import polars as pl

from service.engine import aggregates, duckdb_messages, row_sql
from service.engine.row_sql import Place, RowSql
from service.expressions import functions, scalar, tokens
from service.sandbox import expression_tree
from service.sandbox.expression_tree import Node
from service.values import polars_errors

_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Part:
    """One aggregate of an expression: the ``name`` of its column, the expression ``inside`` of it (None: a column as it
    is, or nothing), how it is made, and its type."""

    name: str
    inside: RowSql | None
    expr: pl.Expr
    dtype: pl.DataType
    narrow: bool

    @property
    def prepared(self) -> str:
        """The name of the column that holds what is inside, for every row."""
        return f"{self.name}_in"


@dataclass(frozen=True)
class GroupSql:
    """An expression over the rows of a group: its aggregates, and what is done with them."""

    text: str
    parts: tuple[Part, ...]
    around: RowSql
    dtype: pl.DataType

    def prepare(self, at: Place) -> list[pl.Expr]:
        """Columns for every row, which the aggregates need."""
        return [p.inside.expr(at).alias(p.prepared) for p in self.parts if p.inside is not None]

    def aggregate(self) -> list[pl.Expr]:
        """The aggregates, for ``Frame.group``."""
        return [part.expr.alias(part.name) for part in self.parts]

    def finish(self, at: Place) -> tuple[list[pl.Expr], pl.Expr]:
        """Of the groups: the aggregates in 64 bits, and then the value."""
        narrowed = [
            pl.map_batches(
                [part.name], functools.partial(_narrow, self.text, at), return_dtype=pl.Int64(), is_elementwise=True
            ).alias(part.name)
            for part in self.parts
            if part.narrow
        ]
        return narrowed, self.around.expr(at)


def compiled(text: str, schema: pl.Schema, label: str) -> GroupSql:
    """The expression over columns of ``schema``; ``label`` begins the names of the columns that it needs on the way.

    Raises ``ValueError`` that says what is wrong with it, ``scalar.NoColumn`` where a column does not exist.
    """
    cursor = row_sql.connection().cursor()
    node = expression_tree.read(cursor, scalar.aggregate(text))
    expression_tree.review(node, _check_function)
    parts: list[Part] = []
    try:
        around = _taken_apart(node, schema, label, parts)
    except duckdb.Error as error:
        raise ValueError(duckdb_messages.of_text(error)) from error
    known = pl.Schema({part.name: part.dtype for part in parts})
    for path, _ in expression_tree.columns(around):
        if path[0] not in known:
            raise ValueError(f"'{path[0]}' stands outside of an aggregate, where a group has many values of it")
    made = row_sql.of_tree(text, around, known)
    return GroupSql(text, tuple(parts), made, made.dtype)


def _check_function(name: str) -> None:
    tokens.check_function(name, tokens.EXPRESSION, functions.ROW | functions.GROUP)


def _taken_apart(value: Any, schema: pl.Schema, label: str, parts: list[Part]) -> Any:
    """The tree with a column in the place of each aggregate, which is added to ``parts``."""
    if isinstance(value, list):
        return [_taken_apart(item, schema, label, parts) for item in value]
    if not isinstance(value, dict):
        return value
    if str(value.get("function_name", "")).lower() in functions.GROUP and not value.get("is_operator"):
        part = _part(value, schema, f"{label}_{len(parts)}")
        parts.append(part)
        return expression_tree.column(part.name)
    return {key: _taken_apart(item, schema, label, parts) for key, item in value.items()}


def _part(node: Node, schema: pl.Schema, name: str) -> Part:
    function = str(node["function_name"]).lower()
    if set(node.get("order_bys", {})) - {"type"}:
        raise ValueError(f"ORDER BY inside of {function} is not supported; sort the rows before")
    inside = [argument["expression"] for argument in node.get("arguments", ())]
    _check_inside([*inside, node.get("filter")], function)
    if function in ("count_star", "count") and not inside:
        if "filter" not in node:
            return Part(name, None, pl.len().cast(pl.Int64), pl.Int64(), narrow=False)
        condition = _inside(node["filter"], schema)
        column = pl.col(condition if isinstance(condition, str) else f"{name}_in")
        made = condition if isinstance(condition, RowSql) else None
        return Part(name, made, aggregates.count_true(column), pl.Int64(), narrow=False)
    if len(inside) != 1:
        raise ValueError(f"{function} takes one argument")
    argument = inside[0] if "filter" not in node else _only_where(inside[0], node["filter"])
    part = _inside(argument, schema)
    given = schema[part] if isinstance(part, str) else part.dtype
    dtype = aggregates.wide(given)
    function = aggregates.SAME.get(function, function)
    found = aggregates.find(function, dtype)
    column = pl.col(part if isinstance(part, str) else f"{name}_in")
    column = column if dtype == given else column.cast(dtype)
    if node.get("distinct"):
        column = column.drop_nulls().unique(maintain_order=function in ("first", "last", "any_value"))
    return Part(
        name, part if isinstance(part, RowSql) else None, found.build(column, dtype), found.dtype(dtype), found.narrow
    )


def _inside(node: Node, schema: pl.Schema) -> RowSql | str:
    """What an aggregate is of: a column as it is, or an expression."""
    if node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
        return row_sql.used(node, schema)[0]
    (text,) = expression_tree.sql(row_sql.connection().cursor(), node)
    return row_sql.of_tree(text, node, schema)


def _only_where(value: Node, condition: Node) -> Node:
    check = {"when_expr": condition, "then_expr": value}
    nothing = {"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": {"kind": "NULL_LITERAL"}}
    return {"class": "CASE", "type": "CASE_EXPR", "case_checks": [check], "else_expr": nothing}


def _check_inside(nodes: Collection[Node | None], function: str) -> None:
    for part in expression_tree.walk(list(nodes)):
        inner = str(part.get("function_name", "")).lower()
        if inner in functions.GROUP and not part.get("is_operator"):
            raise ValueError(f"an aggregate cannot contain another one: {inner} in {function}")


def _narrow(text: str, at: Place, series: list[pl.Series]) -> pl.Series:
    """Whole numbers of 128 bits in 64, or an error that shows the first that does not fit."""
    (values,) = series
    beyond = values.filter((values < _LEAST) | (values > _MOST))
    if len(beyond):
        field = at[1].removeprefix("config.")
        raise polars_errors.placed(
            f"{field}: {text}: the sum {beyond[0]} does not fit 64 bits; sum(CAST(x AS DECIMAL(38, 0))) holds it", at
        )
    return values.cast(pl.Int64)
