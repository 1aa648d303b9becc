"""The same steps by hand over a few records, in a warm process: the floor of applying a version to JSON records.

Arguments: a JSON file with the records, one with what was fitted, and how often. Decodes the records into typed
columns, applies the steps with fitted literals in one Polars plan, and writes the rows as NDJSON. Prints the median.
"""

from __future__ import annotations

import io
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from benchmarks import orders
from benchmarks.contestants import staged

SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(orders.HEADER, pl.String()),
    **dict.fromkeys([orders.KEY, *orders.INTEGERS], pl.Int64()),
    **dict.fromkeys(["discount", "Ship Cost", "weight_kg", "rating"], pl.Float64()),
    orders.BOOLEAN: pl.Boolean(),
}


def steps(records: pl.LazyFrame, found: dict[str, Any]) -> pl.LazyFrame:
    """Both cleaners and the transformer, with what was fitted as literals."""
    cleaned = (
        records.rename(orders.RENAME)
        .drop(orders.DROP)
        .with_columns(
            pl.col("unit_price").cast(pl.Float64, strict=False),
            *(pl.col(c).str.strptime(pl.Datetime("us"), f, strict=False) for c, f in orders.TIMES.items()),
            *(pl.col(column).fill_null(value) for column, value in orders.FILL.items()),
        )
        .with_columns(pl.col(c).fill_null(value) for c, value in found["medians"].items())
    )
    return staged.applied(cleaned, found)


def main(records: Path, found: Path, times: int) -> None:
    text, fitted = records.read_bytes(), json.loads(found.read_text())
    seconds = []
    for _ in range(times + 5):
        began = time.perf_counter()
        rows = pl.DataFrame(msgspec.json.decode(text), schema=SCHEMA)
        steps(rows.lazy(), fitted).collect().write_ndjson(io.BytesIO())
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"ms": statistics.median(seconds[5:]) * 1000}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
