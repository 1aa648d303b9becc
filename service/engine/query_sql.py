"""SELECTs over the current data, run by DuckDB: over Parquet files into one, out of core, or over rows in memory.

A query is reviewed by the gate of the query workers and by closed lists of functions, on DuckDB's own tree. It reads
one table, ``input``. What goes through as it is keeps its type (small whole numbers, categories, time zones); rows keep
their order where the query does not group, join or sort.
"""

from __future__ import annotations

import errno
import functools
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from service.engine import duckdb_messages, duckdb_types, nanoseconds, row_sql
from service.engine.query_tree import Local, check, check_renamed, kept, local_tree
from service.expressions import scalar, select
from service.kit import errors
from service.sandbox import expression_tree, gate, in_process
from service.sandbox.quoting import literal, quoted

GROUP_ROWS = 16_384
"""Of the file with the result. DuckDB keeps memory after a query, and Polars reads several groups ahead: with eight
times as many rows a million of 350 bytes ended a run of 512 MiB."""
_CACHED = 64
_NO_COLUMN = re.compile(r"[Cc]olumn \"(?P<one>[^\"]*)\".* not found|does not have a column named \"(?P<other>[^\"]*)\"")
_KNOWN = re.compile(r"Candidate bindings?: (.*)", re.DOTALL)


@dataclass(frozen=True)
class Query:
    """A query that may be run: its text, the columns that it reads, and those of its result.

    ``results`` say how each column is taken over from DuckDB; ``schema`` are the types in the end. ``guarded`` are
    the columns that may not hold nanoseconds.
    """

    text: str
    input: pl.Schema
    results: tuple[duckdb_types.Result, ...]
    schema: pl.Schema
    zone: str
    wide: bool
    guarded: frozenset[str] = frozenset()

    @property
    def select(self) -> str:
        """What is executed: the text, its columns in types that both engines have."""
        if all(r.plain for r in self.results):
            return self.text
        names = [f"c{place}" for place in range(len(self.results))]
        columns = ", ".join(
            f"{result.template.format(name)} AS {quoted(column)}"
            for result, name, column in zip(self.results, names, self.schema, strict=True)
        )
        return f"SELECT {columns} FROM (\n{self.text}\n) AS q({', '.join(names)})"  # noqa: S608 - it passed the gate

    def typed(self, lf: pl.LazyFrame) -> pl.LazyFrame:
        """What DuckDB made, in the types of ``schema``: first as the result's, then as that of what went through."""
        came = lf.collect_schema()
        changed = []
        for (name, dtype), result in zip(self.schema.items(), self.results, strict=True):
            column = pl.col(name) if came[name] == result.dtype else pl.col(name).cast(result.dtype)
            changed.append(column if dtype == result.dtype else column.cast(dtype))
        return lf.select(changed)


def described(text: str, schema: pl.Schema) -> Query:
    """The query over columns of ``schema``; reads no rows.

    Raises ``ValueError`` that says what is wrong with it, ``scalar.NoColumn`` where a column does not exist.
    """
    return _described(select.parse(text), tuple(schema.items()))


@functools.lru_cache(_CACHED)
def _described(text: str, columns: tuple[tuple[str, pl.DataType], ...]) -> Query:
    schema = pl.Schema(columns)
    zone = duckdb_types.zone_of(schema.values())
    cursor = row_sql.connection(zone).cursor()
    try:
        accepted = gate.accept(cursor, text)
        tree = gate.tree(cursor, accepted.select)
    except errors.Invalid as error:
        raise ValueError(f"cannot read the query: {error.message.removeprefix('Parser Error: ')}") from error
    except duckdb.Error as error:
        raise ValueError(f"cannot read the query: {duckdb_messages.of_text(error)}") from error
    check(accepted, tree, schema)
    check_renamed(tree, schema)
    names, kinds, wide = _bound(cursor, accepted.select, schema, wide=not expression_tree.sees_width(tree))
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise ValueError(f"two columns of the result are named '{twice}'; name one of them with AS")
    results = tuple(duckdb_types.result(kind, zone) for kind in kinds)
    made = {n: r.dtype for n, r in zip(names, results, strict=True)}
    through = kept(tree, schema, names)
    for name, source in through.items():
        if duckdb_types.restorable(made[name], schema[source]):
            made[name] = schema[source]
    return Query(accepted.select, schema, results, pl.Schema(made), zone, wide, nanoseconds.guarded(tree, schema))


def _bound(
    cursor: duckdb.DuckDBPyConnection, sql: str, schema: pl.Schema, *, wide: bool
) -> tuple[list[str], list[DuckDBPyType], bool]:
    """The names and types of the result, and whether whole numbers are read as BIGINT, which no function may mind."""
    first: duckdb.Error | None = None
    for widened in (True, False) if wide else (False,):
        _view(cursor, schema, _empty(schema), wide=widened)
        try:
            relation = cursor.sql(sql)
            return relation.columns, relation.types, widened
        except duckdb.Error as error:
            first = first or error
    assert first is not None
    raise _explained(first, schema) from first


