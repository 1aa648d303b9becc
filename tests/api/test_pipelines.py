"""The seed's routes over pipelines answer what the contract promises."""

from __future__ import annotations

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.api.conftest import a_pipeline
from tests.api.doubles import Supervisor

Client = TestClient[Litestar]
P = "/api/v1/pipeline"


@pytest.fixture
def orders(client: Client) -> Client:
    assert client.post(f"{P}/create", json=a_pipeline()).status_code == 201
    return client


def error(response: object) -> dict[str, object]:
    return response.json()["error"]  # type: ignore[attr-defined,no-any-return]


def test_create(client: Client) -> None:
    answer = client.post(f"{P}/create", json=a_pipeline())
    assert (answer.status_code, answer.json()) == (
        201,
        {"message": "pipeline 'orders' created", "name": "orders", "revision": 1},
    )
    assert answer.headers["location"] == f"{P}/orders/config"
    again = client.post(f"{P}/create", json=a_pipeline())
    assert (again.status_code, error(again)["code"]) == (409, "PIPELINE_EXISTS")


def test_create_from_yaml(client: Client) -> None:
    text = "name: orders\ncollectors:\n  - {type: csv, file_path: 2024-01-01}\n"
    answer = client.post(f"{P}/create", content=text, headers={"content-type": "application/yaml"})
    assert answer.status_code == 201, answer.text
    assert client.get(f"{P}/orders/config").json()["collectors"][0]["file_path"] == "2024-01-01"


def test_hostile_yaml(client: Client) -> None:
    for text in ("a: &x [1]\nb: *x", "a: [", "!!python/object:os.system {}", "? [a]\n: b", "a: .nan", "\x01"):
        answer = client.post(f"{P}/create", content=text, headers={"content-type": "application/yaml"})
        assert (answer.status_code, error(answer)["code"]) == (400, "VALIDATION_ERROR"), text


def test_all_problems_at_once(client: Client) -> None:
    wrong = a_pipeline("Orders!", processors=[{"type": "cleanr"}], nmae=1)
    for path in ("create", "validate"):
        answer = client.post(f"{P}/{path}", json=wrong)
        found = error(answer)
        assert (answer.status_code, found["code"]) == (400, "VALIDATION_ERROR")
        fields = [e["field"] for e in found["details"]["errors"]]  # type: ignore[index]
        assert set(fields) == {"nmae", "name", "processors[0].type"}
    assert client.post(f"{P}/validate", json=a_pipeline()).json() == {"valid": True, "warnings": []}
    assert client.get(P).json()["total"] == 0


def test_list_and_its_parameters(orders: Client) -> None:
    orders.post(f"{P}/create", json=a_pipeline("shop"))
    orders.post(f"{P}/orders/execute")
    answer = orders.get(P).json()
    assert [(i["name"], i["status"], i["version"]) for i in answer["items"]] == [
        ("orders", "completed", 1),
        ("shop", "idle", None),
    ]
    assert (answer["total"], answer["limit"], answer["offset"]) == (2, 50, 0)
    assert [i["name"] for i in orders.get(P, params={"q": "sho"}).json()["items"]] == ["shop"]
    assert orders.get(P, params={"limit": 1, "offset": 1}).json()["items"][0]["name"] == "shop"


WRONG_PARAMETERS = [
    ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=1&limit=2", "limit"),
    ("offset=-1", "offset"), ("offset=99999999999999999999", "offset"), ("limti=1", "limti"), ("limit=", "limit"),
    ("%ff=1", "query"), ("q=%ff", "query"), ("q=%00", "query"),
]  # fmt: skip


def test_wrong_parameters_are_named(client: Client) -> None:
    for query, field in WRONG_PARAMETERS:
        answer = client.get(f"{P}?{query}")
        assert (answer.status_code, error(answer)["code"]) == (400, "VALIDATION_ERROR"), query
        assert error(answer)["details"]["field"] == field, query  # type: ignore[index]
    said = error(client.get(f"{P}/orders/data?version=New"))["message"]
    assert str(said).startswith("version: expected a version number from 1, or a tag")
    assert str(said).endswith("got 'New'")


