"""What one process made another one answers, whose data directory is empty: rows, quarantine, profile, fitted steps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.installation import Installation, ended, execute
from tests.acceptance.served import Served

pytestmark = pytest.mark.services

ORDERS = "id,price,city\n" + "".join(f"{n},{n * 1.5 if n % 7 else -n},c{n % 3}\n" for n in range(1, 400))
PIPELINE: dict[str, Any] = {
    "name": "orders",
    "collectors": [{"type": "csv", "file_path": "orders.csv"}],
    "processors": [
        {"type": "validator", "config": {
            "rules": [{"column": "price", "check": "in_range", "min": 0}], "on_fail": "quarantine"}},
        {"type": "transformer", "config": {"normalize": {"price": "standard"}}},
        {"type": "analyzer", "config": {}},
    ],
    "storage": [{"type": "parquet"}, {"type": "duckdb", "primary_key": ["id"]}],
}  # fmt: skip


def answers(served: Served, run: str) -> dict[str, Any]:
    """What a process answers of the pipeline, by route; times that a request took are left out."""
    found = {
        path: served.http.get(f"/pipeline/orders/{path}").content
        for path in (
            "data?limit=5&sort=id", "data?format=csv", "data?format=parquet", "quarantine", "profile", "lineage",
            "versions", "versions/1", "versions/1/fitted", "schema", "status", "stats", "config", "rows/7",
        )
    }  # fmt: skip
    found["run"] = served.http.get(f"/runs/{run}").content
    record = {"records": [{"id": 1, "price": 3.0, "city": "c1"}]}
    found["apply"] = served.json("POST", "/pipeline/orders/apply", json=record)["data"]
    found["sql"] = served.json("POST", "/query", json={"sql": "SELECT count(*), sum(price) FROM orders"})["data"]
    found["quarantined"] = served.json("POST", "/query", json={"sql": "SELECT * FROM orders__quarantine"})["data"]
    found["saved"] = served.json("GET", "/q/dear")["data"]
    found["files"] = served.json("GET", "/files")["items"]
    return found


def test_another_process_gives_the_same_answers(start: Installation) -> None:
    api, worker = start("api", 0), start("worker", 1)
    assert api.http.put("/files/orders.csv", content=ORDERS.encode()).status_code == 201
    api.json("POST", "/pipeline/create", status=201, json=PIPELINE)
    run = execute(api, "orders")["run_id"]
    assert ended(worker, run)["status"] == "completed"
    worker.until_logged(lambda line: line["event"] == "native.loaded")
    worker.json("PUT", "/queries/dear", status=201, json={"sql": "SELECT max(price) AS most FROM orders"})
    expected = answers(worker, run)
    found = answers(api, run)
    assert {name for name in expected if found[name] != expected[name]} == set()
    # a cursor of one process goes on at the other one, and an idempotency key is known to both
    page = worker.json("GET", "/pipeline/orders/data?limit=100")
    following = api.json("GET", "/pipeline/orders/data", params={"cursor": page["next"]})
    assert following == worker.json("GET", "/pipeline/orders/data", params={"cursor": page["next"]})
    headers = {"idempotency-key": "once"}
    first = worker.http.post("/pipeline/orders/execute?wait=30", headers=headers)
    again = api.http.post("/pipeline/orders/execute?wait=30", headers=headers)
    assert again.headers["idempotency-replayed"]
    assert first.json()["run_id"] == again.json()["run_id"]
    assert api.json("GET", "/pipeline/orders/runs")["total"] == 2
    # of rows in quarantine one process answers which and the other one tries them again
    replayed = api.json("POST", "/pipeline/orders/quarantine/replay?wait=30")
    assert replayed["replay_of"] == 1
