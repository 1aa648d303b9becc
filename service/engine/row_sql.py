"""Expressions over one row, evaluated by DuckDB inside a Polars plan.

An expression is compiled once for its text and the types of its columns, into a Polars expression that hands batches of
just these columns to DuckDB (Arrow, no copy) and takes the result back. So a text means what it means to DuckDB because
DuckDB evaluates it; nothing is translated. The plan stays lazy: the expression is elementwise, so that filters and
projections go past it, and it streams.

A batch is evaluated on the thread that has it, by one of a few connections that wait for the next one.
"""

from __future__ import annotations

import atexit
import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from service.engine import duckdb_messages, duckdb_types, nanoseconds
from service.expressions import functions, scalar, tokens
from service.kit import errors
from service.sandbox import expression_tree, in_process
from service.sandbox.expression_tree import Node
from service.values import polars_errors

_CACHED = 512  # one job validates, dry-runs and runs the same texts
_TABLE = "input"
_BATCH = "batch"

Place = tuple[str, str]
"""The step and the field that an error names."""


class Batch:
    """What a connection reads as the table ``batch``: the frame that is evaluated just now."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


class _Lane:
    """A connection with the expression bound to its batch."""

    def __init__(self, zone: str, sql: str, empty: pl.DataFrame) -> None:
        self._empty, self._batch = empty, Batch(empty)
        self._cursor = connection(zone).cursor()
        self._cursor.register(_BATCH, self._batch)
        self.relation = self._cursor.sql(sql)

    def run(self, frame: pl.DataFrame) -> pl.Series:
        self._batch.frame = frame
        try:
            found = cast(pl.DataFrame, pl.from_arrow(self.relation.to_arrow_table()))
        finally:
            self._batch.frame = self._empty
        return found.to_series()


class RowSql:
    """A compiled expression: its ``text``, the ``columns`` that it reads, and the ``dtype`` of its values."""

    def __init__(self, text: str, sql: str, types: Mapping[str, pl.DataType], zone: str, dtype: pl.DataType):
        self.text, self.columns, self.dtype = text, tuple(types), dtype
        self._sql, self._types, self._zone = sql, dict(types), zone
        self._empty = _batch_of(types)
        self._lanes: list[_Lane] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return _shipped, (self.text, self._sql, tuple(self._types.items()), self._zone, self.dtype)

    def expr(self, at: Place | None = None, names: Mapping[str, str] | None = None) -> pl.Expr:
        """The expression for a plan. ``at`` is the place that an error names; ``names`` maps columns that it reads to
        the columns of the plan that are read in their stead.

        Executing it raises ``polars.exceptions.ComputeError``, which ``polars_errors`` translates.
        """
        if not self.columns:
            return self._constant(at)
        there = names or {}
        inputs = [duckdb_types.handed_over(there.get(n, n), t) for n, t in self._types.items()]
        return pl.map_batches(
            inputs, functools.partial(_evaluate, self, at), return_dtype=self.dtype, is_elementwise=True
        )

    def evaluate(self, series: Sequence[pl.Series]) -> pl.Series:
        """The values for a batch of the columns, as they were handed over. Raises ``duckdb.Error``."""
        height = max(len(s) for s in series)
        if height == 0:
            return pl.Series([], dtype=self.dtype)
        whole = [s if len(s) == height else s.new_from_index(0, height) for s in series]
        frame = pl.DataFrame([s.alias(n) for s, n in zip(whole, self._empty.columns, strict=True)])
        lane = self._lanes.pop() if self._lanes else _Lane(self._zone, self._sql, self._empty)
        found = lane.run(frame)
        self._lanes.append(lane)  # one that failed is not used again
        if len(found) != height:
            raise errors.PenstockError(f"an expression made {len(found)} values of {height} rows")
        return found if found.dtype == self.dtype else found.cast(self.dtype)

    def _constant(self, at: Place | None) -> pl.Expr:
        try:
            found = cast(pl.DataFrame, pl.from_arrow(connection(self._zone).cursor().sql(self._sql).to_arrow_table()))
        except duckdb.Error as error:
            raise failure(self.text, error, at) from None
        value = found.to_series().cast(self.dtype)
        plain = not self.dtype.is_nested() and not self.dtype.is_temporal()  # Python has no nanoseconds, no year 10000
        return pl.lit(value.item(), dtype=self.dtype) if plain else pl.lit(value).first()


def _evaluate(compiled: RowSql, at: Place | None, series: Sequence[pl.Series]) -> pl.Series:
    try:
        return compiled.evaluate(series)
    except duckdb.Error as error:
        raise failure(compiled.text, error, at) from None


def failure(text: str, error: Exception, at: Place | None) -> pl.exceptions.ComputeError:
    """The error of an expression that cannot be evaluated for a row, as a plan raises it."""
    field = f"{at[1].removeprefix('config.')}: " if at else ""
    short = text if len(text) <= 200 else f"{text[:197]}..."
    return polars_errors.placed(f"{field}{short}: {duckdb_messages.of_row(error)}", at)


@functools.lru_cache(8)
def connection(zone: str = "UTC") -> duckdb.DuckDBPyConnection:
    """This process's closed connection for expressions, in which times are those of ``zone``. Take a cursor of it."""
    return in_process.connect(threads=1, memory_bytes=in_process.free_memory(), zone=zone)


