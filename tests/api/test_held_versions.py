"""Held versions are listed, accepted and rejected over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.kit import errors
from service.model.breach import Breach
from service.model.version import Column, Version
from tests.api.conftest import bearer
from tests.api.doubles import Supervisor

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"
BREACH = Breach(measure="row_drop_share", value=0.5, bound=0.2, message="rows fell")


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
def held(orders: Client, services: Services) -> Client:
    """The pipeline ``orders`` with two published versions; the third is held, and lacks a column."""
    record, history = services.pipelines.get("orders"), services.history
    newest = history.version(record.id, "orders")
    run = msgspec.structs.replace(history.run(newest.run_id), run_id="run_held", status="running")
    history.add_run(record.id, run)
    version = msgspec.structs.replace(
        newest, version=3, run_id="run_held", columns=[Column("a", "Int64")], held=True, held_because=[BREACH],
        fit_record=None,
    )  # fmt: skip
    history.publish(
        record.id, msgspec.structs.replace(run, status="held", version=3, held_because=[BREACH]), version
    )  # fmt: skip
    return orders


def states(client: Client) -> list[tuple[int, str]]:
    return [(v["version"], v["state"]) for v in client.get(f"{P}/versions").json()["items"]]


def test_a_page_compares_with_the_published_version_before(held: Client) -> None:
    assert states(held) == [(3, "held"), (2, "published"), (1, "published")]
    held.post(f"{P}/execute")
    whole = held.get(f"{P}/versions").json()["items"]
    changes = [(v["version"], [c["change"] for c in v["schema_changes"]]) for v in whole]
    assert changes == [(4, []), (3, ["removed"]), (2, ["added"]), (1, [])]
    paged = [held.get(f"{P}/versions?limit=1&offset={place}").json()["items"][0] for place in range(4)]
    assert paged == whole
    assert [held.get(f"{P}/versions/{n}").json() for n in (4, 3, 2, 1)] == whole
    assert held.get(f"{P}/versions?limit=1&offset=9").json()["items"] == []


def test_an_accepted_version_is_published(held: Client, services: Services, supervisor: Supervisor) -> None:
    before = held.get(f"{P}/versions/3").headers["etag"]
    assert code(held.post(f"{P}/versions/3/accept", headers=bearer(services, "viewer"))) == (403, "FORBIDDEN")
    answer = held.post(f"{P}/versions/3/accept", headers=bearer(services, "operator"))
    assert (answer.status_code, answer.json()["state"]) == (200, "published")
    assert answer.json()["held_because"] == [msgspec.to_builtins(BREACH)]
    assert held.get(f"{P}/versions/3").headers["etag"] != before
    assert held.get("/api/v1/pipeline").json()["items"][0]["version"] == 3
    assert supervisor.loaded == [3]
    for number in (3, 2):
        assert code(held.post(f"{P}/versions/{number}/accept")) == (409, "CONFLICT")
        assert code(held.post(f"{P}/versions/{number}/reject")) == (409, "CONFLICT")


def test_of_decisions_at_once_one_wins_and_the_others_hear_what_it_did(held: Client, services: Services) -> None:
    async def decide() -> list[Any]:
        accepts = [services.held.accept("orders", 3, "ann") for _ in range(2)]
        rejects = [services.held.reject("orders", 3, "ben") for _ in range(2)]
        return await asyncio.gather(*accepts, *rejects, return_exceptions=True)

    outcomes = asyncio.run(decide())
    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.Conflict)]
    assert ([error.error_code for error in refused], states(held)[0][0] == 3) == (
        ["CONFLICT"] * 3, any(isinstance(outcome, Version) for outcome in outcomes),
    )  # fmt: skip
    became = "is published, not held" if states(held)[0] == (3, "published") else "was rejected or deleted meanwhile"
    assert {error.message for error in refused} == {f"version 3 of 'orders' {became}"}


def test_a_tag_names_a_held_version(held: Client) -> None:
    held.post(f"{P}/versions/3/tag", json={"tag": "candidate"})
    assert code(held.post(f"{P}/versions/candidate/reject")) == (409, "VERSION_IN_USE")
    answer = held.post(f"{P}/versions/candidate/accept")
    assert (answer.status_code, answer.json()["version"], answer.json()["state"]) == (200, 3, "published")


def test_an_answer_that_was_lost_is_made_again(held: Client, services: Services) -> None:
    key = {"idempotency-key": "once"}
    first = held.post(f"{P}/versions/3/accept", headers=key)
    assert first.status_code == 200
    services.store.execute("UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL")
    again = held.post(f"{P}/versions/3/accept", headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert code(held.post(f"{P}/versions/2/accept", headers=key)) == (409, "IDEMPOTENCY_CONFLICT")


def test_what_cannot_be_accepted(held: Client, supervisor: Supervisor) -> None:
    assert code(held.post(f"{P}/versions/9/accept")) == (404, "VERSION_NOT_FOUND")
    assert code(held.post("/api/v1/pipeline/nothing/versions/1/accept")) == (404, "PIPELINE_NOT_FOUND")
    assert code(held.post(f"{P}/versions/3/accept?force=1")) == (400, "VALIDATION_ERROR")
    held.post(f"{P}/execute")
    assert code(held.post(f"{P}/versions/3/accept")) == (409, "VERSION_SUPERSEDED")
    supervisor.holding = True
    held.post(f"{P}/execute?wait=0")
    assert code(held.post(f"{P}/versions/3/accept")) == (409, "PIPELINE_RUNNING")
    assert states(held)[1] == (3, "held")


def test_a_rejected_version_is_gone(held: Client, services: Services) -> None:
    assert code(held.post(f"{P}/versions/3/reject", headers=bearer(services, "viewer"))) == (403, "FORBIDDEN")
    held.post(f"{P}/versions/3/tag", json={"tag": "odd"})
    assert held.get(f"{P}/data?version=odd").status_code == 200
    assert code(held.post(f"{P}/versions/3/reject")) == (409, "VERSION_IN_USE")
    held.delete(f"{P}/tags/odd")
    answer = held.post(f"{P}/versions/3/reject", headers=bearer(services, "operator"))
    assert (answer.status_code, answer.content) == (204, b"")
    assert code(held.post(f"{P}/versions/3/reject")) == (404, "VERSION_NOT_FOUND")
    assert states(held) == [(2, "published"), (1, "published")]
    assert held.post(f"{P}/execute").json()["version"] == 4
