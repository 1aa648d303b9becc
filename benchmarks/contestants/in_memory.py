"""The hand-written form wholly in memory: what an expert of Polars writes who has memory to spare.

The same cleaning as ``staged``, collected by the streaming engine into a DataFrame that stays; medians, profile and
fits are queries over it, several columns at once; zstd 1 Parquet, a DuckDB view over it.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import orders
from benchmarks.contestants import staged


def medians(frame: pl.DataFrame) -> dict[str, Any]:
    return frame.select(pl.col(orders.MEDIANS).median()).row(0, named=True)


def filled(frame: pl.DataFrame, values: dict[str, Any]) -> pl.DataFrame:
    return frame.with_columns(pl.col(column).fill_null(value) for column, value in values.items())


def profile(frame: pl.DataFrame) -> dict[str, Any]:
    """The exact profile of 17 columns, named as ``staged`` names it."""
    numbers, times = [*orders.NUMBERS], [*orders.TIMES]
    found = frame.select(
        pl.len().alias("rows"),
        pl.col(orders.PROFILED).null_count().name.suffix("|missing"),
        pl.col(numbers + times).min().name.suffix("|min"),
        pl.col(numbers + times).max().name.suffix("|max"),
        pl.col(numbers).mean().name.suffix("|mean"),
        pl.col(numbers).std().name.suffix("|std"),
        pl.col(numbers + times + [orders.BOOLEAN]).drop_nulls().n_unique().name.suffix("|distinct"),
        *(pl.corr(a, b).alias(f"{a}~{b}|corr") for a, b in itertools.combinations(numbers, 2)),
    ).row(0, named=True)
    quantiles = frame.select(pl.col(c).quantile(orders.QUANTILES, "linear") for c in numbers).row(0, named=True)
    found |= {f"{column}|quantiles": values for column, values in quantiles.items()}
    for column in orders.STRINGS:
        counts = staged.streamed(frame.lazy().select(column).drop_nulls().group_by(column).len())
        least = counts["len"].top_k(orders.TOP).min()
        top = counts.filter(pl.col("len") >= least).sort("len", column, descending=[True, False]).head(orders.TOP)
        found[f"{column}|distinct"], found[f"{column}|top"] = counts.height, top.rows()
        found[f"{column}|min"], found[f"{column}|max"] = counts[column].min(), counts[column].max()
        if column == orders.ENCODED:
            found["categories"] = sorted(counts[column])
    return found


def write(frame: pl.DataFrame, found: dict[str, Any], result: Path) -> None:
    """The transformed frame as Parquet."""
    staged.applied(frame.lazy(), found).sink_parquet(result, compression="zstd", compression_level=1)


def main(source: Path, out: Path) -> None:
    result = out / "orders.parquet"
    frame = staged.streamed(staged.cleaned(source))
    middle = medians(frame)
    frame = filled(frame, middle)
    found = profile(frame)
    found["medians"] = middle
    write(frame, found, result)
    staged.view(out / "orders.duckdb", result)
    (out / "found.json").write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
