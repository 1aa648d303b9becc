"""The floor of a tiny run: the same rows by hand in one warm process; prints milliseconds of CPU and by the clock."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import polars as pl

REPEAT = 30


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def once(source: Path, folder: Path) -> None:
    """Read ``source``, write Parquet and a native table into ``folder``, all flushed and renamed."""
    part, native = folder / "part.parquet", folder / ".tmp.duckdb"
    pl.read_csv(source).write_parquet(part, compression="zstd")
    _flush(part)
    with duckdb.connect(native, config={"threads": 1}) as connection:
        connection.execute(f"CREATE TABLE t AS FROM read_parquet('{part}')")
        connection.execute("CHECKPOINT")
    _flush(native)
    native.rename(folder / "t.duckdb")
    _flush(folder)


def main(folder: Path, rows: int) -> None:
    source = folder / f"orders-{rows}.csv"
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for number in range(REPEAT + 3):
            if number == 3:  # the first ones start the engines
                began, cpu = time.perf_counter(), time.process_time()
            place = Path(scratch, str(number))
            place.mkdir()
            once(source, place)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"cpu_ms": cpu / REPEAT * 1000, "wall_ms": wall / REPEAT * 1000}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