class NotReadable(Exception):
    """DuckDB reads other columns in a Parquet file than Polars does."""


def over_files(query: Query, files: Sequence[Path], target: Path, spill: Path) -> pl.LazyFrame:
    """Run the query over Parquet files that hold its input, into the file ``target``; answers a scan of that.

    ``spill`` is a folder for what does not fit the memory; it must not exist, and is removed. Raises ``NotReadable``,
    ``ValueError`` for what fails at a row, ``MemoryError``, ``OSError``.
    """
    try:
        _copy(query, files, target, spill, threads=pl.thread_pool_size(), memory_bytes=in_process.free_memory())
    except MemoryError:  # each thread holds a partition of a window, for example: one of them needs half
        _copy(query, files, target, spill, threads=1, memory_bytes=in_process.free_memory(most=True))
    return query.typed(pl.scan_parquet(target, glob=False))


def _copy(query: Query, files: Sequence[Path], target: Path, spill: Path, *, threads: int, memory_bytes: int) -> None:
    spill.mkdir()
    connection = in_process.connect(
        threads=threads, memory_bytes=memory_bytes, zone=query.zone, spill=spill, files=[*files, target]
    )
    try:
        with _translated(query):
            paths = ", ".join(literal(str(f)) for f in files)
            source = f"read_parquet([{paths}], hive_partitioning = false)"
            stored = connection.sql(f"FROM {source}")
            handed = [duckdb_types.physical(t) for t in query.input.values()]
            if stored.columns != query.input.names() or not duckdb_types.same(stored.types, handed):
                raise NotReadable
            columns = ", ".join(f"c{place}" for place in range(len(query.input)))
            _view(connection, query.input, f"{source} AS batch({columns})", wide=query.wide, guarded=query.guarded)
            options = f"FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {GROUP_ROWS}"
            connection.execute(f"COPY (\n{query.select}\n) TO {literal(str(target))} ({options})")
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def over_rows(query: Query, rows: pl.DataFrame) -> pl.DataFrame:
    """Run the query over a few rows in memory. Raises ``ValueError`` for what fails at a row."""
    cursor = row_sql.connection(query.zone).cursor()
    handed = rows.select(handed_over(query.input)).rename({name: f"c{place}" for place, name in enumerate(query.input)})
    _view(cursor, query.input, handed, wide=query.wide, guarded=query.guarded)
    with _translated(query):
        found = cast(pl.DataFrame, pl.from_arrow(cursor.sql(query.select).to_arrow_table()))
    return query.typed(found.lazy()).collect()


def local(text: str, schema: pl.Schema, mark: str) -> Local | None:
    """The query if it looks at one row at a time, else None; see ``query_tree.local_tree``."""
    cursor = row_sql.connection().cursor()
    return local_tree(cursor, gate.tree(cursor, described(text, schema).text), mark)


def handed_over(schema: pl.Schema) -> list[pl.Expr]:
    """The columns in the types that DuckDB reads. Raises ``ValueError`` for types that it cannot read."""
    return [duckdb_types.handed_over(name, dtype).alias(name) for name, dtype in schema.items()]


def _empty(schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(schema={f"c{place}": duckdb_types.physical(t) for place, t in enumerate(schema.values())})


def _view(
    connection: duckdb.DuckDBPyConnection,
    schema: pl.Schema,
    source: pl.DataFrame | str,
    *,
    wide: bool,
    guarded: frozenset[str] = frozenset(),
) -> None:
    """Let ``input`` be the columns of ``schema``, which are c0, c1 … in the source."""
    if not isinstance(source, str):
        connection.register("batch", row_sql.Batch(source))
    read = ", ".join(
        duckdb_types.reading(f"c{place}", n, t, wide=wide, guarded=n in guarded)
        for place, (n, t) in enumerate(schema.items())
    )
    table = source if isinstance(source, str) else "batch"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {select.TABLE} AS SELECT {read} FROM {table}")  # noqa: S608


def _explained(error: duckdb.Error, schema: pl.Schema) -> ValueError:
    text = str(error)
    found = _NO_COLUMN.search(text)
    if found is None or not isinstance(error, duckdb.BinderException):
        return ValueError(duckdb_messages.of_text(error))
    name = found["one"] or found["other"]
    return scalar.NoColumn(f"no column '{name}' here{errors.did_you_mean(name, schema)}")


@contextmanager
def _translated(query: Query) -> Iterator[None]:
    """DuckDB's errors as a frame raises them; a column of the result is called what the query calls it."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        if "directory" in str(error) and "max_temp" in str(error):
            raise OSError(errno.ENOSPC, "No space left on device") from error
        raise MemoryError(duckdb_messages.of_row(error)) from error
    except duckdb.IOException as error:
        full = "No space left" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, duckdb_messages.of_row(error)) from error
    except duckdb.Error as error:
        names = list(query.schema)
        message = re.sub(r"\bcolumn c(\d+)\b", lambda m: f"column {names[int(m[1])]}", duckdb_messages.of_row(error))
        raise ValueError(message) from error