@atexit.register
def _forget() -> None:
    _compiled.cache_clear()
    _shipped.cache_clear()
    connection.cache_clear()


def compiled(text: str, schema: pl.Schema) -> RowSql:
    """The expression over columns of ``schema``; reads no rows.

    Raises ``ValueError`` that says what is wrong with it, ``scalar.NoColumn`` where a column does not exist.
    """
    return _compiled(scalar.parse(text), tuple(schema.items()))


@functools.lru_cache(_CACHED)
def _compiled(text: str, columns: tuple[tuple[str, pl.DataType], ...]) -> RowSql:
    cursor = connection().cursor()
    node = expression_tree.read(cursor, text)
    expression_tree.review(node, check_function)
    return of_tree(text, node, pl.Schema(columns))


@functools.lru_cache(_CACHED)
def _shipped(
    text: str, sql: str, columns: tuple[tuple[str, pl.DataType], ...], zone: str, dtype: pl.DataType
) -> RowSql:
    """An expression in the process that executes a plan: it was reviewed where the plan was made."""
    return RowSql(text, sql, dict(columns), zone, dtype)


def check_function(name: str) -> None:
    """Raise ``ValueError`` where an expression over one row may not call a function."""
    tokens.check_function(name, tokens.EXPRESSION, functions.ROW)


def of_tree(text: str, node: Node, schema: pl.Schema) -> RowSql:
    """The expression of a tree that was reviewed. ``text`` is what errors show of it. Raises ``ValueError``."""
    types = {name: schema[name] for name in used(node, schema)}
    zone = duckdb_types.zone_of(types.values())
    cursor = connection(zone).cursor()
    batch = _batch_of(types)
    if types:
        cursor.register(_BATCH, Batch(batch))
    try:
        sql, kind = _bound(cursor, node, types, batch, wide=not expression_tree.sees_width(node))
    except duckdb.BinderException as error:
        try:  # a function may take an INTEGER and no BIGINT
            sql, kind = _bound(cursor, node, types, batch, wide=False)
        except duckdb.Error:
            raise ValueError(duckdb_messages.of_text(error)) from error
    except duckdb.Error as error:
        raise ValueError(duckdb_messages.of_text(error)) from error
    done = duckdb_types.result(kind, zone)
    if kind.id in duckdb_types.INTEGERS and node.get("class") != "CAST":
        done = duckdb_types.Result("CAST({} AS BIGINT)", pl.Int64())
    select = f"SELECT {done.template.format('x')} AS x FROM ({sql}) AS made"  # noqa: S608 - it was reviewed
    return RowSql(text, sql if done.plain else select, types, zone, done.dtype)


