"""Sample: a few rows that are not stored, as JSON in the form in which stored rows are answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import polars as pl

from service.query import encoding

MAX_BYTES = 16 * 1024 * 1024


def document(frame: pl.DataFrame, after: Mapping[str, Any]) -> bytes:
    """``{"columns", "data", "row_count", "truncated", **after}``; each column with the types of both engines."""
    with duckdb.connect(":memory:") as connection:
        connection.register("sample", frame.to_arrow())
        rows = encoding.Rows.of(connection, "SELECT * FROM sample")
        columns = [
            {**column, "polars_type": str(dtype)} for column, dtype in zip(rows.columns, frame.dtypes, strict=True)
        ]
        records = encoding.Records.read(rows, None, MAX_BYTES)
        counts = {"row_count": records.count, "truncated": records.truncated}
        return b"".join(encoding.document({"columns": columns}, records, {**counts, **after}))
