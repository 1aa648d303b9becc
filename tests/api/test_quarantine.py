"""The routes of the quarantine: what is asked of the engine and of the supervisor, and who may ask."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.routes import quarantine
from tests.api.conftest import a_pipeline
from tests.api.doubles import Engine, Supervisor

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"


@pytest.fixture
def orders(client: Client) -> Client:
    client.post("/api/v1/pipeline/create", json=a_pipeline())
    return client


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_rows_are_asked_of_the_engine_with_their_rules(orders: Client, engine: Engine) -> None:
    assert code(orders.get(f"{P}/quarantine")) == (404, "NO_DATA")
    orders.post(f"{P}/execute")
    answer = orders.get(f"{P}/quarantine?limit=5&offset=2&version=1")
    assert answer.status_code == 200
    kind, asked = engine.asked[-1]
    assert kind == "data"
    assert asked["source"].startswith("refused by run_")
    assert {k: v for k, v in asked.items() if k != "source"} == {
        "filter": None, "limit": 5, "offset": 2, "format": "json", "escape_formulas": True, "about": {"rules": []},
    }  # fmt: skip
    csv = orders.get(f"{P}/quarantine", headers={"accept": "text/csv"})
    assert csv.headers["content-disposition"] == 'attachment; filename="orders-v1-quarantine.csv"'
    assert code(orders.get(f"{P}/quarantine?version=7")) == (404, "VERSION_NOT_FOUND")
    assert code(orders.get(f"{P}/quarantine?format=xml")) == (406, "NOT_ACCEPTABLE")
    assert code(orders.get(f"{P}/quarantine?rules=x")) == (400, "VALIDATION_ERROR")
    assert code(orders.get("/api/v1/pipeline/none/quarantine")) == (404, "PIPELINE_NOT_FOUND")


def test_a_replay_is_a_run(orders: Client, supervisor: Supervisor) -> None:
    replay = f"{P}/quarantine/replay"
    assert code(orders.post(replay)) == (404, "NO_DATA")
    orders.post(f"{P}/execute")
    done = orders.post(replay)
    assert (done.status_code, done.json()["replay_of"], done.json()["status"]) == (200, 1, "completed")
    assert done.headers["location"] == f"/api/v1/runs/{done.json()['run_id']}"
    assert orders.post(replay, json={"version": 1}).json()["replay_of"] == 1
    assert orders.post(replay, json={}).json()["replay_of"] == 3
    assert orders.post(f"{replay}?version=2", json={"version": 2}).json()["replay_of"] == 2
    assert [version for _, _, version in supervisor.replayed] == [1, 1, 3, 2]
    supervisor.holding = True
    going = orders.post(f"{replay}?wait=0")
    assert (going.status_code, going.json()["status"]) == (202, "running")
    assert code(orders.post(replay)) == (409, "PIPELINE_RUNNING")


def test_the_rows_of_a_replay_stay_with_its_run_and_so_are_not_large(
    orders: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_MOST_BYTES", 2000)
    orders.post(f"{P}/execute")
    rows = [{"step": "processors[0]", "row": number, "values": {"a": "x" * 100}} for number in range(20)]
    refused = orders.post(f"{P}/quarantine/replay", json={"rows": rows})
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (400, "rows")
    assert orders.post(f"{P}/quarantine/replay", json={"rows": rows[:5]}).status_code == 200


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"json": {"version": 0}}, 400),
        ({"json": {"versions": 1}}, 400),
        ({"json": [1]}, 400),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"version: 1", "headers": {"content-type": "application/yaml"}}, 415),
        ({"params": {"wait": "301"}}, 400),
        ({"params": {"full_refresh": "true"}}, 400),
        ({"params": {"version": "1"}, "json": {"version": 2}}, 400),
    ],
)
def test_what_a_replay_does_not_take(
    given: dict[str, Any], status: int, orders: Client, supervisor: Supervisor
) -> None:
    orders.post(f"{P}/execute")
    assert orders.post(f"{P}/quarantine/replay", **given).status_code == status
    assert supervisor.replayed == []
