"""What do levels of zstd and row groups cost, and what do they save? The result of the orders job as Parquet.

The rows are in memory; each form writes them in turns in one process, and DuckDB reads one row by its number, a page in
the middle and the ten greatest. The least CPU of all reads counts. What is read back is compared with what was written
first.

Row groups are what a read of few rows decodes: their size shows in ``row`` and ``page``, hardly in what is written, and
only in files of several groups, so from a million rows on. The first form has groups of 122 880 rows, as versions do.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from benchmarks import measure, orders
from benchmarks.options import Options
from benchmarks.table import figure, markdown

FORMS: dict[str, dict[str, Any]] = {
    "zstd 1": {"compression_level": 1},
    "zstd 3": {"compression_level": 3},
    "zstd 9": {"compression_level": 9},
    "zstd 1, groups of 16 384": {"compression_level": 1, "row_group_size": 16_384},
    "zstd 1, groups of 524 288": {"compression_level": 1, "row_group_size": 524_288},
    "zstd 1, one group": {"compression_level": 1, "row_group_size": 1 << 30},
}
READS = 5
ROW, PAGE, TOP = "WHERE {key} = {value}", "LIMIT 100 OFFSET {middle}", f"ORDER BY {orders.NUMBERS[2]} DESC LIMIT 10"
HEAD = (
    "form", "write CPU s", "MiB", "row CPU ms", "page CPU ms", "top CPU ms",
    "write ×", "bytes ×", "row ×", "page ×", "top ×",
)  # fmt: skip
COSTS = ("cpu", "bytes", "row_ms", "page_ms", "top_ms")


def ask(options: Options) -> dict[str, Any]:
    """CPU and bytes by form, and their ratios to the first one."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    said = measure.said(__name__, [str(source), str(options.folder), str(options.repeat)])
    first = next(iter(said.values()))
    for entry in said.values():
        entry["times"] = {key: entry[key] / first[key] for key in COSTS}
    return {"rows": options.rows, "contestants": said, "failed": {}}


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    rows = [
        [form, *map(figure, (e["cpu"], e["bytes"] / measure.MIB, *(e[c] for c in COSTS[2:]), *e["times"].values()))]
        for form, e in answer["contestants"].items()
    ]
    return "\n".join([f"{answer['rows']:,} rows", "", markdown(HEAD, rows)])


def _milliseconds(connection: duckdb.DuckDBPyConnection, path: Path, end: str) -> float:
    least = 1e9
    for _ in range(READS):
        began = time.process_time()
        connection.execute(f"SELECT * FROM read_parquet('{path}') {end}").fetchall()
        least = min(least, (time.process_time() - began) * 1000)
    return least


def main(source: Path, folder: Path, repeat: int) -> None:
    from benchmarks.contestants import in_memory, staged  # what is measured, in its own process

    frame = staged.streamed(staged.cleaned(source))
    frame = in_memory.filled(frame, in_memory.medians(frame))
    result = staged.applied(frame.lazy(), in_memory.profile(frame)).collect()
    path = folder / "compression.parquet"
    middle = result.height // 2
    key = result.columns[0]
    reads = ROW.format(key=key, value=result[key][middle]), PAGE.format(middle=middle), TOP
    costs: dict[str, Any] = {form: dict.fromkeys(COSTS, 1e9) | {"differs": []} for form in FORMS}
    with duckdb.connect() as connection:
        for _ in range(repeat):
            for form, entry in costs.items():
                began = time.process_time()
                result.lazy().sink_parquet(path, compression="zstd", **FORMS[form])
                cpu = time.process_time() - began
                if not pl.read_parquet(path).equals(result):
                    entry["differs"] = ["what was written is not what is read"]
                found = cpu, path.stat().st_size, *(_milliseconds(connection, path, end) for end in reads)
                entry |= {key: min(entry[key], cost) for key, cost in zip(COSTS, found, strict=True)}
    path.unlink()
    print(json.dumps(costs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
