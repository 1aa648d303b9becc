"""How many reads does the service answer in a second, and what does one cost? A point by key, a page, an aggregate.

1 M rows of the orders job with a native table and a unique key. Each load has 1, 16 and 64 clients with a kept
connection each; none may be refused. Where Datasette is installed it answers the same over SQLite, with an index on
the key, under the same load in the same run.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import polars as pl

from benchmarks import load, measure, orders, server
from benchmarks.contestants import datasette
from benchmarks.options import Options

SECONDS = 4.0
CLIENTS = (1, 16, 64)
POINTS = 500
_AGGREGATE = "SELECT country, count(*) AS n, avg(unit_price) AS mean FROM orders GROUP BY country ORDER BY n DESC"
_POINT = "SELECT * FROM orders WHERE order_id = {}"


def ask(options: Options) -> dict[str, Any]:
    """Requests a second and CPU ms a request of each load, and times those of Datasette where it is installed."""
    with server.running(options.folder) as service:
        path = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
        document = orders.pipeline("orders", path.name, native=True)
        for storage in document["storage"]:
            if storage["type"] == "duckdb":
                storage["primary_key"] = [orders.KEY]
        service.call("POST", "/pipeline/create", document)
        service.execute("orders")
        service.settle("orders")
        (parts,) = {p.parent for p in service.data.glob("warehouse/orders/v000001/part-*.parquet")}
        frame = pl.read_parquet(parts / "part-*.parquet")
        keys = frame[orders.KEY].sample(POINTS, seed=1).to_list()
        ours = _measured(service.pid, service.address, _ours(service, keys))
    if not datasette.is_installed():
        return {"rows": frame.height, "columns": frame.width, "penstock": ours}
    database = options.folder / "orders.sqlite"
    database.unlink(missing_ok=True)
    datasette.store(frame, database)
    with datasette.running(database, server.free_port()) as (pid, address):
        theirs = _measured(pid, address, _theirs(address, keys))
    database.unlink()
    times = {
        f"{kind}, {clients}": ours[kind][str(clients)]["rate"] / theirs[kind][str(clients)]["rate"]
        for kind in ours for clients in CLIENTS
    }  # fmt: skip
    return {"rows": frame.height, "columns": frame.width, "penstock": ours, "datasette": theirs, "times": times}


def _ours(service: server.Service, keys: list[Any]) -> dict[str, list[str]]:
    def sql(text: str, *values: Any) -> str:
        body = json.dumps({"sql": text, "parameters": values} if values else {"sql": text}).encode()
        return load.request(service.address, "POST", "/api/v1/query", service.headers, body)

    page = urlencode({"limit": 100, "offset": 5_000})  # the same each time, as a screen asks
    return {
        "point": [sql(_POINT.format("?"), key) for key in keys],
        "page": [load.request(service.address, "GET", f"/api/v1/pipeline/orders/data?{page}", service.headers)],
        "aggregate": [sql(_AGGREGATE)],
    }


def _theirs(address: str, keys: list[Any]) -> dict[str, list[str]]:
    def sql(text: str, **values: Any) -> str:
        query = urlencode({"sql": text, "_shape": "objects", **values})
        return load.request(address, "GET", f"/orders.json?{query}", {})

    return {
        "point": [sql(_POINT.format(":key"), key=key) for key in keys],
        "page": [sql("SELECT * FROM orders LIMIT 100 OFFSET 5000")],
        "aggregate": [sql(_AGGREGATE)],
    }


def _measured(pid: int, address: str, requests: dict[str, list[str]]) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind, texts in requests.items():
        load.under(address, texts, 4, 1.0)  # warm
        for clients in CLIENTS:
            before = measure.cpu_seconds(pid)
            answer = load.under(address, texts, clients, SECONDS)
            cpu = (measure.cpu_seconds(pid) - before) * 1000 / max(answer["count"], 1)
            found.setdefault(kind, {})[str(clients)] = {**answer, "cpu_ms": cpu}
    return found


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = [f"{answer['rows']} rows x {answer['columns']} columns"]
    for who in ("penstock", "datasette"):
        for kind, loads in answer.get(who, {}).items():
            rates = ", ".join(
                f"{f['rate']:.0f} ({f['cpu_ms']:.2f} ms, {f['refused']:.0f} refused)" for f in loads.values()
            )
            lines.append(f"{who} {kind} at {', '.join(loads)} clients: {rates}")
    lines += [f"times Datasette, {load}: {times:.2f}" for load, times in answer.get("times", {}).items()]
    return "\n".join(lines)
