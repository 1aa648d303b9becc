"""A DuckDB connection that sees the given files and nothing else, and cannot be talked out of it.

The order is the proof: settings at connect, then the exact files, then the views, then
external access off, then the configuration locked, then all of it read back before the first user statement.
Paths are relative to the warehouse, the working directory, so that no plan or message shows where it lies.
"""

# ruff: noqa: S608 - names are quoted, the rest is the product's own SQL

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from service.kit import errors
from service.sandbox import bound_plan, logical_types, parquet_union, row_filters
from service.sandbox.quoting import literal, quoted
from service.sandbox.source import TableSource, WorkerSetup

# What must read back so, whatever else was set.
LOCKED = {
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "allow_unsigned_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "enable_external_file_cache": "false",
    "lock_configuration": "true",
    "max_expression_depth": "250",
    "python_enable_replacements": "false",
    "python_scan_all_frames": "false",
}
# What is off from the start.
CLOSED: dict[str, bool | int | str] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "python_scan_all_frames": False,
    "enable_external_file_cache": False,
    "max_expression_depth": 250,
}
# RLIMIT_DATA counts what DuckDB's own limit does not: lists and strings in flight, the stacks of threads, and
# what Python, Arrow and Polars reserve (450 MiB with two cores, most of it never touched).
_BESIDE_DUCKDB = 512 << 20
_LEAST = 64 << 20
_NOTHING = "SELECT NULL AS unread"


@dataclass(frozen=True)
class Relation:
    """A source in SQL, and the columns that keep its stored order.

    ``logical`` are the Polars types of columns that ``sql`` has with another type than the file; ``with_stored`` is
    ``sql`` with the order's columns and, for these, the column ``logical_types.STORED`` of their stored values.
    """

    sql: str
    order: tuple[str, ...]
    logical: Mapping[str, pl.DataType] = field(default_factory=dict)
    with_stored: str = ""

    @property
    def is_table(self) -> bool:
        """Whether it is a native table as it is."""
        return self.order == ("rowid",) and not self.with_stored


def duckdb_memory(memory_bytes: int) -> int:
    """What DuckDB's buffers may take of the memory of a worker, in bytes."""
    return max(memory_bytes - _BESIDE_DUCKDB, _LEAST)


def open_connection(order: WorkerSetup) -> duckdb.DuckDBPyConnection:
    """Connect with everything off that can be off from the start; the working directory is the warehouse."""
    os.chdir(order.warehouse)
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": order.threads,
            "memory_limit": f"{duckdb_memory(order.memory_bytes)}B",
            "temp_directory": order.spill,
            "max_temp_directory_size": f"{order.spill_bytes}B",
            **CLOSED,
            "errors_as_json": True,
        },
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # for every cursor
    bound_plan.begin(connection)
    for view in _system_views(connection):
        connection.execute(f"CREATE VIEW {quoted(view)} AS {_NOTHING}")
    return connection


def _system_views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Views of DuckDB that a statement can name without a schema.

    Ours of the same names come first in the search path, so that no such name is bound to DuckDB's, whoever misread it.
    """
    rows = connection.execute("SELECT DISTINCT view_name FROM duckdb_views() WHERE internal ORDER BY 1").fetchall()
    return [str(name) for (name,) in rows]


def relative(path: str, warehouse: str) -> str:
    """``path`` below the warehouse, as the sandbox names it. Raises where it lies elsewhere."""
    there = Path(path) if Path(path).is_absolute() else Path(warehouse) / path
    plain = Path(os.path.normpath(there))
    if not plain.is_relative_to(warehouse):
        raise errors.PenstockError("a stored file lies outside the warehouse")
    return str(plain.relative_to(warehouse))


def confine(
    connection: duckdb.DuckDBPyConnection,
    sources: Iterable[TableSource],
    *,
    warehouse: str,
    seconds: float,
    others: Iterable[TableSource] = (),
    stubs: Iterable[str] = (),
    keep_order: bool = False,
) -> dict[str, Relation]:
    """Give the connection its sources as views, close everything else, and check that it is closed.

    ``others`` are more sources, left out where their files cannot be read. ``stubs`` are tables that shall only be
    listed. ``keep_order`` keeps rows in their stored order through every filter: DuckDB would turn a list of IN into a
    join, which does not. Answers how our own SQL reads each source, by table.
    """
    wanted, more = list(sources), list(others)
    connection.execute(f"SET GLOBAL max_execution_time = {max(int(seconds * 1000), 1)}")
    if any(source.row_filter for source in [*wanted, *more]):  # the order of groups tells of bounds of hidden rows
        connection.execute("SET disabled_optimizers = 'in_clause,statistics_propagation'")
    elif keep_order:
        connection.execute("SET disabled_optimizers = 'in_clause'")
    files = [relative(p, warehouse) for s in [*wanted, *more] for p in (*([s.native] if s.native else []), *s.parts)]
    connection.execute(f"SET allowed_paths = [{', '.join(literal(f) for f in files)}]")
    relations: dict[str, Relation] = {}
    databases: dict[str, str] = {}
    listed = list(stubs)
    if listed:  # they are all that SHOW TABLES shall list
        for view in _system_views(connection):
            connection.execute(f"DROP VIEW {quoted(view)}")
    for source in wanted:
        relations[source.table] = _view(connection, source, databases, warehouse)
    for source in more:
        with contextlib.suppress(duckdb.Error, OSError):
            relations[source.table] = _view(connection, source, databases, warehouse)
    for table in listed:
        if table not in relations:
            connection.execute(f"CREATE VIEW {quoted(table)} AS {_NOTHING}")
    close(connection)
    return relations


def close(connection: duckdb.DuckDBPyConnection) -> None:
    """Take external access away, lock the settings and check them. Raises ``errors.PenstockError``."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    verify(connection)


