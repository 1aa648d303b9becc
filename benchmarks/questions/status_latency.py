"""How fast does ``GET /pipeline/{name}/status`` answer while a large run has the machine?

One request every 50 ms on its own schedule (a slow answer does not delay the next question's due time, so waiting
counts), from the start of the run to its end, over one kept connection.
"""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import orders, server
from benchmarks.options import Options

INTERVAL = 0.05
ROWS = 10_000_000


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ask(options: Options) -> dict[str, Any]:
    """p50, p99 and the worst in milliseconds, how many requests, and how long the run took.

    Takes 10 million rows, or ``--rows`` where that is other than the default.
    """
    rows = options.rows if options.rows != 1_000_000 else ROWS
    source = orders.write_csv(options.folder / f"orders-{rows}.csv", rows)
    with server.running(source.parent) as service, ThreadPoolExecutor(1) as background:
        service.call("POST", "/pipeline/create", orders.pipeline("orders", source.name, native=False))
        connection = http.client.HTTPConnection("127.0.0.1", int(service.address.rpartition(":")[2]), timeout=60)
        started = due = time.perf_counter()
        run = background.submit(service.execute, "orders")
        waits: list[float] = []
        while not run.done():
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.request("GET", "/api/v1/pipeline/orders/status", headers=service.headers)
            answer = connection.getresponse()
            answer.read()
            waits.append((time.perf_counter() - due) * 1000)
            due += INTERVAL
        run.result()
        waits.sort()
        return {
            "rows": rows,
            "run_seconds": time.perf_counter() - started,
            "requests": len(waits),
            "p50_ms": _share(waits, 0.5),
            "p99_ms": _share(waits, 0.99),
            "worst_ms": waits[-1],
        }


def show(answer: dict[str, Any]) -> str:
    """The answer as a line for people."""
    return (
        f"{answer['requests']} requests during a run of {answer['rows']:,} rows ({answer['run_seconds']:.1f} s): "
        f"p50 {answer['p50_ms']:.1f} ms, p99 {answer['p99_ms']:.1f} ms, worst {answer['worst_ms']:.1f} ms"
    )
