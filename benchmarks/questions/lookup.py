"""What does a row by its key cost over HTTP, and a hundred rows, beside the same as SQL?

1 M rows of the orders job with a native table and a unique key. Each load has 1 and 16 clients with kept connections.
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from benchmarks import load, measure, orders, server
from benchmarks.options import Options

SECONDS = 3.0
CLIENTS = (1, 16)
POINTS, MANY = 500, 100
_ROWS = "/api/v1/pipeline/orders/rows"


def ask(options: Options) -> dict[str, Any]:
    """Requests a second and CPU ms a request of each load."""
    with server.running(options.folder) as service:
        path = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
        document = orders.pipeline("orders", path.name, native=True)
        for storage in document["storage"]:
            if storage["type"] == "duckdb":
                storage["primary_key"] = [orders.KEY]
        service.call("POST", "/pipeline/create", document)
        service.execute("orders")
        service.settle("orders")
        parts = next(iter(service.data.glob("warehouse/orders/v000001/part-*.parquet"))).parent
        keys = pl.read_parquet(parts / "part-*.parquet", columns=[orders.KEY])[orders.KEY]
        sample = keys.sample(POINTS, seed=1).to_list()
        requests = _requests(service, sample, keys.sample(MANY, seed=2).to_list())
        return {kind: _measured(service, texts) for kind, texts in requests.items()}


def _requests(service: server.Service, points: list[int], many: list[int]) -> dict[str, list[str]]:
    def sent(method: str, path: str, body: Any = None) -> str:
        text = b"" if body is None else json.dumps(body).encode()
        return load.request(service.address, method, path, service.headers, text)

    sql = f"SELECT * FROM orders WHERE {orders.KEY} = ?"
    several = f"SELECT * FROM orders WHERE {orders.KEY} IN ({', '.join('?' * MANY)})"
    return {
        "row by key": [sent("GET", f"{_ROWS}/{key}") for key in points],
        "the same as SQL": [sent("POST", "/api/v1/query", {"sql": sql, "parameters": [key]}) for key in points],
        "ten rows by key": [sent("POST", _ROWS, {"keys": many[:10]})],
        "a hundred rows by key": [sent("POST", _ROWS, {"keys": many})],
        "a hundred as SQL": [sent("POST", "/api/v1/query", {"sql": several, "parameters": many})],
    }


def _measured(service: server.Service, texts: list[str]) -> dict[str, dict[str, float]]:
    load.under(service.address, texts, 4, 1.0)  # warm
    found = {}
    for clients in CLIENTS:
        before = measure.cpu_seconds(service.pid)
        answer = load.under(service.address, texts, clients, SECONDS)
        cpu = (measure.cpu_seconds(service.pid) - before) * 1000 / max(answer["count"], 1)
        found[str(clients)] = {**answer, "cpu_ms": cpu}
    return found


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = []
    for kind, loads in answer.items():
        rates = ", ".join(f"{f['rate']:.0f} ({f['cpu_ms']:.2f} ms, {f['refused']:.0f} refused)" for f in loads.values())
        lines.append(f"{kind}: a second at {', '.join(loads)} clients: {rates}")
    return "\n".join(lines)
