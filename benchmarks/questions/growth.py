"""How does the time grow with rows that are many times what the memory holds: four times the rows, four times the time?

The orders job over Parquet files with a quarter of the rows and with all of them, under the memory that ``--memory``
allows; 200 million rows where none are given, which take some 60 GB of disk. The number of keys and their sum are
compared with those of the files before the times are. Each size runs once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import limited_run, measure, orders
from benchmarks.options import Options
from benchmarks.table import figure, markdown

COMPARES_FIRST = True
ONLY_BY_NAME = True
DEFAULT_ROWS = 200_000_000
SIZES = {"part-[01]?.parquet": 4, "part-??.parquet": 1}
"""Patterns of files, and which share of the rows they have: all divided by this number."""
FILES = 80
NAME = "orders"
FIRST_KEY = 1_000_000
HEAD = ("rows", "peak MiB", "wall s", "CPU s", "rows a second", "time a row × the first")


def _write(folder: Path, rows: int) -> None:
    """The files, of equal numbers of rows; those that are there are kept."""
    folder.mkdir(exist_ok=True)
    each = rows // FILES
    for number in range(FILES):
        path = folder / f"part-{number:02}.parquet"
        if not path.exists():
            starts = range(number * each, (number + 1) * each, orders.CHUNK)
            end = (number + 1) * each
            made = [orders.rows(start, min(orders.CHUNK, end - start)) for start in starts]
            partial = path.with_suffix(".partial")
            pl.concat(made).write_parquet(partial, compression="zstd", compression_level=1)
            partial.replace(path)


def _keys(files: list[Path], rows: int) -> list[int]:
    """How many different keys the files have, and their sum."""
    seen = np.zeros(rows, dtype=np.bool_)
    for path in files:
        seen[pl.read_parquet(path, columns=[orders.KEY])[orders.KEY].to_numpy() - FIRST_KEY] = True
    found = np.flatnonzero(seen)
    return [len(found), int(found.sum()) + len(found) * FIRST_KEY]


def ask(options: Options) -> dict[str, Any]:
    """Seconds, peak and rows a second by number of rows, and what differed."""
    rows = options.rows // FILES * FILES
    folder = options.folder / f"orders-{rows}"
    _write(folder, rows)
    table: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for pattern, share in SIZES.items():
        count = rows // share
        entry = table[str(count)] = {"differs": []}
        try:
            cost, found = _run(f"{folder.name}/{pattern}", options)
        except measure.Failed as error:
            failed[str(count)] = str(error)
            continue
        expected = _keys(sorted(folder.glob(pattern)), count)
        entry["differs"] = [] if found == expected else [f"{found} and not {expected}"]
        if not entry["differs"]:
            entry |= {"wall": cost.wall, "cpu": cost.cpu, "peak_mib": cost.peak_mib}
            entry["rows_per_second"] = count / cost.wall
    first, last = table.values()
    if "wall" in first and "wall" in last:
        last["growth"] = first["rows_per_second"] / last["rows_per_second"]
    return {"rows": rows, "contestants": table, "failed": failed}


def _run(files: str, options: Options) -> tuple[measure.Cost, list[int]]:
    document = orders.pipeline(NAME, files, native=False)
    document["collectors"] = [{"type": "parquet", "file_path": files}]
    keys = f"count(*)::BIGINT AS rows, sum({orders.KEY})::BIGINT AS keys"
    return limited_run.measured(document, options, keys)


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    rows, below = [], []
    for count, entry in answer["contestants"].items():
        values = map(entry.get, ("peak_mib", "wall", "cpu", "rows_per_second", "growth"))
        cells = [figure(value, places) for value, places in zip(values, (0, 1, 1, 0, 2), strict=True)]
        rows.append([f"{int(count):,}", *cells])
        below += [f"{count} differs, no time: {problem}" for problem in entry["differs"]]
    below += [f"{count} failed: {why.splitlines()[-1]}" for count, why in answer["failed"].items()]
    return "\n".join([markdown(HEAD, rows), *below])
