"""Rows of a job (a Parquet file or a frame) as JSON, in the form that the data routes answer stored rows in."""

from __future__ import annotations

from collections.abc import Mapping
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
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "enable_external_file_cache": False,
}


def rendered(path: Path, before: dict[str, Any], after: dict[str, Any]) -> bytes:
    """``{**before, "columns", "data", **after}``; types and values are as in ``GET …/data``."""
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        star = f"*{logical_types.replaced(pl.read_parquet_schema(path))}"
        rows = encode.Rows.of(connection, f"SELECT {star} FROM read_parquet({literal(str(path))})")  # noqa: S608 - our own
        records = encode.JsonRecords.read(rows, None, 1 << 40)
        return b"".join(encode.document({**before, "columns": rows.columns}, records, after))


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
