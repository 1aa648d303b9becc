"""Accounts over HTTP: what is shown and refused, that changes end logins, and that an admin stays."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from tests.api.conftest import PASSWORD, a_pipeline, bearer

Client = TestClient[Litestar]
USERS = "/api/v1/users"
ANN = {"username": "ann", "password": PASSWORD, "role": "viewer"}


def names(client: Client, headers: dict[str, str]) -> list[str]:
    return [user["username"] for user in client.get(USERS, headers=headers).json()["items"]]


def test_an_account_is_created_changed_and_deleted(anonymous: Client, services: Services) -> None:
    admin = bearer(services, "admin")
    created = anonymous.post(USERS, json=ANN, headers=admin)
    assert (created.status_code, created.json()["role"], PASSWORD in created.text) == (201, "viewer", False)
    assert names(anonymous, admin) == ["admin", "ann", "operator", "viewer"]
    assert anonymous.get(f"{USERS}?limit=1&offset=1", headers=admin).json()["items"][0]["username"] == "ann"
    held = {"authorization": f"Bearer {log_in(anonymous)['access_token']}"}
    changed = anonymous.patch(f"{USERS}/ann", json={"role": "operator"}, headers=admin)
    assert (changed.status_code, changed.json()["role"]) == (200, "operator")
    assert anonymous.get("/api/v1/auth/me", headers=held).status_code == 401
    assert anonymous.patch(f"{USERS}/ann", json={"disabled": True}, headers=admin).json()["disabled"] is True
    deleted = anonymous.delete(f"{USERS}/ann", headers=admin)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "ann" not in names(anonymous, admin)


def log_in(client: Client) -> dict[str, Any]:
    pair: dict[str, Any] = client.post("/api/v1/auth/token", json={"username": "ann", "password": PASSWORD}).json()
    return pair


def test_an_account_is_created_once_under_its_key(client: Client) -> None:
    answers = [client.post(USERS, json=ANN, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [a.status_code for a in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotency-replayed"] == "true"
    again = client.post(USERS, json=ANN)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "USER_EXISTS")


def test_a_new_account_does_not_get_the_answers_of_an_earlier_one_of_its_name(client: Client) -> None:
    for expected in ((201, ""), (409, "PIPELINE_EXISTS")):
        client.post(USERS, json={**ANN, "role": "operator"})
        headers = {"Authorization": f"Bearer {log_in(client)['access_token']}", "Idempotency-Key": "k"}
        answer = client.post("/api/v1/pipeline/create", json=a_pipeline(), headers=headers)
        assert (answer.status_code, answer.json().get("error", {}).get("code", "")) == expected
        assert client.delete(f"{USERS}/ann").status_code == 204


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [("POST", "", {**ANN, "password": "short"}, 400, "password"), ("POST", "", {**ANN, "role": "king"}, 400, "role"),
     ("POST", "", {**ANN, "username": "a b"}, 400, "username"), ("PATCH", "/viewer", {}, 400, "body"),
     ("PATCH", "/viewer", {"password": "short"}, 400, "password"),
     ("PATCH", "/nobody", {"role": "admin"}, 404, "username"),
     ("PATCH", "/admin", {"role": "viewer"}, 409, "username"), ("DELETE", "/admin", None, 409, "username"),
     ("DELETE", "/nobody", None, 404, "username")],
)  # fmt: skip
def test_refusals_name_the_field(
    client: Client, method: str, path: str, body: dict[str, Any] | None, status: int, field: str
) -> None:
    answer = client.request(method, USERS + path, json=body)
    assert (answer.status_code, answer.json()["error"]["details"].get("field", "")) == (status, field), answer.text
