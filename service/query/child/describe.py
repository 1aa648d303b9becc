"""The schema of a stored version: its columns with their statistics, from DuckDB's introspection.

DESCRIBE gives names and types, the Parquet footer the size of each column. Up to a million rows the statistics are
exact. They are computed for a few columns at a time, so that they fit into memory (for more columns where these are
short, since each query over a table of thousands of columns has a cost of its own). Above a million rows they are the
approximations of SUMMARIZE, which reads the data once, and the answer has ``"approximate": true``.
"""

# ruff: noqa: S608 - SQL is this package's trade: names are quoted, texts of users pass the gate

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from service.model.answers import ColumnSchema, StorageSize, TableSchema
from service.query.child import encode, type_forms
from service.sandbox.confinement import relative
from service.sandbox.quoting import literal, quoted
from service.sandbox.source import TableSource

EXACT_ROWS = 1_000_000
_AT_ONCE = 16
_SAMPLE_ROWS = 5
_MOST_LETTERS = 1_000
_MOST_ITEMS = 100

_NUMBERS = frozenset(
    [
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "hugeint",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "uhugeint",
        "float",
        "double",
        "decimal",
    ]
)
_FLOATS = frozenset({"float", "double"})
_ORDERED = _NUMBERS | {
    *[
        "boolean",
        "varchar",
        "date",
        "time",
        "timestamp",
        "timestamp_s",
        "timestamp_ms",
        "timestamp_ns",
        "uuid",
        "enum",
        "interval",
    ],
    "timestamp with time zone",
    "time with time zone",
}
_FIGURES = ("unique_values", "missing_values", "min", "max", "mean", "std", "q25", "q50", "q75")


def describe(connection: duckdb.DuckDBPyConnection, source: TableSource, table: str, warehouse: str) -> bytes:
    """The answer of the schema route as JSON.

    ``table`` is the source as SQL text, not a view, since DuckDB binds every column of a view in each query.
    """
    names, types = type_forms.described(connection, f"FROM {table}")
    row_count = int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
    approximate = row_count > EXACT_ROWS
    if approximate:
        statistics = _summarized(connection, table, names, types, row_count)
    else:
        statistics = _measured(connection, table, names, types, row_count)
    polars_types = {n: str(t) for n, t in pl.read_parquet_schema(source.parts[0]).items()} if source.parts else {}
    whole = not source.row_filter  # the sizes of files tell of all their rows
    sizes = _column_bytes(connection, source, warehouse) if whole else {}
    columns = [
        ColumnSchema(
            name=name,
            type=str(type_),
            polars_type=polars_types.get(name),
            nullable=bool(figures["missing_values"]),
            bytes=sizes.get(name),
            **figures,
        )
        for name, type_, figures in zip(names, types, statistics, strict=True)
    ]
    schema = TableSchema(
        pipeline=source.pipeline,
        version=source.version,
        columns=columns,
        row_count=row_count,
        column_count=len(columns),
        data_types={name: str(type_) for name, type_ in zip(names, types, strict=True)},
        sample_data=_sample(connection, table, names, types),
        storage=_storage(source, warehouse) if whole else [],
        approximate=approximate,
    )
    return msgspec.json.encode(schema)


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, limit: int | None = None) -> list[dict[str, Any]]:
    """A small result as JSON values."""
    text = b"".join(part for _, part in encode.lines(encode.Rows.of(connection, sql), limit))
    return [msgspec.json.decode(line) for line in text.splitlines()]


def _sample(
    connection: duckdb.DuckDBPyConnection, table: str, names: list[str], types: list[DuckDBPyType]
) -> list[dict[str, Any]]:
    """The first rows, with long values cut: a value may have as many bytes as memory."""
    forms = {quoted(name): _cut(quoted(name), type_) for name, type_ in zip(names, types, strict=True)}
    cut = ", ".join(f"{form} AS {column}" for column, form in forms.items() if form != column)
    rows = _rows(connection, f"SELECT *{f' REPLACE ({cut})' if cut else ''} FROM {table}", _SAMPLE_ROWS)
    return [{name: _shortened(value) for name, value in row.items()} for row in rows]


def _cut(column: str, type_: DuckDBPyType) -> str:
    """The first ``_MOST_LETTERS`` letters of a text (half as many bytes), or the first ``_MOST_ITEMS`` of a list."""
    kind = type_forms.kind(type_)
    if kind == "varchar":
        short = f"left({column}, {_MOST_LETTERS}) || '…'"
        return f"CASE WHEN length({column}) > {_MOST_LETTERS} THEN {short} ELSE {column} END"
    if kind == "blob":
        return (
            f"CASE WHEN octet_length({column}) > {_MOST_LETTERS // 2} "
            f"THEN unhex(left(hex({column}), {_MOST_LETTERS})) ELSE {column} END"
        )
    return f"list_slice({column}, 1, {_MOST_ITEMS})" if kind == "list" else column


def _shortened(value: Any) -> Any:
    """A JSON value with the texts and lists inside it cut."""
    if isinstance(value, str):
        return value if len(value) <= _MOST_LETTERS + 1 else value[:_MOST_LETTERS] + "…"
    if isinstance(value, list):
        return [_shortened(item) for item in value[:_MOST_ITEMS]]
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    return value


