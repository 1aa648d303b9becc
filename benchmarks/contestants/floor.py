"""The floor: what the parts of the job cost when each is measured alone, without anything between them.

``clean`` parses, casts, fills and deduplicates into nothing, ``profile`` and ``write`` have their input in memory
already. Processes, imports, stages and what has to be held for the next part are not in it, so that no whole job can
be cheaper. Leaves the parts in ``found.json``, and their sum as the cost in ``cost.json``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.contestants import in_memory, staged


def cost(work: Callable[[], Any]) -> float:
    """CPU seconds."""
    cpu = time.process_time()
    work()
    return time.process_time() - cpu


def main(source: Path, out: Path) -> None:
    result = out / "orders.parquet"
    pl.scan_csv(source, n_rows=1).collect(engine="streaming")  # threads are started, the file is in the cache
    parts = {"clean": cost(lambda: staged.cleaned(source).sink_batches(lambda _: None, engine="streaming"))}
    frame = staged.streamed(staged.cleaned(source))
    middle = in_memory.medians(frame)
    parts["medians"] = cost(lambda: in_memory.medians(frame))
    whole = in_memory.filled(frame, middle)
    found = in_memory.profile(whole) | {"medians": middle}
    parts["profile"] = cost(lambda: in_memory.profile(whole))
    parts["write"] = cost(lambda: in_memory.write(whole, found, result))
    staged.view(out / "orders.duckdb", result)
    (out / "found.json").write_text(json.dumps(found | {"parts": parts}, default=str))
    (out / "cost.json").write_text(json.dumps({"cpu": sum(parts.values())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
