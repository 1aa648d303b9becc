"""Reading a CSV into one lz4 Parquet file: ``python -m benchmarks.contestants.csv_scan FILE FOLDER TIMES``.

``scan`` is Polars' own scan, with its inference, and a sink. What the collector does is taken apart: ``survey`` is the
look at every byte that keeps rows from getting lost without a word, ``collect`` contains it and what leads to a plan,
``sink`` executes that plan, in which numbers are checked for what they would lose. Prints the least CPU seconds of
each and the columns that differ.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from service.collectors.csv import CsvCollector
from service.collectors.csv_file.survey import survey
from service.engine.polars_frame import PolarsFrame
from service.files.allowed_files import Files
from service.steps.context import CollectContext


def cost(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def sink(lf: pl.LazyFrame, path: Path) -> None:
    lf.sink_parquet(path, compression="lz4", statistics=False)


def main(source: Path, folder: Path, times: int) -> None:
    settings = CsvCollector(file_path=source.name)
    files = {name: folder / f"{name}.parquet" for name in ("scan", "sink")}

    def collect() -> pl.LazyFrame:
        frame = asyncio.run(
            settings.collect(CollectContext("collectors[0]", folder, files=Files((source.parent,)), frames=PolarsFrame))
        )
        assert isinstance(frame, PolarsFrame)
        return frame.lazy

    plan = collect()
    ways: dict[str, Callable[[], object]] = {
        "scan": lambda: sink(pl.scan_csv(source), files["scan"]),
        "survey": lambda: survey(source, settings.dialect, settings.infer_rows),
        "collect": collect,
        "sink": lambda: sink(plan, files["sink"]),
    }
    ways["scan"]()  # threads are started, the file is in the cache
    costs = dict.fromkeys(ways, math.inf)
    for _ in range(times):
        for name, work in ways.items():
            costs[name] = min(costs[name], cost(work))
    theirs, ours = pl.scan_parquet(files["scan"]), pl.scan_parquet(files["sink"])
    differs = []
    for name, dtype in ours.collect_schema().items():
        one, other = (lf.select(pl.col(name).cast(dtype)).collect() for lf in (theirs, ours))
        if not one.equals(other):
            differs.append(name)
    print(json.dumps({"costs": costs, "differs": differs}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
