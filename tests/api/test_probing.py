"""A look at a source: what may be asked, what a child is given, and how its answers and failures are told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.routes import probing
from service.api.services import Services
from service.kit import errors
from service.probing.finding import Finding
from tests.api.conftest import bearer
from tests.api.doubles import Tasks

Client = TestClient[Litestar]
P = "/api/v1/pipeline/probe"


@pytest.fixture(autouse=True)
def content(tasks: Tasks) -> None:
    tasks.content = msgspec.json.encode(probing.FOUND)


def test_a_child_looks_and_its_answer_is_relayed(client: Client, tasks: Tasks) -> None:
    asked = {"url": "https://x.test/a", "headers": {"X-Key": "${KEY}"}, "auth": {"type": "bearer", "token": "${T}"}}
    answer = client.post(P, json=asked)
    assert (answer.status_code, answer.json()) == (200, probing.FOUND)
    assert answer.headers["content-type"] == "application/json"
    (task,) = tasks.asked
    assert msgspec.to_builtins(task.probe)["url"] == "https://x.test/a"
    given = tasks.given[0]
    assert given["network"] is True
    assert given["seconds"] == 30
    assert "${KEY}" in str(given["document"])
    assert "${T}" in str(given["document"])


def test_secrets_that_chosen_settings_name_are_given(client: Client, tasks: Tasks) -> None:
    assert client.post(P, json={"url": "https://x.test", "collector": {"headers": {"X": "${Y}"}}}).status_code == 200
    assert "${Y}" in str(tasks.given[0]["document"])


def test_a_file_needs_no_network(client: Client, tasks: Tasks) -> None:
    assert client.post(P, json={"file_path": "a.csv"}).status_code == 200
    assert tasks.given[0]["network"] is False


def test_the_example_is_what_the_route_answers() -> None:
    assert msgspec.to_builtins(msgspec.convert(probing.FOUND, Finding)) == probing.FOUND


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({}, ["url"]), ({"url": 1}, ["url"]), ({"url": "x", "why": 1}, ["why"]),
        ({"file_path": "~/x", "headers": {"Host": "a"}}, ["file_path", "headers", "headers.Host"]),
        ({"url": "https://x.test", "auth": {"type": "none"}}, ["auth.type"]),
        ({"file_path": "x", "collector": {"type": "web"}}, ["collector.type"]),
    ],
)  # fmt: skip
def test_what_is_no_question(client: Client, tasks: Tasks, asked: Any, fields: list[str]) -> None:
    answer = client.post(P, json=asked)
    assert answer.status_code == 400
    details = answer.json()["error"]["details"]
    assert details.get("field") == fields[0]
    assert [e["field"] for e in details.get("errors", [])] == fields
    assert tasks.asked == []


@pytest.mark.parametrize(
    ("failure", "status", "code", "field"),
    [
        (errors.Permanent("it is XML", step="probe", field="url"), 400, "VALIDATION_ERROR", "url"),
        (errors.Transient("no token", delay=3, step="probe", field="auth.name"), 400, "VALIDATION_ERROR",
         "auth.name"),
        (errors.Permanent("no secret", step="probe"), 400, "VALIDATION_ERROR", None),
        (errors.TimedOut("this took longer than 30 s and was stopped"), 400, "QUERY_TIMEOUT", None),
        (errors.Unavailable("busy", retry_after=5), 503, "OVERLOADED", None),
        (errors.Permanent("killed", code="REQUEST_CRASHED"), 500, "REQUEST_CRASHED", None),
    ],
)  # fmt: skip
def test_failures(client: Client, tasks: Tasks, failure: Exception, status: int, code: str, field: str | None) -> None:
    tasks.failure = failure
    answer = client.post(P, json={"url": "https://x.test/a"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"].get("field")) == (status, code, field)


def test_viewers_may_not(client: Client, tasks: Tasks, services: Services) -> None:
    answer = client.post(P, json={"file_path": "a.csv"}, headers=bearer(services, "viewer"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert tasks.asked == []