def _measured(
    connection: duckdb.DuckDBPyConnection, table: str, names: list[str], types: list[DuckDBPyType], row_count: int
) -> list[dict[str, Any]]:
    at_once = max(1, min(_AT_ONCE, EXACT_ROWS // max(row_count, 1)))
    found: list[dict[str, Any]] = []
    for start in range(0, len(names), at_once):
        part = list(zip(names[start : start + at_once], types[start : start + at_once], strict=True))
        figures = [(f"{key} {place}", sql) for place, (n, t) in enumerate(part) for key, sql in _exact(n, t)]
        aggregates = ", ".join(f"{sql} AS {quoted(label)}" for label, sql in figures)
        (row,) = _rows(connection, f"SELECT {aggregates} FROM {table}")
        found += [{key: row.get(f"{key} {place}") for key in _FIGURES} for place in range(len(part))]
    return found


def _exact(name: str, type_: DuckDBPyType) -> list[tuple[str, str]]:
    """The statistics of a column, each as an aggregate."""
    column, kind = quoted(name), type_forms.kind(type_)
    parts = [("unique_values", f"count(DISTINCT {column})"), ("missing_values", f"count(*) - count({column})")]
    if kind in _ORDERED:
        ends = [(end, f"{end}({column})") for end in ("min", "max")]
        parts += [(end, f"left({sql}, {_MOST_LETTERS})") if kind == "varchar" else (end, sql) for end, sql in ends]
    if kind in _NUMBERS:
        # Infinities and NaN would make every statistic NaN, or an error.
        value = f"CASE WHEN isfinite({column}) THEN {column} END" if kind in _FLOATS else f"CAST({column} AS DOUBLE)"
        parts += [("mean", f"avg({value})"), ("std", f"stddev_samp({value})")]
        parts += [(f"q{q}", f"quantile_cont({value}, {q / 100})") for q in (25, 50, 75)]
    return parts


def _summarized(
    connection: duckdb.DuckDBPyConnection, table: str, names: list[str], types: list[DuckDBPyType], row_count: int
) -> list[dict[str, Any]]:
    """Statistics by SUMMARIZE, whose texts become numbers again for columns of numbers."""
    found = connection.execute(
        f"SELECT column_name, approx_unique, min, max, avg, std, q25, q50, q75 FROM (SUMMARIZE SELECT * FROM {table})"
    ).fetchall()
    counts = connection.execute(
        f"SELECT {', '.join(f'count(*) - count({quoted(n)})' for n in names)} FROM {table}"
    ).fetchall()[0]
    figures = []
    for row, missing, type_ in zip(found, counts, types, strict=True):
        kind = type_forms.kind(type_)
        # the estimate may exceed the number of values
        figure: dict[str, Any] = {"unique_values": min(row[1], row_count - missing), "missing_values": missing}
        if kind in _ORDERED:
            figure |= {"min": _value(row[2], kind), "max": _value(row[3], kind)}
        if kind in _NUMBERS:
            figure |= {
                key: _value(text, "double")
                for key, text in zip(("mean", "std", "q25", "q50", "q75"), row[4:], strict=True)
            }
        figures.append(figure)
    return figures


def _value(text: str | None, kind: str) -> Any:
    """A text of SUMMARIZE as the JSON value of its type."""
    if text is None:
        return None
    if kind in _FLOATS:
        number = float(text)
        return number if abs(number) != float("inf") else None
    if kind in _NUMBERS and kind not in ("decimal", "uhugeint"):
        return int(text)
    if kind == "boolean":
        return text == "true"
    if kind.startswith("timestamp"):
        stamp = text.replace(" ", "T")
        return stamp.removesuffix("+00") + "Z" if kind == "timestamp with time zone" else stamp
    return text[:_MOST_LETTERS]


def _column_bytes(connection: duckdb.DuckDBPyConnection, source: TableSource, warehouse: str) -> dict[str, int]:
    """Compressed bytes of each top-level column in the Parquet parts; empty if only the native file is open."""
    if source.native or not source.parts:
        return {}
    parts = ", ".join(literal(relative(p, warehouse)) for p in source.parts)
    rows = connection.execute(
        "SELECT split_part(path_in_schema, ', ', 1), CAST(sum(total_compressed_size) AS BIGINT) "
        f"FROM parquet_metadata([{parts}]) GROUP BY 1"
    ).fetchall()
    return {str(name): int(size) for name, size in rows}


def _storage(source: TableSource, warehouse: str) -> list[StorageSize]:
    folder = f"warehouse/{source.pipeline}/v{source.version:06d}"
    found: list[StorageSize] = []
    if source.parts:
        size = sum((Path(warehouse) / relative(p, warehouse)).stat().st_size for p in source.parts)
        found.append(StorageSize(type="parquet", location=folder, bytes=size))
    if source.native:
        native = relative(source.native, warehouse)
        with contextlib.suppress(OSError):  # a newer version may have let it go
            size = (Path(warehouse) / native).stat().st_size
            found.append(StorageSize(type="duckdb", location=f"warehouse/{native}", bytes=size))
    return found
