"""Rendering: a Parquet file of this process's own as the JSON that the data routes answer for stored rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from service.query import encoding
from service.query.names import literal

_CONFIG: dict[str, Any] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "enable_external_file_cache": False,
}


def rendered(path: Path, before: dict[str, Any], after: dict[str, Any]) -> bytes:
    """``{**before, "columns", "data", **after}``; types and values look as they do in ``GET …/data``."""
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = encoding.Rows.of(connection, f"SELECT * FROM read_parquet({literal(str(path))})")  # noqa: S608 - our own
        records = encoding.Records.read(rows, None, 1 << 40)
        return b"".join(encoding.document({**before, "columns": rows.columns}, records, after))
