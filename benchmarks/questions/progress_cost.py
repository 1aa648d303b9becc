"""What does it cost to say how far a run is? CPU of a scan, a stage, metrics and a write, with and without counters.

Both in one process, by turns, so that other work on the machine meets both alike; with counters a thread also reports
four times a second, as in a run.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import structlog

from benchmarks import measure, orders
from benchmarks.options import Options
from service.engine.counters import Counters
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.steps.metric import Metric

TURNS = 7


class _Silent(Counters):
    """Counters that count nothing."""

    @contextlib.contextmanager
    def passing(self, lf: pl.LazyFrame, written: Callable[[], int]) -> Iterator[pl.LazyFrame]:
        yield lf


def ask(options: Options) -> dict[str, Any]:
    """Median CPU seconds with and without, and the median of the ratios of neighbours."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    answer: dict[str, Any] = measure.said("benchmarks.questions.progress_cost", [str(source), str(options.rows)])
    return answer


def show(answer: dict[str, Any]) -> str:
    """The answer as a line for people."""
    return (
        f"{answer['rows']:,} rows: {answer['without_cpu']:.2f} CPU s without, {answer['with_cpu']:.2f} with counters, "
        f"ratio {answer['ratio']:.3f}"
    )


def _work(source: Path, folder: Path, rows: int, *, counted: bool) -> float:
    """CPU seconds of one turn."""
    began = time.process_time()
    job = Job(Grants(folder=str(folder), memory_bytes=0), structlog.get_logger())
    if not counted:
        job._counters = _Silent()
    with job.reporting() if counted else contextlib.nullcontext():
        job.collected(rows)
        job.enter("processing", "processors[0]")
        frame = job.process_context("processors[0]").frame(pl.scan_csv(source))
        frame.measure([Metric(name, "mean") for name in ("order_id", "quantity")])
        job.enter("storing", "storage[0]")
        frame.write(folder / "out.parquet", compression="zstd", compression_level=3, row_group_size=None)
    return time.process_time() - began


def _measure(source: str, rows: str) -> dict[str, Any]:
    spent: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory(dir=Path(source).parent) as folder:
        for turn in range(TURNS + 1):
            for counted in (True, False) if turn % 2 else (False, True):
                spent[counted].append(_work(Path(source), Path(folder), int(rows), counted=counted))
    kept = {counted: seconds[1:] for counted, seconds in spent.items()}  # the first turn warms up
    ratios = [a / b for a, b in zip(kept[True], kept[False], strict=True)]
    return {
        "rows": int(rows), "with_cpu": statistics.median(kept[True]), "without_cpu": statistics.median(kept[False]),
        "ratio": statistics.median(ratios), "least_ratio": min(kept[True]) / min(kept[False]),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:])))
