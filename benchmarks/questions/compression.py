"""What does a level of zstd cost, and what does it save? The result of the orders job, written as Parquet.

The rows are in memory; each level writes them in turns in one process, and the least CPU counts. What is read back is
compared with what was written first.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import measure, orders
from benchmarks.options import Options
from benchmarks.table import figure, markdown

LEVELS = (1, 3, 9)
HEAD = ("zstd level", "CPU s", "MiB", "CPU × level 1", "bytes × level 1")


def ask(options: Options) -> dict[str, Any]:
    """CPU seconds and bytes by level, and their ratios to the first one."""
    source = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
    said = measure.said(__name__, [str(source), str(options.folder), str(options.repeat)])
    first = said[str(LEVELS[0])]
    for entry in said.values():
        entry["times"] = {key: entry[key] / first[key] for key in ("cpu", "bytes")}
    return {"rows": options.rows, "contestants": said, "failed": {}}


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    rows = [
        [level, *map(figure, (e["cpu"], e["bytes"] / measure.MIB, e["times"]["cpu"], e["times"]["bytes"]))]
        for level, e in answer["contestants"].items()
    ]
    return "\n".join([f"{answer['rows']:,} rows", "", markdown(HEAD, rows)])


def main(source: Path, folder: Path, repeat: int) -> None:
    from benchmarks.contestants import in_memory, staged  # what is measured, in its own process

    frame = staged.streamed(staged.cleaned(source))
    frame = in_memory.filled(frame, in_memory.medians(frame))
    result = staged.applied(frame.lazy(), in_memory.profile(frame)).collect()
    path = folder / "compression.parquet"
    costs: dict[int, Any] = {level: {"cpu": 1e9, "differs": []} for level in LEVELS}
    for _ in range(repeat):
        for level, entry in costs.items():
            began = time.process_time()
            result.lazy().sink_parquet(path, compression="zstd", compression_level=level)
            cpu = time.process_time() - began
            if not pl.read_parquet(path).equals(result):
                entry["differs"] = ["what was written is not what is read"]
            entry["cpu"], entry["bytes"] = min(entry["cpu"], cpu), path.stat().st_size
    path.unlink()
    print(json.dumps(costs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
