"""Datasette over a SQLite table with the same rows and an index on the key; it is not one of our dependencies."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from benchmarks import measure

_READY_SECONDS = 60


def is_installed() -> bool:
    """Whether this Python can run it."""
    return subprocess.run([sys.executable, "-c", "import datasette"], capture_output=True, check=False).returncode == 0


def store(frame: pl.DataFrame, path: Path) -> None:
    """Write the rows into the table ``orders``; times are text, as SQLite has them."""
    plain = frame.with_columns(pl.selectors.temporal().cast(pl.String), pl.selectors.boolean().cast(pl.Int8))
    names = ", ".join(f'"{name}"' for name in plain.columns)
    with sqlite3.connect(path) as database:
        database.execute(f"CREATE TABLE orders ({names})")
        places = ", ".join("?" * plain.width)
        database.executemany(f"INSERT INTO orders VALUES ({places})", plain.iter_rows())
        database.execute("CREATE UNIQUE INDEX by_key ON orders (order_id)")


@contextmanager
def running(database: Path, port: int) -> Iterator[tuple[int, str]]:
    """Its process id and address."""
    command = [sys.executable, "-m", "datasette", "serve", str(database), "--port", str(port),
               "--setting", "sql_time_limit_ms", "60000", "--setting", "max_returned_rows", "1000"]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{address}/-/versions.json", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise measure.Failed("Datasette does not come up") from None
                time.sleep(0.05)
        yield child.pid, address
    finally:
        child.terminate()
        child.wait(30)
