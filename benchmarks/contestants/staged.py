"""The hand-written staged form: what a person who knows Polars well would write for this one job.

scan with an explicit schema → clean → one lz4 Parquet stage → medians, then the exact profile and the fits from the
stage, dear columns one query after another → apply with fitted literals → zstd Parquet → DuckDB. The third argument
says what makes it queryable: ``view`` (over the Parquet) or ``table`` (native, with a unique index on the key).
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from benchmarks import orders

Rows = pl.LazyFrame


def cleaned(source: Path) -> Rows:
    """The first cleaner: the cheap, row-local part and the first row of each key."""
    schema: dict[str, pl.DataType] = dict.fromkeys(orders.HEADER, pl.String()) | dict.fromkeys(
        [orders.KEY, *orders.INTEGERS], pl.Int64()
    )
    schema |= dict.fromkeys(["discount", "Ship Cost", "weight_kg", "rating"], pl.Float64()) | {
        orders.BOOLEAN: pl.Boolean()
    }
    return (
        pl.scan_csv(source, schema=schema)
        .rename(orders.RENAME)
        .drop(orders.DROP)
        .with_columns(
            pl.col("unit_price").cast(pl.Float64, strict=False),
            *(pl.col(c).str.strptime(pl.Datetime("us"), f, strict=False) for c, f in orders.TIMES.items()),
            *(pl.col(column).fill_null(value) for column, value in orders.FILL.items()),
        )
        .unique([orders.KEY], keep="first", maintain_order=True)
    )


def streamed(plan: Rows) -> pl.DataFrame:
    return plan.collect(engine="streaming")


def moments(stage: Rows) -> dict[str, Any]:
    """Count, mean, std, extremes of the numbers, and all pairs of correlations, in one cheap pass."""
    pairs = itertools.combinations(orders.NUMBERS, 2)
    expressions = [pl.len().alias("rows")]
    for column in orders.PROFILED:
        expressions.append(pl.col(column).null_count().alias(f"{column}|missing"))
    for column in (*orders.NUMBERS, *orders.TIMES):
        expressions += [pl.col(column).min().alias(f"{column}|min"), pl.col(column).max().alias(f"{column}|max")]
    for column in orders.NUMBERS:
        expressions += [pl.col(column).mean().alias(f"{column}|mean"), pl.col(column).std().alias(f"{column}|std")]
    expressions += [pl.corr(a, b).alias(f"{a}~{b}|corr") for a, b in pairs]
    return streamed(stage.select(expressions)).row(0, named=True)


def profile(stage: Rows) -> dict[str, Any]:
    """The exact profile of 17 columns of a staged frame."""
    found = moments(stage)
    for column in orders.NUMBERS:
        row = streamed(
            stage.select(
                pl.col(column).quantile(orders.QUANTILES, "linear").alias("quantiles"),
                pl.col(column).drop_nulls().n_unique().alias("distinct"),
            )
        ).row(0, named=True)
        found[f"{column}|quantiles"], found[f"{column}|distinct"] = row["quantiles"], row["distinct"]
    for column in (*orders.TIMES, orders.BOOLEAN):
        found[f"{column}|distinct"] = streamed(stage.select(pl.col(column).drop_nulls().n_unique())).item()
    for column in orders.STRINGS:
        counts = streamed(stage.select(column).drop_nulls().group_by(column).len())
        top = counts.sort(["len", column], descending=[True, False]).head(orders.TOP)
        found[f"{column}|distinct"], found[f"{column}|top"] = counts.height, top.rows()
        extremes = counts.select(pl.col(column).min().alias("min"), pl.col(column).max().alias("max"))
        found[f"{column}|min"], found[f"{column}|max"] = extremes.row(0)
        if column == orders.ENCODED:
            found["categories"] = sorted(counts[column])
    return found


def applied(stage: Rows, found: dict[str, Any]) -> Rows:
    """The transformer, with what was fitted as literals."""
    dated = pl.col(orders.DATED).dt
    parts = [getattr(dated, part)().alias(f"{orders.DATED}_{part}") for part in orders.PARTS]
    scaled = [(pl.col(c) - found[f"{c}|mean"]) / orders.scale(found, c) for c in orders.SCALED]
    hot = [
        (pl.col(orders.ENCODED) == c).fill_null(value=False).cast(pl.UInt8).alias(f"{orders.ENCODED}_{c}")
        for c in found["categories"]
    ]
    return stage.with_columns(*parts, *scaled, *hot).drop(orders.ENCODED)


def view(database: Path, result: Path) -> None:
    """The Parquet file as the view ``orders`` of a database, and its first query."""
    with duckdb.connect(database) as connection:
        connection.execute(f"CREATE VIEW orders AS SELECT * FROM read_parquet('{result}')")
        connection.execute("SELECT count(*) FROM orders").fetchone()


def main(source: Path, out: Path, queryable: str) -> None:
    stage_file, result = out / "stage.parquet", out / "orders.parquet"
    cleaned(source).sink_parquet(stage_file, compression="lz4", statistics=False)
    stage = pl.scan_parquet(stage_file)
    medians = {
        c: streamed(stage.select(pl.col(c).quantile(0.5, "linear"))).item() for c in orders.MEDIANS
    }  # one after another: together they take twice the memory
    filled = stage.with_columns(pl.col(c).fill_null(value) for c, value in medians.items())
    found = profile(filled)
    found["medians"] = medians
    applied(filled, found).sink_parquet(result, compression="zstd", compression_level=3)
    stage_file.unlink()
    if queryable == "table":
        with duckdb.connect(out / "orders.duckdb") as connection:
            connection.execute(f"CREATE TABLE orders AS SELECT * FROM read_parquet('{result}')")
            connection.execute(f"CREATE UNIQUE INDEX orders_key ON orders ({orders.KEY})")
            connection.execute("SELECT count(*) FROM orders").fetchone()
    else:
        view(out / "orders.duckdb", result)
    (out / "found.json").write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
