"""One scan of two tables of 15 columns: ``python -m benchmarks.contestants.version_scan WRITE|SCAN FOLDER ROWS``.

``WRITE`` makes the tables: in ``after`` 1 % of the rows are changed, 1 % are gone and 1 % are new; ``shuffled`` has the
rows of ``after`` in another order. ``SCAN`` reads every column of the Parquet files below a folder (missing values, and
means of numbers) with Polars, and prints CPU and wall seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import polars as pl

_CITIES, _STATES = ["Berlin", "Paris", "Rome", "Madrid", "Oslo"], ["new", "paid", "sent", "done"]


def _random(salt: int, below: int) -> pl.Expr:
    return pl.col("id").hash(salt) % below


def rows(first: int, count: int) -> pl.LazyFrame:
    """Orders with the ids from ``first`` on."""
    share = _random(9, 1 << 20) / (1 << 20)
    return pl.LazyFrame().select(pl.int_range(first, first + count, dtype=pl.Int64).alias("id")).with_columns(
        _random(1, count // 10 + 1).cast(pl.Int64).alias("customer"), _random(2, 20).cast(pl.Int32).alias("quantity"),
        ((share + 1).log() * 100).round(2).alias("price"),
        pl.when(_random(3, 10) > 0).then(share).alias("discount"), (share * 3 - 1).alias("score"),
        share.cast(pl.Float32).alias("weight"),
        pl.lit(pl.Series(_CITIES)).gather(_random(4, 5)).alias("city"),
        pl.lit(pl.Series(_STATES)).gather(_random(5, 4)).alias("state"),
        _random(6, 1_000_000).cast(pl.String).str.zfill(9).alias("sku"),
        pl.format("user{}@example.org", _random(7, count)).alias("email"),
        (_random(8, 2_000).cast(pl.Int32) + 18_000).cast(pl.Date).alias("day"),
        (_random(10, 10**14).cast(pl.Int64) + 16 * 10**14).cast(pl.Datetime("us")).alias("at"),
        (_random(11, 2) == 0).alias("ok"), _random(12, 10**7).cast(pl.Decimal(12, 2)).alias("cents"),
    )  # fmt: skip


def write(folder: Path, count: int) -> None:
    before = rows(0, count)
    changed = _random(20, 100) == 0
    after = pl.concat([
        before.filter(_random(21, 100) > 0).with_columns(
            pl.when(changed).then(pl.col("price") + 1).otherwise(pl.col("price")).alias("price"),
            pl.when(changed).then(pl.lit("gone")).otherwise(pl.col("state")).alias("state"),
        ),
        rows(count, count // 100),
    ])  # fmt: skip
    for name, lf in (("before", before), ("after", after), ("shuffled", after.sort(_random(22, 1 << 40)))):
        lf.sink_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=3, maintain_order=True)


def scan(folder: Path) -> dict[str, float]:
    lf = pl.scan_parquet(sorted(folder.rglob("part-*.parquet")))
    numbers = [name for name, dtype in lf.collect_schema().items() if dtype.is_numeric()]
    lf = lf.select(pl.all().null_count(), *(pl.col(n).mean().name.suffix(" mean") for n in numbers))
    wall, cpu = time.perf_counter(), time.process_time()
    lf.collect(engine="streaming")
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    if sys.argv[1] == "WRITE":
        write(Path(sys.argv[2]), int(sys.argv[3]))
        print("{}")
    else:
        print(json.dumps(scan(Path(sys.argv[2]))))
