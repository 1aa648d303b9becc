"""How long from a trigger to the first step of the run? With a worker that waits, a free slot, and 1,000 rows.

The trigger is a POST to ``execute`` (the clock of the client when it sends), or the commit of an upstream pipeline (its
line in the log). The first step has begun when the run's first progress arrives: measured by the time of that event.
"""

from __future__ import annotations

import http.client
import time
from datetime import datetime
from typing import Any

from benchmarks import client, orders, server
from benchmarks.client import Client
from benchmarks.options import Options
from benchmarks.server import Service

ROWS = 1_000
TIMES = 100
AIM = 100.0  # milliseconds, p99


def _until_first_step(service: Service, run_id: str) -> float:
    """The time (Unix seconds) at which the first progress event of a run arrives."""
    host, _, port = service.address.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("GET", f"/api/v1/runs/{run_id}/events", None, service.headers)
    events = connection.getresponse()
    try:
        while line := events.readline():
            if line.startswith((b"event: progress", b"event: end")):
                return time.time()
    finally:
        connection.close()
    raise AssertionError("the stream ended")


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _triggered(calls: Client, service: Service, number: int) -> float:
    """Milliseconds from the commit of the upstream to the first step of the run that it triggers."""
    run = calls.call("POST", "/pipeline/upstream/execute?wait=60")
    committed = next(line for line in calls.lines(f"/runs/{run['run_id']}/logs") if line["event"] == "run.published")
    while True:
        runs = calls.call("GET", "/pipeline/downstream/runs?limit=1")
        if runs["total"] > number:
            break
    newest = runs["items"][0]["run_id"]
    while calls.call("GET", f"/runs/{newest}")["end_time"] is None:
        pass
    events = calls.lines(f"/runs/{newest}/logs")
    first = next(line for line in events if line["event"] == "collector.finished")
    run = calls.call("GET", f"/runs/{newest}")
    began = _moment(first["time"]) - run["steps"][0]["duration"]
    return (began - _moment(committed["time"])) * 1000


def ask(options: Options) -> dict[str, Any]:
    """p50, p99 and worst in milliseconds after a request and after a commit upstream."""
    source = orders.write_csv(options.folder / f"orders-{ROWS}.csv", ROWS)
    text = source.read_bytes()
    file = options.folder / "upstream.csv"
    file.write_bytes(text)
    with server.running(options.folder) as service:
        calls = Client(service)
        for name in ("asked", "upstream"):
            calls.call(
                "POST", "/pipeline/create", {"name": name, "collectors": [{"type": "csv", "file_path": file.name}]}
            )
        asked = []
        for _ in range(TIMES):
            time.sleep(0.2)
            sent = time.time()
            run = calls.call("POST", "/pipeline/asked/execute?wait=0")
            asked.append((_until_first_step(service, run["run_id"]) - sent) * 1000)
            while calls.call("GET", f"/runs/{run['run_id']}")["end_time"] is None:
                time.sleep(0.02)
        calls.call("POST", "/pipeline/upstream/execute?wait=60")
        downstream = {"name": "downstream", "collectors": [{"type": "pipeline", "name": "upstream"}]}
        calls.call("POST", "/pipeline/create", {**downstream, "trigger": {"after": ["upstream"]}})
        triggered = []
        for number in range(TIMES):
            file.write_bytes(text + text.splitlines(keepends=True)[-1].replace(b"thank", b"%d thank" % number))
            triggered.append(_triggered(calls, service, number))
            time.sleep(0.2)
    found = {"request": asked, "commit": triggered}
    return {"times": TIMES, "aim_ms": AIM} | {
        name: {"p50_ms": client.share(t, 0.5), "p99_ms": client.share(t, 0.99), "worst_ms": max(t)}
        for name, t in found.items()
    }


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    return "\n".join(
        f"{title:28} p50 {answer[key]['p50_ms']:6.1f} ms   p99 {answer[key]['p99_ms']:6.1f} ms (aim "
        f"{answer['aim_ms']:.0f})   worst {answer[key]['worst_ms']:6.1f} ms"
        for key, title in (("request", "request to first step"), ("commit", "commit to first step"))
    )
