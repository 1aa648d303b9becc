"""Preview, plan and validation: what is asked of a child, and how its answers and failures come back."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.jobs.tasks.task import Planning, Preview
from service.kit import errors
from tests.api.conftest import a_pipeline, bearer
from tests.api.doubles import Tasks

Client = TestClient[Litestar]
P = "/api/v1/pipeline"


@pytest.fixture(autouse=True)
def content(tasks: Tasks) -> None:
    tasks.content = b'{"rows": 1}'


def test_a_preview_is_relayed(client: Client, tasks: Tasks) -> None:
    answer = client.post(f"{P}/preview?rows=7", json=a_pipeline())
    assert (answer.status_code, answer.json()) == (200, {"rows": 1})
    assert tasks.asked == [Preview(document=a_pipeline(), rows=7)]
    client.post(f"{P}/preview", content="name: orders\ncollectors: [{type: csv, file_path: x.csv}]",
                headers={"content-type": "application/yaml"})  # fmt: skip
    assert tasks.asked[1] == Preview(document=a_pipeline(), rows=100)
    assert client.get(P).json()["total"] == 0


@pytest.mark.parametrize("query", ["rows=0", "rows=1001", "rows=x", "row=5"])
def test_a_preview_is_bounded(client: Client, tasks: Tasks, query: str) -> None:
    answer = client.post(f"{P}/preview?{query}", json=a_pipeline())
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, query.split("=")[0])
    assert tasks.asked == []


@pytest.mark.parametrize("route", ["preview", "plan"])
def test_who_may_ask_and_for_what(client: Client, services: Services, tasks: Tasks, route: str) -> None:
    assert client.post(f"{P}/{route}", json=a_pipeline(), headers=bearer(services, "viewer")).status_code == 403
    assert client.post(f"{P}/{route}", json=a_pipeline(), headers=bearer(services, "operator")).status_code == 200
    answer = client.post(f"{P}/{route}", json=a_pipeline(collectors=[]))
    assert answer.json()["error"]["details"]["field"] == "collectors"


@pytest.mark.parametrize("route", ["preview", "plan"])
def test_a_step_that_fails_is_the_configuration_s_fault(client: Client, tasks: Tasks, route: str) -> None:
    field = "processors[0].config.cast.prise"
    tasks.failure = errors.Permanent("no column 'prise' here", step="processors[0]", field=field)
    answer = client.post(f"{P}/{route}", json=a_pipeline())
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "code": "VALIDATION_ERROR",
        "message": "no column 'prise' here",
        "details": {"step": "processors[0]", "field": field},
    }
    tasks.failure = errors.Permanent("the request's process ended", code="REQUEST_CRASHED")
    assert client.post(f"{P}/{route}", json=a_pipeline()).json()["error"]["code"] == "REQUEST_CRASHED"
    tasks.failure = errors.TimedOut("this took longer than 60 s and was stopped")
    answer = client.post(f"{P}/{route}", json=a_pipeline())
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "QUERY_TIMEOUT")


def test_a_plan_is_told_what_was_before(client: Client, tasks: Tasks) -> None:
    def asked() -> Any:
        client.post(f"{P}/plan", json=a_pipeline())
        found = tasks.asked[-1]
        assert isinstance(found, Planning)
        return found.before

    assert asked() is None
    client.post(f"{P}/create", json=a_pipeline())
    assert asked() is None
    client.post(f"{P}/orders/execute")
    before = asked()
    assert (before.version, [c.name for c in before.columns], before.sources) == (1, ["a"], {})
