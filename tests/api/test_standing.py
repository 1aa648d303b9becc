"""What a caller may is asked again when a body has arrived: it may take long, and the answer may be another one then.

A body here arrives after ``meanwhile``, which changes something between the headers and it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.files.event_journal import Event
from service.kit import errors
from service.model.api_key import KeyDefinition
from service.model.rights import Rights
from tests.api.conftest import PASSWORD, a_pipeline, bearer
from tests.api.doubles import Supervisor

ROOT = Rights(username="root", role="admin")
NEW_ADMIN = {"username": "mallory", "password": PASSWORD, "role": "admin"}


def late(
    app: Litestar, headers: dict[str, str], method: str, path: str, body: Any, meanwhile: Callable[[], Any]
) -> int:
    """The status of a request whose body arrives after ``meanwhile``."""
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.to_thread(meanwhile)
        return {"type": "http.request", "body": body if isinstance(body, bytes) else msgspec.json.encode(body)}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": "x", "content-type": "application/json", **headers}
    scope: Any = {
        "type": "http", "method": method, "path": f"/api/v1{path}", "raw_path": f"/api/v1{path}".encode(),
        "query_string": b"", "scheme": "http", "client": ("10.0.0.1", 1), "server": ("x", 80), "root_path": "",
        "http_version": "1.1", "headers": [(k.encode(), v.encode()) for k, v in given.items()], "state": {},
        "asgi": {"version": "3.0"}, "extensions": {},
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("change", ["hide", "demote", "disable"])
def test_a_stream_of_events_ends_with_the_right_to_read_it(
    orders: TestClient[Litestar],
    services: Services,
    supervisor: Supervisor,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    services.users.add("bob", PASSWORD, "operator")
    run_id = orders.get("/api/v1/pipeline/orders/runs").json()["items"][0]["run_id"]

    async def events(*_: Any) -> AsyncGenerator[list[Event], None]:
        yield [Event(1, "status", b'{"seen": 1}')]
        if change == "hide":
            await asyncio.to_thread(services.ownership.change, "orders", ROOT, {"visibility": "private"})
        else:
            changes: Any = {"role": "viewer"} if change == "demote" else {"disabled": True}
            await asyncio.to_thread(lambda: services.users.change("bob", **changes))
        yield [Event(2, "end", b'{"secret": 1}')]

    monkeypatch.setattr(supervisor, "events", events)
    answer = orders.get(f"/api/v1/runs/{run_id}/events", headers=bearer(services, "bob"))
    assert "seen" in answer.text
    assert "secret" not in answer.text


def test_who_waits_for_a_run_is_not_told_of_one_that_was_hidden(
    orders: TestClient[Litestar], services: Services, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.users.add("bob", PASSWORD, "operator")

    async def wait(run_id: str, _: float) -> Any:
        await asyncio.to_thread(services.ownership.change, "orders", ROOT, {"visibility": "private"})
        return await supervisor.run(run_id)

    monkeypatch.setattr(supervisor, "wait", wait)
    answer = orders.post("/api/v1/pipeline/orders/execute?wait=5", headers=bearer(services, "bob"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "PIPELINE_NOT_FOUND")


def own(services: Services, visibility: str = "shared") -> None:
    """The pipeline ``orders`` of the operator."""
    services.pipelines.create("orders", "orders", a_pipeline(), "operator", owner="operator")
    services.ownership.change("orders", ROOT, {"visibility": visibility})


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"disabled": True}, {"password": f"{PASSWORD} 2"}])
def test_an_admin_who_must_go_makes_no_other_one(app: Litestar, services: Services, change: dict[str, Any]) -> None:
    services.users.add("eve", PASSWORD, "admin")
    headers = bearer(services, "eve")
    assert late(app, headers, "POST", "/users", NEW_ADMIN, lambda: services.users.change("eve", **change)) == 401
    assert services.users.account("mallory") is None


def test_a_login_that_has_ended_does_nothing_more(app: Litestar, services: Services) -> None:
    refresh = services.sessions.open("admin")
    token = services.tokens.issue("admin", refresh.family)
    headers = {"authorization": f"Bearer {token}"}
    assert late(app, headers, "POST", "/users", NEW_ADMIN, lambda: services.sessions.end(refresh.family)) == 401
    assert late(app, bearer(services, "admin"), "POST", "/users", NEW_ADMIN, lambda: None) == 201


def test_a_key_that_was_removed_or_bounded_does_nothing_more(app: Litestar, services: Services) -> None:
    definition = KeyDefinition(name="k")
    bounds = {"pipelines": ["a*"]}, {"role": "viewer"}, None
    for number, bound in enumerate(bounds):
        key, secret = services.keys.add("operator", definition)

        def meanwhile(key: Any = key, bound: Any = bound) -> None:
            if bound is None:
                services.keys.delete(key.id)
            else:
                services.keys.change(key, msgspec.structs.replace(definition, **bound))

        headers = {"authorization": f"Bearer {secret}"}
        assert late(app, headers, "POST", "/pipeline/create", a_pipeline(f"p{number}"), meanwhile) == 401
    assert services.pipelines.list(limit=1, offset=0)[1] == 0


def test_a_key_is_not_made_for_an_account_that_was_deleted(services: Services) -> None:
    """The filters of a new key are tried for a while; the key would open the next account of that name."""
    services.users.add("eve", PASSWORD, "viewer")
    services.users.delete("eve")
    with pytest.raises(errors.Unauthenticated, match="'eve' was deleted"):
        services.keys.add("eve", KeyDefinition(name="k"))
    assert services.keys.list("eve") == []


def test_a_pipeline_that_was_hidden_is_not_changed(app: Litestar, services: Services) -> None:
    own(services)
    services.users.add("bob", PASSWORD, "operator")

    def hide() -> None:
        services.ownership.change("orders", ROOT, {"visibility": "private"})

    assert late(app, bearer(services, "bob"), "PUT", "/pipeline/orders/config", a_pipeline(), hide) == 404


def test_an_owner_whose_pipeline_was_taken_does_not_take_it_back(app: Litestar, services: Services) -> None:
    own(services)

    def take() -> None:
        services.ownership.change("orders", ROOT, {"owner": "viewer"})

    headers = bearer(services, "operator")
    assert late(app, headers, "PATCH", "/pipeline/orders", {"visibility": "shared"}, take) == 403
    assert services.ownership.change("orders", ROOT, {}).owner == "viewer"


def test_an_upload_of_who_must_go_is_not_stored(app: Litestar, services: Services) -> None:
    def demote() -> None:
        services.users.change("operator", role="viewer")

    assert late(app, bearer(services, "operator"), "PUT", "/files/a.csv", b"a\n1\n", demote) == 401
    assert not list(services.layout.uploads.rglob("a.csv"))
