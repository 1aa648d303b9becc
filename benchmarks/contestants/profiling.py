"""What an exact profile costs, beside two passes over the same data, each measured alone in this process.

``stage`` is the hand-written way from the CSV to one lz4 Parquet file; ``summarize`` is DuckDB's over a table that it
has already loaded, which is exact in less than Penstock is (its quantiles and distinct counts are estimates);
``profile`` is the analyzer over the staged file, ``estimates`` the same with ``exact: false``. Prints CPU
seconds and what two of them found, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import duckdb
import msgspec
import polars as pl

from benchmarks import orders
from benchmarks.contestants import staged
from service.engine.polars_frame import PolarsFrame
from service.processors.analyzer import Analyzer
from service.steps.context import ProcessContext


def cost(work: Callable[[], Any]) -> tuple[float, float, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def profiled(stage: Path, columns: list[str], *, exact: bool = True) -> dict[str, Any]:
    frame = PolarsFrame(pl.scan_parquet(stage), stage.parent, expensive=False)
    ctx = ProcessContext(step="processors[0]", folder=stage.parent)
    Analyzer(columns=columns, quantiles=tuple(orders.QUANTILES), exact=exact).apply(frame, ctx)
    return cast("dict[str, Any]", msgspec.to_builtins(ctx.report().profiles[0]))


def main(source: Path, folder: Path) -> None:
    stage = folder / "stage.parquet"
    answers: dict[str, Any] = {}
    plan = staged.cleaned(source)
    *answers["stage"], _ = cost(lambda: plan.sink_parquet(stage, compression="lz4", statistics=False))
    columns = list(orders.PROFILED)
    *answers["profile"], profile = cost(lambda: profiled(stage, columns))
    *answers["estimates"], _ = cost(lambda: profiled(stage, columns, exact=False))
    with duckdb.connect() as connection:
        chosen = ", ".join(f'"{name}"' for name in columns)
        connection.execute(f"CREATE TABLE orders AS SELECT {chosen} FROM read_parquet('{stage}')")
        *answers["summarize"], rows = cost(lambda: connection.execute("SUMMARIZE orders").fetchall())
    mean, std, count, missing = 5, 6, 10, 11
    theirs = {row[0]: row for row in rows}
    differs = []
    for column in profile["columns"]:
        row = theirs[column["name"]]
        pairs = [(column["missing_share"] * 100, float(row[missing]), 0.006)]  # SUMMARIZE rounds the percentage
        pairs += [(profile["row_count"], int(row[count]), 0)]
        pairs += [
            (column[k], float(row[i]), 1e-6 * abs(column[k])) for k, i in (("mean", mean), ("std", std)) if k in column
        ]
        differs += [f"{column['name']}: {a} is not {b}" for a, b, most in pairs if abs(a - b) > most]
    print(json.dumps({"costs": answers, "columns": len(columns), "differs": differs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