def test_config_is_masked_and_has_revisions(client: Client) -> None:
    document = a_pipeline(storage=[{"type": "parquet", "password": "hunter2hunter2"}])
    client.post(f"{P}/create", json=document)
    shown = client.get(f"{P}/orders/config")
    assert shown.headers["etag"] == '"1"'
    assert shown.json()["storage"][0]["password"] == "***"
    back = client.put(f"{P}/orders/config", json=shown.json())
    assert (back.status_code, error(back)["details"]["field"]) == (400, "storage[0].password")  # type: ignore[index]
    assert "${NAME}" in str(error(back)["message"])
    changed = client.put(f"{P}/orders/config", json=a_pipeline(description="x"), headers={"if-match": '"1"'})
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    stale = client.put(f"{P}/orders/config", json=a_pipeline(), headers={"if-match": "1"})
    assert (stale.status_code, error(stale)["code"]) == (412, "REVISION_CONFLICT")
    wrong = client.put(f"{P}/orders/config", json=a_pipeline(), headers={"if-match": "one"})
    assert (wrong.status_code, error(wrong)["details"]) == (400, {"field": "If-Match"})
    assert client.get(f"{P}/orders/config?revision=1").json()["storage"][0]["type"] == "parquet"
    assert error(client.get(f"{P}/orders/config?revision=9"))["code"] == "NOT_FOUND"
    renamed = client.put(f"{P}/orders/config", json=a_pipeline("other"))
    assert (renamed.status_code, error(renamed)["details"]) == (400, {"field": "name"})


def test_the_revisions_say_who_saved_them_newest_first(orders: Client) -> None:
    orders.put(f"{P}/orders/config", json=a_pipeline(description="changed"))
    found = orders.get(f"{P}/orders/revisions").json()
    assert ([(r["revision"], r["created_by"]) for r in found["items"]], found["total"]) == (
        [(2, "admin"), (1, "admin")],
        2,
    )
    assert all(r["created"].endswith("Z") for r in found["items"])
    assert [r["revision"] for r in orders.get(f"{P}/orders/revisions?limit=1&offset=1").json()["items"]] == [1]
    assert error(orders.get(f"{P}/nobody/revisions"))["code"] == "PIPELINE_NOT_FOUND"


def test_execute_ended_and_going_on(orders: Client, supervisor: Supervisor) -> None:
    done = orders.post(f"{P}/orders/execute?wait=1")
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    assert done.headers["location"] == f"/api/v1/runs/{done.json()['run_id']}"
    supervisor.holding = True
    going = orders.post(f"{P}/orders/execute", params={"wait": 0})
    assert (going.status_code, going.json()["status"]) == (202, "running")
    second = orders.post(f"{P}/orders/execute")
    assert (second.status_code, error(second)["code"]) == (409, "PIPELINE_RUNNING")
    assert error(orders.delete(f"{P}/orders"))["code"] == "PIPELINE_RUNNING"
    assert error(orders.post(f"{P}/orders/execute?wait=301"))["details"]["field"] == "wait"  # type: ignore[index]
    assert error(orders.post(f"{P}/orders/execute", json={"parameters": {}}))["code"] == "VALIDATION_ERROR"


STATUS_KEYS = [
    "name", "status", "progress", "phase", "step", "run_id", "error", "warnings", "rows_collected", "rows_stored",
    "start_time", "end_time", "duration", "next_run", "trigger_state", "estimated_end", "rows_per_second",
    "bytes_per_second",
]  # fmt: skip


def test_status_has_exactly_its_keys(orders: Client) -> None:
    idle = orders.get(f"{P}/orders/status").json()
    assert list(idle) == STATUS_KEYS
    assert (idle["status"], idle["progress"], idle["run_id"]) == ("idle", 0, None)
    run = orders.post(f"{P}/orders/execute").json()
    status = orders.get(f"{P}/orders/status").json()
    assert list(status) == STATUS_KEYS
    assert (status["status"], status["progress"], status["run_id"]) == ("completed", 100, run["run_id"])
    assert status["start_time"] == "2026-01-01T00:00:00Z"


def test_stats(orders: Client) -> None:
    assert orders.get(f"{P}/orders/stats").json()["last_execution"] is None
    orders.post(f"{P}/orders/execute")
    figures = orders.get(f"{P}/orders/stats").json()
    assert (figures["total_executions"], figures["success_rate"], figures["versions"]) == (1, 1.0, 1)
    assert figures["last_execution"]["status"] == "completed"


def test_delete_and_purge(orders: Client, supervisor: Supervisor) -> None:
    assert orders.delete(f"{P}/orders").json() == {"message": "pipeline 'orders' deleted"}
    assert error(orders.delete(f"{P}/orders"))["code"] == "PIPELINE_NOT_FOUND"
    orders.post(f"{P}/create", json=a_pipeline())
    assert orders.delete(f"{P}/orders?purge=true").status_code == 200
    assert supervisor.purged == ["orders"]


def test_unknown_pipelines(client: Client) -> None:
    routes = ["GET config", "GET status", "GET stats", "GET data", "GET schema", "GET profile", "GET versions"]
    routes += ["GET runs", "GET versions/1", "POST execute", "DELETE "]
    for name in ("nothing", "No%2e%2e", "%c3%a4", "x" * 300):
        for route in routes:
            method, rest = route.split(" ")
            answer = client.request(method, f"{P}/{name}/{rest}".rstrip("/"))
            assert (answer.status_code, error(answer)["code"]) == (404, "PIPELINE_NOT_FOUND"), (name, route)
