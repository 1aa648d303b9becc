"""How fast does ``GET /pipeline/{name}/status`` answer while a large run, or a long queue, has the machine?

One request every 50 ms on its own schedule (a slow answer does not delay the next question's due time, so waiting
counts), over one kept connection: from the start of the run to its end; and, with a thousand finished and a thousand
queued runs of as many pipelines, of one of these pipelines after the other while the queue is worked off. The floor is
``GET /health`` at the same times.
"""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import orders, server
from benchmarks.options import Options
from benchmarks.server import Service

INTERVAL = 0.05
DEFAULT_ROWS = 10_000_000


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


CROWD = 1_000
CROWD_SECONDS = 20.0
AIM = 20.0  # milliseconds, p99 in the crowd


class _Asker:
    """Asks on a schedule over one connection."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", int(service.address.rpartition(":")[2]), timeout=60)
        self._headers = service.headers
        self.due = time.perf_counter()

    def wait(self, path: str) -> float:
        """Milliseconds from the moment at which the next request is due to its answer."""
        time.sleep(max(0.0, self.due - time.perf_counter()))
        self._connection.request("GET", path, headers=self._headers)
        self._connection.getresponse().read()
        waited = (time.perf_counter() - self.due) * 1000
        self.due += INTERVAL
        return waited


def _large_run(options: Options) -> dict[str, Any]:
    rows = options.rows
    source = orders.write_csv(options.folder / f"orders-{rows}.csv", rows)
    with server.running(source.parent) as service, ThreadPoolExecutor(1) as background:
        service.call("POST", "/pipeline/create", orders.pipeline("orders", source.name, native=False))
        asker = _Asker(service)
        started = time.perf_counter()
        run = background.submit(service.execute, "orders")
        waits: list[float] = []
        while not run.done():
            waits.append(asker.wait("/api/v1/pipeline/orders/status"))
        run.result()
        return {"rows": rows, "run_seconds": time.perf_counter() - started, **_figures(waits)}


def _crowd(options: Options) -> dict[str, Any]:
    source = orders.write_csv(options.folder / "orders-1000.csv", 1_000)
    names = [f"p{number}" for number in range(CROWD)]
    with server.running(source.parent) as service, ThreadPoolExecutor(8) as pool:
        for name in names:
            document = {"name": name, "collectors": [{"type": "csv", "file_path": source.name}]}
            service.call("POST", "/pipeline/create", document)
        list(pool.map(service.execute, names))
        for name in names:
            service.call("POST", f"/pipeline/{name}/execute?wait=0")
        asker, waits, floor = _Asker(service), [], []
        for number in range(int(CROWD_SECONDS / INTERVAL / 2)):
            waits.append(asker.wait(f"/api/v1/pipeline/{names[number * 7 % CROWD]}/status"))
            floor.append(asker.wait("/health"))
        return {"runs": CROWD, "aim_ms": AIM, "floor": _figures(floor), **_figures(waits)}


def _figures(waits: list[float]) -> dict[str, Any]:
    waits = sorted(waits)
    return {
        "requests": len(waits), "p50_ms": _share(waits, 0.5), "p99_ms": _share(waits, 0.99), "worst_ms": waits[-1],
    }  # fmt: skip


def ask(options: Options) -> dict[str, Any]:
    """p50, p99 and the worst in milliseconds, how many requests, and how long the large run took.

    The large run has 10 million rows, or ``--rows`` where that is other than the default.
    """
    return {"large_run": _large_run(options), "crowd": _crowd(options)}


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    large, crowd = answer["large_run"], answer["crowd"]
    return "\n".join(
        [
            f"during a run of {large['rows']:,} rows ({large['run_seconds']:.1f} s): {_text(large)}",
            f"{crowd['runs']} finished and {crowd['runs']} queued runs (aim {crowd['aim_ms']:.0f}): {_text(crowd)}",
            f"floor, /health at the same times: {_text(crowd['floor'])}",
        ]
    )


def _text(figures: dict[str, Any]) -> str:
    return (
        f"{figures['requests']} requests, p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, worst "
        f"{figures['worst_ms']:.1f} ms"
    )
