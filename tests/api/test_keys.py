"""API keys: what they may do, when they end, and that nobody sees one twice."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from service.catalog.api_keys import ApiKeys
from service.kit.clock import FixedClock
from service.model.rights import Rights
from tests.api.conftest import PASSWORD, a_pipeline, bearer
from tests.api.doubles import Engine

Client = TestClient[Litestar]
K = "/api/v1/keys"


class Keyring:
    """Makes keys for accounts, and asks with them."""

    def __init__(self, client: Client, services: Services) -> None:
        self.client, self.services = client, services

    def make(self, who: str = "operator", *, status: int = 201, **definition: Any) -> dict[str, Any]:
        body = {"name": "a machine", **definition}
        answer = self.client.post(K, json=body, headers=bearer(self.services, who))
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def ask(self, key: dict[str, Any], method: str, path: str, **request: Any) -> Any:
        headers = {"authorization": f"Bearer {key['key']}", **request.pop("headers", {})}
        return self.client.request(method, f"/api/v1{path}", headers=headers, **request)

    def status(self, key: dict[str, Any], method: str, path: str, **request: Any) -> int:
        return int(self.ask(key, method, path, **request).status_code)


@pytest.fixture
def keyring(anonymous: Client, services: Services) -> Keyring:
    for name in ("sales_eu", "hr"):
        services.pipelines.create(name, name, a_pipeline(name), "operator", owner="operator")
    services.ownership.change("hr", Rights(username="root", role="admin"), {"visibility": "private"})
    return Keyring(anonymous, services)


def test_a_key_is_shown_once_and_stored_as_a_hash(keyring: Keyring, services: Services) -> None:
    key = keyring.make(role="viewer", rate_limit_per_minute=10, expires="2026-06-01T00:00:00Z")
    assert key["key"].startswith("psk_")
    assert len(key["key"]) == 47
    assert key["key"].startswith(key["prefix"])
    listed = keyring.client.get(K, headers=bearer(services, "operator")).json()
    assert listed["items"] == [{name: value for name, value in key.items() if name != "key"}]
    stored = services.store.rows("SELECT * FROM api_keys")
    assert key["key"] not in str(stored)
    assert key["key"][12:] not in str(services.store.rows("SELECT * FROM idempotency_keys"))


def test_everyone_has_his_own_and_admins_see_all(keyring: Keyring, services: Services) -> None:
    mine, other = keyring.make("operator"), keyring.make("viewer")
    for who, seen in (("operator", [mine]), ("viewer", [other]), ("admin", [mine, other])):
        listed = keyring.client.get(K, headers=bearer(services, who)).json()
        assert [item["id"] for item in listed["items"]] == [key["id"] for key in seen]
    for method, body in (("DELETE", None), ("PATCH", {"name": "x"})):
        answers = [
            keyring.client.request(method, f"{K}/{id_}", json=body, headers=bearer(services, "viewer"))
            for id_ in (mine["id"], "key_nothing")
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
    assert keyring.client.delete(f"{K}/{mine['id']}", headers=bearer(services, "admin")).status_code == 204
    assert keyring.status(mine, "GET", "/auth/me") == 401


def test_a_key_has_the_lesser_of_two_rights(keyring: Keyring, services: Services) -> None:
    plain, viewer = keyring.make(), keyring.make(role="viewer")
    assert keyring.ask(plain, "GET", "/auth/me").json()["role"] == "operator"
    assert keyring.status(plain, "POST", "/pipeline/hr/execute") == 200
    assert keyring.status(viewer, "POST", "/pipeline/hr/execute") == 403
    assert keyring.status(viewer, "GET", "/pipeline/hr/status") == 200, "its user owns it"
    keyring.make("operator", role="admin", status=403)
    services.users.change("operator", role="viewer")
    assert keyring.ask(plain, "GET", "/auth/me").json()["role"] == "viewer"
    assert keyring.status(plain, "POST", "/pipeline/hr/execute") == 403


@pytest.mark.parametrize("end", ["disable", "delete", "remove", "expire"])
def test_a_key_ends_at_once(keyring: Keyring, services: Services, clock: FixedClock, end: str) -> None:
    key = keyring.make(expires="2026-01-01T01:00:00Z")
    assert keyring.status(key, "GET", "/auth/me") == 200
    if end == "disable":
        services.users.change("operator", disabled=True)
    elif end == "delete":
        services.users.delete("operator")
        services.users.add("operator", PASSWORD, "operator")  # another person of that name
    elif end == "remove":
        services.keys.delete(key["id"])
    else:
        clock.advance(3600)
    answer = keyring.ask(key, "GET", "/auth/me")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("token", ["psk_", "psk_x", "psk_" + "A" * 43, "psk_" + "é" * 43, "psk_" + "A" * 9000])
def test_no_key_is_guessed(keyring: Keyring, token: str) -> None:
    answer = keyring.client.get("/api/v1/auth/me", headers={b"authorization": f"Bearer {token}".encode()})
    assert answer.status_code == 401


def test_a_key_makes_neither_keys_nor_users_nor_passwords(keyring: Keyring) -> None:
    key = keyring.make("admin")
    for method, path, body in (
        ("POST", "/keys", {"name": "another"}),
        ("DELETE", f"/keys/{key['id']}", None),
        ("PATCH", f"/keys/{key['id']}", {"expires": None}),
        ("POST", "/users", {"username": "eve", "password": PASSWORD, "role": "admin"}),
        ("PATCH", "/users/viewer", {"role": "admin"}),
        ("DELETE", "/users/viewer", None),
        ("POST", "/auth/password", {"old": PASSWORD, "new": PASSWORD + "2"}),
    ):
        assert keyring.status(key, method, path, json=body) == 403, path
    assert keyring.status(key, "GET", "/users") == 200
    bounded = keyring.make("admin", pipelines=["*"])
    for path in ("/users", "/keys"):
        assert keyring.status(bounded, "GET", path) == 403
    assert keyring.status(bounded, "POST", "/admin/verify") == 403


def test_a_key_with_pipelines_sees_no_others(keyring: Keyring, engine: Engine) -> None:
    key = keyring.make("admin", pipelines=["sales_*", "no?"])
    assert [p["name"] for p in keyring.ask(key, "GET", "/pipeline").json()["items"]] == ["sales_eu"]
    assert keyring.status(key, "GET", "/pipeline/hr/config") == 404
    assert keyring.status(key, "GET", "/pipeline/sales_eu/config") == 200
    keyring.ask(key, "POST", "/query", json={"sql": "SELECT 1"})
    assert engine.scopes[-1].readable == frozenset({"sales_eu"})
    refused = keyring.ask(key, "POST", "/pipeline/create", json=a_pipeline("hr2"))
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (403, "name")
    refused = keyring.ask(key, "POST", "/pipeline/create", json=a_pipeline("sales_us", trigger={"after": ["hr"]}))
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (403, "trigger.after[0]")
    assert keyring.status(key, "POST", "/pipeline/create", json=a_pipeline("sales_us")) == 201


def test_a_key_with_queries_does_nothing_else(keyring: Keyring, services: Services) -> None:
    for name in ("orders", "other"):
        put = keyring.client.put(
            f"/api/v1/queries/{name}", json={"sql": "SELECT 1"}, headers=bearer(services, "operator")
        )
        assert put.status_code == 201, put.text
    key = keyring.make(queries=["orders"])
    assert key["role"] is None
    assert keyring.status(key, "GET", "/q/orders") == 200
    assert keyring.status(key, "GET", "/q/other") == keyring.status(key, "GET", "/q/nothing") == 404
    for method, path in (("GET", "/pipeline"), ("GET", "/queries"), ("POST", "/query"), ("GET", "/auth/me"),
                         ("GET", "/pipeline/sales_eu/data"), ("GET", "/files"), ("GET", "/keys")):  # fmt: skip
        assert keyring.status(key, method, path) == 403, path
    assert list(keyring.client.get("/docs/openapi.json", headers={"authorization": f"Bearer {key['key']}"})
                .json()["paths"]).count("/api/v1/q/other") == 0  # fmt: skip


BAD = [
    ({"row_filter": {"nothing": "true"}}, 400, "row_filter.nothing"),
    ({"queries": ["q"], "role": "operator"}, 400, "role"),
    ({"queries": []}, 400, "queries"),
    ({"pipelines": []}, 400, "pipelines"),
    ({"pipelines": ["../x"]}, 400, "pipelines[0]"),
    ({"expires": "2025-01-01T00:00:00Z"}, 400, "expires"),
    ({"expires": "2027-01-01T00:00:00"}, 400, "expires"),
    ({"rate_limit_per_minute": 0}, 400, "rate_limit_per_minute"),
    ({"name": " x"}, 400, "name"),
    ({"name": "x\n"}, 400, "name"),
    ({"owner": "admin"}, 403, "owner"),
    ({"scopes": ["all"]}, 400, "scopes"),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "status", "field"), BAD)
def test_what_no_key_may_be(keyring: Keyring, definition: dict[str, Any], status: int, field: str) -> None:
    assert keyring.make(status=status, **definition)["error"]["details"]["field"] == field


def test_a_key_is_changed(keyring: Keyring, services: Services) -> None:
    key, mine = keyring.make(pipelines=["sales_*"]), bearer(services, "operator")
    changed = keyring.client.patch(f"{K}/{key['id']}", json={"pipelines": ["hr"], "role": "viewer"}, headers=mine)
    assert (changed.status_code, changed.json()["pipelines"], changed.json()["role"]) == (200, ["hr"], "viewer")
    assert keyring.status(key, "GET", "/pipeline/hr/config") == 200
    assert keyring.status(key, "GET", "/pipeline/sales_eu/config") == 404
    bodies: list[dict[str, Any]] = [{}, {"role": "king"}, {"pipelines": []}, {"row_filter": {"a": "b"}}]
    for body in bodies:
        assert keyring.client.patch(f"{K}/{key['id']}", json=body, headers=mine).status_code == 400, body
    assert keyring.client.patch(f"{K}/{key['id']}", json={"role": "admin"}, headers=mine).status_code == 403


def test_a_repeated_request_gets_no_key(keyring: Keyring, services: Services) -> None:
    headers = {**bearer(services, "operator"), "idempotency-key": "once"}
    first, again = (keyring.client.post(K, json={"name": "m"}, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {name: value for name, value in first.json().items() if name != "key"}
    assert len(services.keys.list()) == 1


def test_idempotency_keys_of_a_key_are_its_own(keyring: Keyring, services: Services) -> None:
    key, mine = keyring.make(), {"idempotency-key": "same"}
    ran = keyring.ask(key, "POST", "/pipeline/hr/execute", headers=mine)
    also = keyring.client.post("/api/v1/pipeline/hr/execute", headers={**bearer(services, "operator"), **mine})
    assert ran.json()["run_id"] != also.json()["run_id"]


def test_a_key_has_its_own_limit_within_that_of_its_user(keyring: Keyring, services: Services) -> None:
    key = keyring.make(rate_limit_per_minute=2)
    assert [keyring.status(key, "GET", "/auth/me") for _ in range(3)] == [200, 200, 429]
    limited = keyring.ask(key, "GET", "/auth/me")
    assert limited.headers["ratelimit-limit"] == "2"
    assert keyring.client.get("/api/v1/auth/me", headers=bearer(services, "operator")).status_code == 200


def test_last_use_is_kept_in_memory_and_written_once_a_minute(
    keyring: Keyring, services: Services, clock: FixedClock
) -> None:
    key = keyring.make()
    keyring.ask(key, "GET", "/auth/me")
    (listed,) = services.keys.list("operator")
    assert listed.last_used == clock.now()
    assert services.store.rows("SELECT * FROM api_key_uses") == []
    clock.advance(61)
    (found,) = services.keys.list()
    assert services.keys.note_use(found)
    assert not services.keys.note_use(found)
    services.keys.write_uses()
    assert ApiKeys(services.store, clock).list()[0].last_used == clock.now()
    services.keys.delete(key["id"])
    services.keys.write_uses()
    assert services.store.rows("SELECT * FROM api_key_uses") == []


def test_what_keys_do_is_in_the_audit_log(keyring: Keyring, services: Services) -> None:
    key = keyring.make(role="viewer")
    keyring.ask(key, "POST", "/query", json={"sql": "SELECT 1"})
    keyring.client.delete(f"{K}/{key['id']}", headers=bearer(services, "operator"))
    found = keyring.client.get("/api/v1/audit", headers=bearer(services, "admin")).json()["items"]
    told = [(event["action"], event["actor"], event.get("details", {}).get("key")) for event in reversed(found)]
    assert told == [
        ("key.create", "operator", None), ("query.run", "operator", key["id"]), ("key.delete", "operator", None)
    ]  # fmt: skip
    assert key["key"] not in str(found)


def test_a_user_has_a_hundred_keys(keyring: Keyring, services: Services) -> None:
    first = keyring.make()
    definition = services.keys.get(first["id"]).definition
    for _ in range(99):
        services.keys.add("operator", definition)
    assert keyring.make(status=409)["error"]["code"] == "CONFLICT"


def test_a_row_filter_follows_its_table(keyring: Keyring, services: Services) -> None:
    """Else who renames the table shows all its rows to the key, earlier versions included."""
    key = keyring.make(row_filter={"Sales_EU": "amount > 1", "hr": "true"})
    services.pipelines.update("sales_eu", "sales_all", a_pipeline("sales_eu"), "operator")
    assert services.keys.get(key["id"]).row_filter == {"sales_all": "amount > 1", "hr": "true"}
    assert keyring.ask(key, "GET", "/pipeline/sales_eu/stats").json()["error"]["code"] == "ROW_FILTERED"
    services.pipelines.update("sales_eu", "SALES_ALL", a_pipeline("sales_eu"), "operator")
    assert services.keys.get(key["id"]).row_filter == {"sales_all": "amount > 1", "hr": "true"}


def test_what_the_limit_of_a_key_refuses_costs_its_user_nothing(keyring: Keyring) -> None:
    """Else whoever has a narrow key could keep its user, and the other keys, from working."""
    narrow, other = keyring.make(rate_limit_per_minute=1), keyring.make()

    def left(key: dict[str, Any]) -> int:
        return int(keyring.ask(key, "GET", "/auth/me").headers["ratelimit-remaining"])

    before = left(other)
    assert [keyring.status(narrow, "GET", "/auth/me") for _ in range(4)] == [200, 429, 429, 429]
    assert left(other) == before - 2
