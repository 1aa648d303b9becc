"""One export in one process, to a file: ``python -m benchmarks.contestants.export_floor FORMAT FILE TO``.

NDJSON and CSV by Polars' sinks over the stored file, Arrow by DuckDB's reader and an IPC stream, Parquet as the file
is. Prints the seconds by the clock and of CPU of the second of two exports, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.ipc as ipc

_PIECE = 1 << 20
_ROWS = 65_536
_new_stream: Any = ipc.new_stream  # pyarrow ships no types
_file: Any = getattr(pa, "OSFile")  # noqa: B009 - pyarrow ships no types


def _arrow(path: str, to: str) -> None:
    with duckdb.connect() as connection:
        relation: Any = connection.sql("FROM read_parquet($path)", params={"path": path})
        reader = relation.to_arrow_reader(_ROWS)
        with _file(to, "wb") as out, _new_stream(out, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)


def _parquet(path: str, to: str) -> None:
    with Path(path).open("rb", 0) as file, Path(to).open("wb", 0) as out:
        while piece := file.read(_PIECE):
            out.write(piece)


_FORMATS = {
    "ndjson": lambda path, to: pl.scan_parquet(path).sink_ndjson(to),
    "csv": lambda path, to: pl.scan_parquet(path).sink_csv(to),
    "arrow": _arrow,
    "parquet": _parquet,
}


def main(form: str, path: str, to: str) -> dict[str, float]:
    for _ in range(2):
        Path(to).unlink(missing_ok=True)
        wall, cpu = time.perf_counter(), time.process_time()
        _FORMATS[form](path, to)
        found = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    Path(to).unlink()
    return found


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