def _view(
    connection: duckdb.DuckDBPyConnection, source: TableSource, databases: dict[str, str], warehouse: str
) -> Relation:
    relation = _attach(connection, source, databases, warehouse)
    if source.row_filter:
        relation = _filtered(connection, relation, source)
    connection.execute(f"CREATE OR REPLACE VIEW {quoted(source.table)} AS FROM {relation.sql}")
    return relation


def _filtered(connection: duckdb.DuckDBPyConnection, plain: Relation, source: TableSource) -> Relation:
    """The relation with those of its rows that the reader may see."""
    test = row_filters.test(connection, plain.sql, source.row_filter)
    ordered = plain.with_stored
    if not (ordered or source.united):  # the order is by pseudo-columns, which a subquery does not have
        ordered = f"(SELECT *, {', '.join(plain.order)} FROM {plain.sql})"
    return Relation(
        row_filters.filtered(plain.sql, test), plain.order, plain.logical,
        row_filters.filtered(ordered, test) if ordered else "",
    )  # fmt: skip


def _attach(
    connection: duckdb.DuckDBPyConnection, source: TableSource, databases: dict[str, str], warehouse: str
) -> Relation:
    """The relation of a source; ``databases`` are the native files that are attached already, each under its name."""
    if source.native and (name := _attach_native(connection, relative(source.native, warehouse), databases, warehouse)):
        table = f"{name}.main.{quoted(source.native_table or source.table)}"
        return _restored(Relation(table, ("rowid",)), source, warehouse)
    if source.united:
        files = [relative(p, warehouse) for p in source.parts]
        return Relation(parquet_union.relation(connection, files), parquet_union.ORDER)
    if not source.parts:
        raise errors.PenstockError(f"version {source.version} of '{source.pipeline}' has no files")
    parts = ", ".join(literal(relative(p, warehouse)) for p in source.parts)
    return _restored(
        Relation(f"read_parquet([{parts}], hive_partitioning = false)", ("file_index", "file_row_number")),
        source,
        warehouse,
    )


def _attach_native(
    connection: duckdb.DuckDBPyConnection, file: str, databases: dict[str, str], warehouse: str
) -> str | None:
    """Attach the native file of a version, if it still is that, and answer its name; else the Parquet answers.

    A newer version may have let it go since its name was looked up. Where that happens between the moment when DuckDB
    opens the file and the one when it has its lock, nobody saw this reader, and the file may have other rows by now:
    then it has lost its name. A file whose name is still there when the lock is held is changed by nobody.
    """
    if file in databases:
        return databases[file]
    path, name = Path(warehouse) / file, f"stored_{len(databases)}"
    try:
        before = path.stat()
        connection.execute(f"ATTACH {literal(file)} AS {name} (READ_ONLY)")
    except (OSError, duckdb.IOException):
        return None
    with contextlib.suppress(OSError):
        if os.path.samestat(before, path.stat()):
            databases[file] = name
            return name
    connection.execute(f"DETACH {name}")
    return None


def _restored(plain: Relation, source: TableSource, warehouse: str) -> Relation:
    """The relation with the logical types of its columns."""
    if not source.logical or not source.parts:
        return plain
    stored = pl.read_parquet_schema(Path(warehouse) / relative(source.parts[0], warehouse))
    logical = {name: stored[name] for name in source.logical if name in stored}
    star = f"*{logical_types.replaced(logical)}"
    values = f"struct_pack({', '.join(f'{quoted(n)} := {quoted(n)}' for n in logical)}) AS {logical_types.STORED}"
    return Relation(
        f"(SELECT {star} FROM {plain.sql})",
        plain.order,
        logical,
        f"(SELECT {star}, {', '.join(plain.order)}, {values} FROM {plain.sql})",
    )


def verify(connection: duckdb.DuckDBPyConnection) -> None:
    """Read the settings back. Raises ``errors.PenstockError`` where one is not what it must be."""
    wanted = ", ".join(
        f"CAST(current_setting({literal(n)}) AS VARCHAR)" for n in LOCKED
    )  # duckdb_settings() takes 11 ms
    (found,) = connection.execute(f"SELECT {wanted}").fetchall()
    if dict(zip(LOCKED, found, strict=True)) != LOCKED:
        raise errors.PenstockError("the query sandbox could not be closed; no statement was run")
