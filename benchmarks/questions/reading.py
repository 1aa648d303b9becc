"""How many reads does the service answer in a second, and what does one cost? Points, pages, an aggregate, a status.

1 M rows of the orders job with a native table and a unique key. Each load has 1, 16 and 64 clients with a kept
connection each; none may be refused. ``point``, ``page`` and ``aggregate`` ask for others each time; the ``repeated``
ones for the same few again, as screens do, so that the answers may be those of before. Where Datasette (over SQLite,
with an index on the key; no aggregate, which takes it half a second) and ROAPI (over the same Parquet file) are
installed they answer the same in the same run; ``status`` and ``health`` are compared with a handler of Litestar that
answers a constant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import polars as pl

from benchmarks import load, measure, orders, server
from benchmarks.contestants import bare_handler, datasette, roapi
from benchmarks.options import Options

SECONDS = 2.0
CLIENTS = (1, 16, 64)
POINTS, PAGES, AGGREGATES, FEW = 24_000, 9_000, 600, 50
_AGGREGATE = (
    "SELECT country, count(*) AS n, avg(unit_price) AS mean FROM orders WHERE order_id > {} "
    "GROUP BY country ORDER BY n DESC"
)
_POINT = "SELECT * FROM orders WHERE order_id = {}"
_PAGE = "SELECT * FROM orders LIMIT 100 OFFSET {}"

Loads = dict[str, list[str]]
Measured = dict[str, dict[str, dict[str, float]]]


def ask(options: Options) -> dict[str, Any]:
    """Requests a second and CPU ms a request of each load, and the times of each peer that is installed."""
    with server.running(options.folder) as service:
        path = orders.write_csv(options.folder / f"orders-{options.rows}.csv", options.rows)
        document = orders.pipeline("orders", path.name, native=True)
        for storage in document["storage"]:
            if storage["type"] == "duckdb":
                storage["primary_key"] = [orders.KEY]
        service.call("POST", "/pipeline/create", document)
        service.execute("orders")
        service.settle("orders")
        (part,) = service.data.glob("warehouse/orders/v000001/part-*.parquet")
        frame = pl.read_parquet(part)
        keys = frame[orders.KEY].sample(POINTS, with_replacement=options.rows < POINTS, seed=1).to_list()
        offsets = [100 * n % max(frame.height - 100, 1) for n in range(PAGES)]
        found = {"penstock": _measured(service.pid, service.address, _ours(service, keys, offsets))}
        if roapi.program() is not None:
            with roapi.running(part, server.free_port()) as (pid, address):
                found["roapi"] = _measured(pid, address, _roapi(address, keys, offsets))
    if datasette.is_installed():
        found["datasette"] = _datasette(options.folder, frame, keys, offsets)
    with bare_handler.running(server.free_port()) as (pid, address):
        bare = load.request(address, "GET", "/health", {})
        found["bare handler"] = _measured(pid, address, {"status": [bare], "health": [bare]})
    return {
        "rows": frame.height, "columns": frame.width, "found": found,
        "times": {peer: _times(found["penstock"], loads) for peer, loads in found.items() if peer != "penstock"},
    }  # fmt: skip


def _times(ours: Measured, theirs: Measured) -> dict[str, float]:
    """Our requests a second as multiples of theirs, by load; a repeated load is compared with the same of theirs."""
    return {
        f"{kind}, {clients}": loads[clients]["rate"] / theirs[kind][clients]["rate"]
        for kind, loads in ours.items() if kind in theirs for clients in loads
    }  # fmt: skip


def _ours(service: server.Service, keys: list[Any], offsets: list[int]) -> Loads:
    def sql(text: str, *values: Any) -> str:
        body = json.dumps({"sql": text, "parameters": values} if values else {"sql": text}).encode()
        return load.request(service.address, "POST", "/api/v1/query", service.headers, body)

    def get(path: str, **query: int) -> str:
        return load.request(service.address, "GET", f"/api/v1/pipeline/orders/{path}{_query(query)}", service.headers)

    loads = _loads(
        [sql(_POINT.format("?"), key) for key in keys],
        [get("data", limit=100, offset=offset) for offset in offsets],
        [sql(_AGGREGATE.format(n)) for n in range(AGGREGATES)],
    )
    return {**loads, "status": [get("status")], "health": [load.request(service.address, "GET", "/health", {})]}


def _query(parameters: dict[str, int]) -> str:
    return f"?{urlencode(parameters)}" if parameters else ""


def _loads(points: list[str], pages: list[str], aggregates: list[str]) -> Loads:
    loads = {"point": points, "page": pages, "aggregate": aggregates}
    return {**loads, **{f"{kind}, repeated": texts[:FEW] for kind, texts in loads.items()}}


def _roapi(address: str, keys: list[Any], offsets: list[int]) -> Loads:
    def sql(text: str) -> str:
        return load.request(address, "POST", "/api/sql", {"Content-Type": "text/plain"}, text.encode())

    return _loads(
        [sql(_POINT.format(key)) for key in keys],
        [sql(_PAGE.format(n)) for n in offsets],
        [sql(_AGGREGATE.format(n)) for n in range(AGGREGATES)],
    )


def _datasette(folder: Path, frame: pl.DataFrame, keys: Iterable[Any], offsets: Iterable[int]) -> Measured:
    database = folder / "orders.sqlite"
    database.unlink(missing_ok=True)
    datasette.store(frame, database)
    with datasette.running(database, server.free_port()) as (pid, address):

        def sql(text: str, **values: Any) -> str:
            query = urlencode({"sql": text, "_shape": "objects", **values})
            return load.request(address, "GET", f"/orders.json?{query}", {})

        points = [sql(_POINT.format(":key"), key=key) for key in keys]
        loads = _loads(points, [sql(_PAGE.format(n)) for n in offsets], [])
        found = _measured(pid, address, {kind: texts for kind, texts in loads.items() if texts})
    database.unlink()
    return found


def _measured(pid: int, address: str, requests: Loads) -> Measured:
    found: Measured = {}
    for kind, texts in requests.items():
        load.under(address, texts[-FEW:], 4, 1.0)  # warm
        for number, clients in enumerate(CLIENTS):
            mine = texts[number :: len(CLIENTS)] or texts  # no load asks what one before has asked
            before = measure.cpu_seconds(pid)
            answer = load.under(address, mine, clients, SECONDS)
            cpu = (measure.cpu_seconds(pid) - before) * 1000 / max(answer["count"], 1)
            found.setdefault(kind, {})[str(clients)] = {**answer, "cpu_ms": cpu}
    return found


def show(answer: dict[str, Any]) -> str:
    """The answer as lines for people."""
    lines = [f"{answer['rows']} rows x {answer['columns']} columns"]
    for who, loads in answer["found"].items():
        for kind, found in loads.items():
            rates = ", ".join(
                f"{f['rate']:.0f} ({f['cpu_ms']:.2f} ms, {f['refused']:.0f} refused)" for f in found.values()
            )
            lines.append(f"{who}, {kind}, at {', '.join(found)} clients: {rates}")
    for peer, times in answer["times"].items():
        lines += [f"times {peer}, {kind}: {ratio:.2f}" for kind, ratio in times.items()]
    return "\n".join(lines)
