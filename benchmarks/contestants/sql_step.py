"""One query over a Parquet file into another: ``python -m benchmarks.contestants.sql_step FORM QUERY SOURCE RESULT``.

``FORM`` is ``penstock`` (what a ``sql`` step does in the run's process) or ``duckdb`` (DuckDB alone, with as many
threads and the same format of the result). Prints the seconds by the clock, of CPU, and the rows of the result.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import duckdb
import polars as pl

QUERIES = {
    "groups": "SELECT country, day, count(*) AS n, sum(price * quantity) AS revenue FROM input GROUP BY ALL",
    "rows": "SELECT *, price * quantity AS total FROM input WHERE quantity > 2 AND note LIKE '%7%'",
    "window": "SELECT id, price, avg(price) OVER (PARTITION BY customer ORDER BY id) AS smooth FROM input",
}


def write_source(path: Path, rows: int) -> Path:
    """The rows that the queries read, written once."""
    if not path.exists():
        duckdb.sql(
            f"""COPY (SELECT i AS id, 'c' || (i * 7919 % 40) AS country,
                DATE '2024-01-01' + (i * 31 % 700)::INTEGER AS day,
                (i * 104729 % 200003)::INTEGER AS customer, (i * 15485863 % 100000) / 100.0::DOUBLE AS price,
                (1 + i % 5)::INTEGER AS quantity, 'note ' || (i * 7 % 1000003) AS note
                FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet, COMPRESSION lz4)"""
        )
    return path


def ours(query: str, source: Path, result: Path) -> int:
    from service.engine.polars_frame import PolarsFrame

    frame = PolarsFrame(pl.scan_parquet(source), result.parent, expensive=False, files=[source])
    answer = frame.query(query)  # its file lives as long as it does
    return int(answer.lazy.select(pl.len()).collect().item())


def theirs(query: str, source: Path, result: Path) -> int:
    connection = duckdb.connect(config={"threads": pl.thread_pool_size()})
    connection.execute(f"CREATE VIEW input AS FROM read_parquet('{source}')")
    connection.execute(f"COPY ({query}) TO '{result}' (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE 122880)")
    return int(pl.scan_parquet(result).select(pl.len()).collect().item())


def main(form: str, name: str, source: Path, result: Path) -> None:
    work = ours if form == "penstock" else theirs
    work(QUERIES[name] + " LIMIT 0", source, result)  # modules are loaded, and DuckDB has started, before the clock
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    rows = work(QUERIES[name], source, result)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mib": after.ru_maxrss / 1024, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
