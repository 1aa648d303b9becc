"""What do metrics, limits and traces that are switched off add to a request, and what does /metrics cost?

A real service answers small requests over one kept connection; the CPU of its whole process tree counts. What each
request pays for being counted is measured alone, in this process, and so are scrapes with as many series as a service
has that answered on all routes, with a thousand pipelines and their versions in its catalog.
"""

from __future__ import annotations

import asyncio
import http.client
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import measure, server
from benchmarks.options import Options
from service.api.rate_limit import RateLimiter
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.warehouse_totals import WarehouseTotals
from service.kit.clock import SystemClock
from service.telemetry import exposition
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Traces

_REQUESTS, _COUNTS, _SCRAPES = 500, 100_000, 20
_ROUTES, _PIPELINES, _VERSIONS = 80, 1_000, 30


def ask(options: Options) -> dict[str, Any]:
    """CPU microseconds of a request and of counting it, the share, and milliseconds of a scrape."""
    with server.running(options.folder) as service:
        request = min(_request(service) for _ in range(options.repeat))
    metrics, limiter, traces = Metrics(), RateLimiter(1 << 30, SystemClock()), Traces()

    def count() -> None:
        for _ in range(_COUNTS):
            metrics.count_request("GET", "/a", 200, 0.01)

    async def limits() -> None:
        for _ in range(_COUNTS):
            (await limiter.take("user ann")).headers  # noqa: B018 - made for each answer

    parts = {
        "metrics": _each(count),
        "limits": _each(lambda: asyncio.run(limits())),
        "traces that are off": _each(lambda: [traces.begin(None) for _ in range(_COUNTS)]),
    }
    scrape, size = _scrape()
    return {
        "request_us": request, "parts_us": parts, "share": sum(parts.values()) / request, "scrape_ms": scrape,
        "scrape_bytes": size,
    }  # fmt: skip


def _each(work: Callable[[], object]) -> float:
    """CPU microseconds of one of ``_COUNTS``."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e6 / _COUNTS


def _request(service: server.Service) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", int(service.address.rpartition(":")[2]), timeout=60)

    def ask_once() -> None:
        connection.request("GET", "/api/v1/auth/me", headers=service.headers)
        answer = connection.getresponse()
        if answer.read() and answer.status != http.HTTPStatus.OK:
            raise measure.Failed(f"it answered {answer.status}")

    for _ in range(50):
        ask_once()
    began = measure.cpu_seconds(service.pid)
    for _ in range(_REQUESTS):
        ask_once()
    return (measure.cpu_seconds(service.pid) - began) * 1e6 / _REQUESTS


def _scrape() -> tuple[float, int]:
    """CPU milliseconds of a scrape just after a commit, the median of some, and its bytes."""
    metrics = Metrics()
    for route in range(_ROUTES):
        for status in (200, 400, 404):
            metrics.count_request("GET", f"/api/v1/route/{route}", status, 0.01)
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDBStore(Path(folder) / "catalog.duckdb")
        store.execute(
            "INSERT INTO pipelines (id, name, table_name, revision, created) "
            f"SELECT 'p' || range, 'p' || range, 't' || range, 1, now()::TIMESTAMP FROM range({_PIPELINES})"
        )
        store.execute(
            "INSERT INTO versions (pipeline_id, version, run_id, rows, bytes, created, value) SELECT "
            f"'p' || range // {_VERSIONS}, range % {_VERSIONS}, 'r' || range, 1000, 10000, now()::TIMESTAMP, '{{}}' "
            f"FROM range({_PIPELINES * _VERSIONS})"
        )
        totals, times, size = WarehouseTotals(store), [], 0
        metrics.gauge("penstock_stored_rows", "Rows.", lambda: totals.read()["rows"], blocks=True)
        for number in range(_SCRAPES):
            store.execute(f"UPDATE versions SET rows = {number} WHERE pipeline_id = 'p1'")  # the totals are read again
            began = time.process_time()
            size = len(exposition.text([*metrics.counted(), *metrics.read()]))
            times.append((time.process_time() - began) * 1000)
        store.close()
    return statistics.median(times), size


def show(answer: dict[str, Any]) -> str:
    """The answer for people."""
    parts = ", ".join(f"{name} {cost:.2f} us" for name, cost in answer["parts_us"].items())
    return (
        f"a small request takes {answer['request_us']:.0f} us of CPU; of these {parts}: {answer['share']:.2%}; "
        f"a scrape takes {answer['scrape_ms']:.1f} ms for {answer['scrape_bytes'] // 1000} kB"
    )
