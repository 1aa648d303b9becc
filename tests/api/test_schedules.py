"""Schedules and triggers over HTTP: what is refused, what is listed, pauses, and when the next run is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.kit.clock import FixedClock
from tests.api.conftest import a_pipeline, bearer

Client = TestClient[Litestar]
P = "/api/v1/pipeline"
HOURLY = {"cron": "30 * * * *"}


@pytest.fixture
def hourly(client: Client) -> Client:
    """The pipeline ``orders`` with a schedule; the clock shows 2026-01-01, midnight."""
    assert client.post(f"{P}/create", json=a_pipeline(schedule=HOURLY)).status_code == 201
    return client


def _problems(answer: Any) -> dict[str, str]:
    assert answer.status_code == 400, answer.text
    return {p["field"]: p["message"] for p in answer.json()["error"]["details"]["errors"]}


@pytest.mark.parametrize("route", ["create", "validate", "plan"])
@pytest.mark.parametrize(
    ("schedule", "fields"),
    [
        ({"cron": "61 * * * *"}, {"schedule.cron": "its minute field is wrong"}),
        ({"cron": "* * * * * *"}, {"schedule.cron": "6 fields of five"}),
        ({"cron": "@daily", "timezone": "Europe/Bern"}, {"schedule.timezone": "did you mean 'Europe/Berlin'"}),
        ({"cron": "@daily", "timezone": "../../etc/passwd"}, {"schedule.timezone": "there is no time zone"}),
        ({"cron": "@daily", "timezone": ""}, {"schedule.timezone": "there is no time zone"}),
        ({"cron": "x", "timezone": "y"}, {"schedule.cron": "five", "schedule.timezone": "no time zone"}),
        ({"timezone": "UTC"}, {"schedule.cron": "is required"}),
        ({"cron": "@daily", "misfire": "twice"}, {"schedule.misfire": "one of skip, run_once"}),
        ({"cron": 5}, {"schedule.cron": "Expected `str`"}),
        ({"cron": "@daily", "zone": "UTC"}, {"schedule.zone": "unknown setting"}),
    ],
)
def test_wrong_schedules_are_refused(
    client: Client, route: str, schedule: dict[str, Any], fields: dict[str, str]
) -> None:
    found = _problems(client.post(f"{P}/{route}", json=a_pipeline(schedule=schedule)))
    assert found.keys() == fields.keys()
    assert all(text in found[field] for field, text in fields.items()), found


def test_the_next_run_is_in_the_status(hourly: Client, clock: FixedClock) -> None:
    assert hourly.get(f"{P}/orders/status").json()["next_run"] == "2026-01-01T00:30:00Z"
    clock.advance(1800)
    assert hourly.get(f"{P}/orders/status").json()["next_run"] == "2026-01-01T01:30:00Z"
    hourly.put(f"{P}/orders/config", json=a_pipeline(schedule={"cron": "0 6 * * *", "timezone": "Europe/Berlin"}))
    assert hourly.get(f"{P}/orders/status").json()["next_run"] == "2026-01-01T05:00:00Z"
    hourly.put(f"{P}/orders/config", json=a_pipeline(schedule={**HOURLY, "enabled": False}))
    assert hourly.get(f"{P}/orders/status").json()["next_run"] is None
    hourly.put(f"{P}/orders/config", json=a_pipeline())
    assert hourly.get(f"{P}/orders/status").json()["next_run"] is None


def test_only_pipelines_with_a_schedule_are_listed_by_name(hourly: Client) -> None:
    hourly.post(f"{P}/create", json=a_pipeline("without"))
    hourly.post(f"{P}/create", json=a_pipeline("customers", schedule={"cron": "@daily", "enabled": False}))
    hourly.post(f"{P}/orders/schedule/pause")
    listed = hourly.get("/api/v1/schedules").json()
    assert (listed["total"], listed["limit"], listed["offset"]) == (2, 50, 0)
    customers, orders = listed["items"]
    assert customers == {
        "name": "customers", "cron": "@daily", "timezone": "UTC", "misfire": "run_once", "enabled": False,
        "paused": False, "last_fire": None, "last_run_id": None, "next_fire": None,
    }  # fmt: skip
    assert (orders["name"], orders["enabled"], orders["paused"], orders["next_fire"]) == ("orders", True, True, None)
    page = hourly.get("/api/v1/schedules?limit=1&offset=1").json()
    assert [item["name"] for item in page["items"]] == ["orders"]


def test_a_pause_stays_over_changes_until_it_is_resumed(hourly: Client, clock: FixedClock) -> None:
    for _ in range(2):
        paused = hourly.post(f"{P}/orders/schedule/pause")
        assert (paused.status_code, paused.json()["paused"], paused.json()["next_fire"]) == (200, True, None)
    assert hourly.get(f"{P}/orders/status").json()["next_run"] is None
    hourly.put(f"{P}/orders/config", json=a_pipeline())
    hourly.put(f"{P}/orders/config", json=a_pipeline(schedule={"cron": "0 * * * *"}))
    assert hourly.get("/api/v1/schedules").json()["items"][0]["paused"] is True
    clock.advance(4000)
    for _ in range(2):
        resumed = hourly.post(f"{P}/orders/schedule/resume")
        assert resumed.status_code == 200
        assert (resumed.json()["paused"], resumed.json()["next_fire"]) == (False, "2026-01-01T02:00:00Z")


def test_who_may_pause(hourly: Client, services: Services) -> None:
    for role, status in (("viewer", 403), ("operator", 200)):
        answer = hourly.post(f"{P}/orders/schedule/pause", headers=bearer(services, role))
        assert answer.status_code == status
    assert hourly.get("/api/v1/schedules", headers=bearer(services, "viewer")).status_code == 200


def test_what_has_no_schedule_cannot_be_paused(client: Client) -> None:
    client.post(f"{P}/create", json=a_pipeline())
    for name, code in (("orders", "NOT_FOUND"), ("nobody", "PIPELINE_NOT_FOUND")):
        answer = client.post(f"{P}/{name}/schedule/pause")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def _after(*names: str) -> dict[str, Any]:
    return {"trigger": {"after": list(names)}}


@pytest.mark.parametrize("route", ["create", "validate", "plan"])
def test_wrong_triggers_are_refused(client: Client, route: str) -> None:
    client.post(f"{P}/create", json=a_pipeline("customers"))
    found = _problems(client.post(f"{P}/{route}", json=a_pipeline(**_after("customer", "customers"))))
    assert found == {"trigger.after[0]": "there is no pipeline 'customer'; did you mean 'customers'?"}
    found = _problems(client.post(f"{P}/{route}", json=a_pipeline(**_after("orders"))))
    assert found == {"trigger.after[0]": "a cycle: 'orders' would run after itself"}
    found = _problems(client.post(f"{P}/{route}", json=a_pipeline(**_after("customers", "customers"))))
    assert found == {"trigger.after[1]": "names 'customers' twice"}
    assert "trigger.after" in _problems(client.post(f"{P}/{route}", json=a_pipeline(trigger={"after": []})))


def test_a_cycle_is_refused_and_named(client: Client) -> None:
    client.post(f"{P}/create", json=a_pipeline("a"))
    client.post(f"{P}/create", json=a_pipeline("b", **_after("a")))
    client.post(f"{P}/create", json=a_pipeline("c", **_after("a", "b")))
    expected = {"trigger.after": "a cycle: 'a' runs after 'c' runs after 'b' runs after 'a'"}
    shorter = {"trigger.after": "a cycle: 'a' runs after 'c' runs after 'a'"}
    for answer in (
        client.put(f"{P}/a/config", json=a_pipeline("a", **_after("c"))),
        client.post(f"{P}/validate", json=a_pipeline("a", **_after("c"))),
    ):
        assert _problems(answer) in (expected, shorter)
    assert client.get(f"{P}/a/config").json() == a_pipeline("a")
    client.put(f"{P}/c/config", json=a_pipeline("c"))
    assert client.put(f"{P}/a/config", json=a_pipeline("a", **_after("c"))).status_code == 200


def test_what_others_wait_for_is_not_deleted(client: Client) -> None:
    client.post(f"{P}/create", json=a_pipeline("a"))
    client.post(f"{P}/create", json=a_pipeline("b", **_after("a")))
    answer = client.delete(f"{P}/a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
    assert answer.json()["error"]["details"]["pipelines"] == ["b"]
    assert client.delete(f"{P}/b").status_code == 200
    assert client.delete(f"{P}/a").status_code == 200


def test_the_status_says_which_upstreams_have_committed(client: Client, clock: FixedClock) -> None:
    for name in ("customers", "products"):
        client.post(f"{P}/create", json=a_pipeline(name))
        client.post(f"{P}/{name}/execute")
    client.post(f"{P}/create", json=a_pipeline(**_after("customers", "products")))

    def state() -> Any:
        return client.get(f"{P}/orders/status").json()["trigger_state"]

    assert state() == {"committed": [], "awaited": ["customers", "products"]}  # older versions do not count
    client.post(f"{P}/products/execute")
    assert state() == {"committed": ["products"], "awaited": ["customers"]}
    clock.advance(timedelta(days=1).total_seconds())
    client.post(f"{P}/customers/execute")
    assert state() == {"committed": ["customers", "products"], "awaited": []}
    assert client.get(f"{P}/products/status").json()["trigger_state"] is None
