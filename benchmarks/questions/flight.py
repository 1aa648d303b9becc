"""What does Flight SQL add to a statement and to many rows, compared with Arrow over HTTP?

The same statements by ADBC's driver through ``penstock flight`` and by plain HTTP, in turn: one row by a key, then as
many generated rows as ``--rows``. CPU is that of the Flight process.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import pyarrow.ipc as ipc
from adbc_driver_flightsql import DatabaseOptions, dbapi

from benchmarks import orders, server
from benchmarks.options import Options
from benchmarks.server import Service

POINTS = 200
_open_stream: Any = ipc.open_stream  # pyarrow ships no types


class _Turns:
    """The seconds of two ways to do the same, in turn, and the CPU seconds of a process during the first."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.flight: list[float] = []
        self.http: list[float] = []
        self.cpu = 0.0

    def take(self, flight: Callable[[], int], http: Callable[[], int]) -> None:
        before = _cpu(self._pid)
        self.flight.append(_timed(flight))
        self.cpu += _cpu(self._pid) - before
        self.http.append(_timed(http))


def _timed(work: Callable[[], int]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@contextmanager
def _flying(service: Service) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "service", "flight", "--port", "0", "--url", service.address]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.pid, next(word for word in child.stdout.readline().split() if word.startswith("grpc"))
    finally:
        child.terminate()
        child.wait(30)
        child.stdout.close()


def ask(options: Options) -> dict[str, Any]:
    """Seconds of a statement with one row and of one with ``rows`` rows, by each way, and CPU of the Flight process."""
    source = orders.write_csv(options.folder / "orders-1000.csv", 1_000)
    many = f"SELECT range AS id, range * 2 AS twice, range::VARCHAR AS text FROM range({options.rows * 10})"
    with server.running(source.parent) as service, _flying(service) as (pid, address), httpx.Client() as client:
        service.call("POST", "/pipeline/create", orders.pipeline("orders", source.name, native=False))
        service.execute("orders")
        login = {DatabaseOptions.AUTHORIZATION_HEADER.value: service.headers["Authorization"]}
        with dbapi.connect(address, db_kwargs=login, autocommit=True) as connection, connection.cursor() as cursor:

            def flight(sql: str) -> int:
                cursor.execute(sql)
                return sum(batch.nbytes for batch in cursor.fetch_record_batch())

            def http(sql: str) -> int:
                answer = client.post(
                    f"{service.address}/api/v1/query?format=arrow", json={"sql": sql}, timeout=600,
                    headers={**service.headers, "Accept-Encoding": "identity"},
                )  # fmt: skip
                return sum(batch.nbytes for batch in _open_stream(answer.content))

            points, rows = _Turns(pid), _Turns(pid)
            for number in range(POINTS):
                sql = f"SELECT * FROM orders LIMIT 1 OFFSET {number}"
                points.take(lambda sql=sql: flight(sql), lambda sql=sql: http(sql))  # type: ignore[misc]
            for _ in range(options.repeat):
                rows.take(lambda: flight(many), lambda: http(many))
            size = http(many)
    return {
        "points": {"flight": median(points.flight), "http": median(points.http), "cpu": points.cpu / POINTS},
        "rows": {
            "bytes": size, "flight": min(rows.flight), "http": min(rows.http), "cpu": rows.cpu / options.repeat,
        },
    }  # fmt: skip


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    points, rows = answer["points"], answer["rows"]
    return "\n".join(
        [
            f"one row: {points['flight'] * 1000:.1f} ms, {points['flight'] / points['http']:.2f} x HTTP, "
            f"{points['cpu'] * 1000:.1f} ms of CPU",
            f"{rows['bytes'] >> 20} MiB: {rows['flight']:.2f} s, {rows['flight'] / rows['http']:.2f} x HTTP, "
            f"{rows['cpu'] / rows['bytes'] * (1 << 30):.1f} s of CPU a GiB",
        ]
    )
