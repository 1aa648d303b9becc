"""What does a small request cost? A run over 1,000 rows, and one SQL point query.

Both over HTTP against a service that is up: from sending the request to having its answer, after two warm-up calls.
A run waits, outside the clock, until the run before has its native table. Queries are asked twice: with a pause
before each, so that the service is at rest, and without a pause, where each waits for its process to start.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import orders, server
from benchmarks.options import Options

ROWS = 1_000
POINT = "SELECT order_id, status, quantity FROM orders WHERE order_id = 1000500"


def _times(action: Callable[[], object], count: int, before: Callable[[], object]) -> dict[str, float]:
    """Median, 95th percentile and best of ``count`` calls, in milliseconds; ``before`` each is not counted."""
    for _ in range(2):
        action()
    taken = []
    for _ in range(count):
        before()
        started = time.perf_counter()
        action()
        taken.append((time.perf_counter() - started) * 1000)
    taken.sort()
    return {"p50_ms": statistics.median(taken), "p95_ms": taken[int(count * 0.95)], "best_ms": taken[0]}


def _pause() -> None:
    time.sleep(0.3)


def ask(options: Options) -> dict[str, Any]:
    """``execute`` and ``query``: median, p95 and best in milliseconds."""
    source = orders.write_csv(options.folder / f"orders-{ROWS}.csv", ROWS)
    with server.running(source.parent) as service:
        service.call("POST", "/pipeline/create", orders.pipeline("orders", source.name, native=False))
        simple = {"name": "plain", "collectors": [{"type": "csv", "file_path": source.name}]}
        service.call("POST", "/pipeline/create", simple)
        return {
            "rows": ROWS,
            "execute": _times(lambda: service.execute("orders"), 20, _pause),
            "execute_plain": _times(lambda: service.execute("plain"), 20, lambda: service.settle("plain")),
            "query": _times(lambda: service.sql(POINT), 40, _pause),
            "query_at_once": _times(lambda: service.sql(POINT), 40, lambda: None),
        }


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    names = {
        "execute": "execute, the whole orders job",
        "execute_plain": "execute, CSV to Parquet and DuckDB",
        "query": "SQL point query, service at rest",
        "query_at_once": "SQL point query, one after another",
    }
    return "\n".join(
        f"{title:36} p50 {answer[key]['p50_ms']:6.1f} ms   p95 {answer[key]['p95_ms']:6.1f} ms   "
        f"best {answer[key]['best_ms']:6.1f} ms"
        for key, title in names.items()
    )