def _bound(
    cursor: duckdb.DuckDBPyConnection, node: Node, types: Mapping[str, pl.DataType], batch: pl.DataFrame, *, wide: bool
) -> tuple[str, DuckDBPyType]:
    """The SELECT that evaluates a tree as the column ``x``, and the type of that."""
    guarded = nanoseconds.guarded(node, types)
    read = ", ".join(
        duckdb_types.reading(column, name, dtype, wide=wide, guarded=name in guarded)
        for column, (name, dtype) in zip(batch.columns, types.items(), strict=True)
    )
    source = f" FROM (SELECT {read} FROM {_BATCH}) AS {_TABLE}" if types else ""  # noqa: S608
    tree = copy.deepcopy(node)
    _widen(cursor, tree, source)
    (text,) = expression_tree.sql(cursor, tree)
    sql = f"SELECT ({text}) AS x{source}"
    (kind,) = cursor.sql(sql).types
    return sql, kind


def _batch_of(types: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A batch without rows. Its columns are named by their places: a NUL in a name would end the process."""
    return pl.DataFrame(schema={f"c{place}": duckdb_types.physical(t) for place, t in enumerate(types.values())})


def used(node: Node, schema: pl.Schema) -> list[str]:
    """The columns of ``schema`` that a tree refers to, in order. Raises ``scalar.NoColumn``, ``ValueError``."""
    folded: dict[str, list[str]] = {}
    for name in schema:
        folded.setdefault(name.casefold(), []).append(name)
    found: dict[str, None] = {}
    for path, in_lambda in expression_tree.columns(node):
        wanted = path[1] if len(path) > 1 and path[0].casefold() == _TABLE and _TABLE not in folded else path[0]
        same = folded.get(wanted.casefold(), [])
        if wanted in schema:
            found[wanted] = None
        elif len(same) == 1:
            found[same[0]] = None
        elif len(same) > 1:
            raise ValueError(f"'{wanted}' could be any of the columns {', '.join(same)}; write it as one of them")
        elif not in_lambda:
            raise scalar.NoColumn(f"no column '{wanted}' here{errors.did_you_mean(wanted, schema)}")
    twins = [name for name in found if any(o != name and o.casefold() == name.casefold() for o in found)]
    if twins:
        raise ValueError(f"the columns {', '.join(twins)} differ in case only; rename one of them before")
    return list(found)


def _widen(cursor: duckdb.DuckDBPyConnection, node: Node, source: str) -> None:
    """Let sums, differences and products of small whole numbers count in 64 bits: columns do already, literals and
    what some functions and CASE answer do not."""
    sums = [
        part
        for part in expression_tree.walk(node)
        if part.get("function_name") in ("+", "-", "*") and part.get("is_operator") and len(part["arguments"]) == 2
    ]
    if not sums or any(p.get("class") == "LAMBDA" for p in expression_tree.walk(node)):
        return
    sides = [side["expression"] for part in sums for side in part["arguments"]]
    if not any(_may_be_small(side) for side in sides):
        return
    kinds = [t.id for t in cursor.sql(f"SELECT {', '.join(expression_tree.sql(cursor, *sides))}{source}").types]
    for place, part in enumerate(sums):
        if {kinds[2 * place], kinds[2 * place + 1]} <= duckdb_types.INTEGERS:
            left = part["arguments"][0]
            left["expression"] = expression_tree.cast(left["expression"], "BIGINT")


def _may_be_small(node: Node) -> bool:
    return node.get("class") != "COLUMN_REF"


def derive(lf: pl.LazyFrame, name: str, expression: RowSql, at: Place | None = None) -> pl.LazyFrame:
    """``lf`` with the values of the expression as the column ``name``, the last one where it is new."""
    return lf.with_columns(expression.expr(at).alias(name))


def where(lf: pl.LazyFrame, condition: RowSql, at: Place | None = None) -> pl.LazyFrame:
    """The rows for which the condition is true (neither false nor null), in their order."""
    return lf.filter(condition.expr(at))
