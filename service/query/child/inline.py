"""Rows of a job (a Parquet file or a frame) as JSON, in the form that the data routes answer stored rows in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from service.query.child import encode
from service.sandbox import logical_types
from service.sandbox.quoting import literal

MAX_BYTES = 16 * 1024 * 1024
_CONFIG: dict[str, Any] = {
    "threads": 1,
    "async_threads": 0,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "enable_external_file_cache": False,
}


class Renderer:
    """Renders frames, one after the other, each by way of a Parquet file in ``folder``, which it removes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._connection = _connect()

    def document(self, frame: pl.DataFrame, before: dict[str, Any], after: dict[str, Any]) -> bytes:
        """As ``rendered``."""
        with self._rows(frame) as rows:
            return b"".join(_document(rows, before, after))

    def lines(self, frame: pl.DataFrame) -> bytes:
        """The rows as NDJSON."""
        with self._rows(frame) as rows:
            return b"".join(text for _, text in encode.lines(rows))

    @contextmanager
    def _rows(self, frame: pl.DataFrame) -> Iterator[encode.Rows]:
        cursor, path = self._connection.cursor(), self._folder / f"rows-{next(self._numbers)}.parquet"
        try:
            frame.write_parquet(path, compression="uncompressed", statistics=False)
            yield _rows(cursor, path)
        finally:
            cursor.close()
            path.unlink(missing_ok=True)


def rendered(path: Path, before: dict[str, Any], after: dict[str, Any]) -> bytes:
    """``{**before, "columns", "data", **after}`` of a Parquet file; types and values are as in ``GET …/data``."""
    with _connect() as connection:
        return b"".join(_document(_rows(connection, path), before, after))


def _connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:", config=_CONFIG)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")  # for every cursor
    return connection


def _rows(connection: duckdb.DuckDBPyConnection, path: Path) -> encode.Rows:
    star = f"*{logical_types.replaced(pl.read_parquet_schema(path))}"
    return encode.Rows.of(connection, f"SELECT {star} FROM read_parquet({literal(str(path))})")  # noqa: S608 - our own


def _document(rows: encode.Rows, before: dict[str, Any], after: dict[str, Any]) -> list[bytes]:
    return encode.document({**before, "columns": rows.columns}, encode.JsonRecords.read(rows, None, 1 << 40), after)


def document(frame: pl.DataFrame, after: Mapping[str, Any]) -> bytes:
    """``{"columns", "data", "row_count", "truncated", **after}``; each column with the types of both engines."""
    with duckdb.connect(":memory:") as connection:
        connection.register("sample", frame.to_arrow())
        rows = encode.Rows.of(connection, "SELECT * FROM sample")
        columns = [
            {**column, "polars_type": str(dtype)} for column, dtype in zip(rows.columns, frame.dtypes, strict=True)
        ]
        records = encode.JsonRecords.read(rows, None, MAX_BYTES)
        counts = {"row_count": records.count, "truncated": records.truncated}
        return b"".join(encode.document({"columns": columns}, records, {**counts, **after}))
