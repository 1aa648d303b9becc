"""What does it take to apply a stored version to one record, and to a thousand, over HTTP?

The steps of the orders job (casts, fills, dates, scaling, one-hot). One client with a kept connection gives the median
and the 95th percentile; 16 clients give the rate. The floor is the same work by hand in Polars in a warm process,
without HTTP, log-in and checks of the records.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from benchmarks import load, measure, orders, server
from benchmarks.options import Options

ROWS = 20_000
TIMES = {1: 300, 1_000: 40}
CLIENTS, SECONDS = 16, 3.0
_PATH = "/api/v1/pipeline/orders/apply"


def ask(options: Options) -> dict[str, Any]:
    """Milliseconds of a request (median, 95th percentile, CPU), the rate of 16 clients, and the floor."""
    path = orders.write_csv(options.folder / f"orders-{ROWS}.csv", ROWS)
    answers: dict[str, Any] = {}
    with server.running(options.folder) as service:
        service.call("POST", "/pipeline/create", orders.pipeline("orders", path.name, native=False))
        service.execute("orders")
        fitted = service.call("GET", "/pipeline/orders/versions/1/fitted")["fitted"]
        records = _records(service, path)
        for count in TIMES:
            given = [records[place % len(records)] for place in range(count)]
            found = _measured(service, json.dumps({"records": given}), TIMES[count])
            found["floor_ms"] = _floor(options, given, fitted, TIMES[count])
            answers[str(count)] = found | {"times_floor": found["p50_ms"] / found["floor_ms"]}
    return answers


def _records(service: server.Service, path: Any) -> list[dict[str, Any]]:
    """Rows of the source as the version's collector typed them."""
    columns = service.call("GET", "/pipeline/orders/versions/1")["sources"][0]["columns"]
    kinds = {"int64": pl.Int64(), "float64": pl.Float64(), "boolean": pl.Boolean()}
    schema = {column["name"]: kinds.get(column["type"], pl.String()) for column in columns}
    return pl.read_csv(path, schema=schema, n_rows=1_000).to_dicts()


def _measured(service: server.Service, body: str, times: int) -> dict[str, float]:
    split = urlsplit(service.address)
    connection = http.client.HTTPConnection(split.hostname or "", split.port)
    seconds: list[float] = []
    before = measure.cpu_seconds(service.pid)
    for number in range(times + 5):
        if number == 5:
            before = measure.cpu_seconds(service.pid)
        began = time.perf_counter()
        connection.request("POST", _PATH, body, service.headers)
        answer = connection.getresponse()
        content = answer.read()
        seconds.append(time.perf_counter() - began)
        if answer.status != 200:
            raise measure.Failed(f"apply: {answer.status} {content[:500].decode()}")
    cpu = (measure.cpu_seconds(service.pid) - before) * 1000 / times
    connection.close()
    kept = sorted(seconds[5:])
    text = load.request(service.address, "POST", _PATH, service.headers, body.encode())
    many = load.under(service.address, [text], CLIENTS, SECONDS)
    return {
        "first_ms": seconds[0] * 1000, "p50_ms": statistics.median(kept) * 1000,
        "p95_ms": kept[int(len(kept) * 0.95)] * 1000, "cpu_ms": cpu, "rate": many["rate"], "refused": many["refused"],
    }  # fmt: skip


def _floor(options: Options, given: list[dict[str, Any]], fitted: dict[str, Any], times: int) -> float:
    parameters = [step["parameters"] for step in fitted.values()]
    scaled = next(p["normalize"] for p in parameters if "normalize" in p)
    found = {
        "rows": 2,
        "medians": next(p["fill_na"] for p in parameters if "fill_na" in p),
        "categories": orders.CATEGORIES,
        **{f"{c}|mean": s["mean"] for c, s in scaled.items()},
        **{f"{c}|std": s["scale"] * 2**0.5 for c, s in scaled.items()},
        **{f"{c}|missing": 0 for c in scaled},
    }
    files = options.folder / "apply-records.json", options.folder / "apply-found.json"
    files[0].write_text(json.dumps(given))
    files[1].write_text(json.dumps(found))
    answer = measure.said("benchmarks.contestants.applied_records", [*map(str, files), str(times)])
    return float(answer["ms"])


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = []
    for count in TIMES:
        found = answer[str(count)]
        lines.append(
            f"{count} records: p50 {found['p50_ms']:.2f} ms, p95 {found['p95_ms']:.2f} ms, "
            f"CPU {found['cpu_ms']:.2f} ms, the first {found['first_ms']:.0f} ms; "
            f"{found['rate']:.0f} a second at {CLIENTS} clients ({found['refused']:.0f} refused); "
            f"by hand {found['floor_ms']:.2f} ms, {found['times_floor']:.1f} times that"
        )
    return "\n".join(lines)
