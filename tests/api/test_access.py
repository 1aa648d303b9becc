"""Every route demands its role; what is open is on a list; nobody gets in by spelling a path another way."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, get
from litestar.testing import TestClient

from service.api.app import create_app
from service.api.login import PUBLIC
from service.api.services import Services
from service.kit.clock import FixedClock
from tests.api.conftest import PASSWORD, ROLES, bearer
from tests.api.route_list import routes

Client = TestClient[Litestar]
A = "/api/v1/auth"
OPEN = {
    "POST /api/v1/auth/token", "POST /api/v1/auth/refresh", "GET /health", "GET /health/ready", "GET /docs", "GET /",
    "GET /docs/openapi.json", "GET /docs/{asset}", "GET /docs/guide", "GET /docs/guide/{page}",
    "GET /api/v1/q/{name}", "GET /metrics", "POST /api/v1/auth/session", "POST /api/v1/auth/session/refresh",
    "DELETE /api/v1/auth/session", "POST /api/v1/auth/session/link", "GET /console",
    "GET /console/{path}", "GET /console/assets/{file}",
}  # fmt: skip


def filled(path: str) -> str:
    for name in ("name", "username", "run_id", "number", "table", "path", "asset", "page", "file"):
        path = path.replace("{" + name + "}", "x1")
    return path


def test_requirement_42_every_route_demands_its_role(app: Litestar, anonymous: Client, services: Services) -> None:
    found = list(routes(app))
    assert len(found) > 50
    for method, template, role in found:
        path = f"{template}?bogus=1" if template == "/api/v1/events" else template  # a stream without an end
        if role == PUBLIC:
            assert f"{method} {path}" in OPEN
            continue
        refused = anonymous.request(method, filled(path))
        assert refused.status_code == 401, (method, path)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert refused.json()["error"]["code"] == "UNAUTHORIZED"
        for given in ROLES:
            answer = anonymous.request(method, filled(path), headers=bearer(services, given))
            forbidden = ROLES.index(given) < ROLES.index(role)
            assert (answer.status_code == 403) == forbidden, (method, path, given)
            assert answer.status_code != 401
            assert answer.status_code < 500


def test_requirement_42_a_route_that_names_no_role_is_closed(services: Services) -> None:
    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "secret"

    app = create_app(services)
    app.register(forgotten)
    with TestClient(app) as client:
        assert client.get("/forgotten").status_code == 401
        assert client.get("/forgotten", headers=bearer(services, "viewer")).text == "secret"


SPELLINGS = [
    "/api/v1/pipeline/health", "/api/v1//pipeline", "/api/v1/pipeline/", "/api/v1/pipelin%65", "/api/v1/files/health",
    "/docs/../api/v1/pipeline", "/health/../api/v1/pipeline", "/api/v1/runs/%2e%2e/health", "/api/v1/tables/health",
]  # fmt: skip


def test_requirement_42_spelling_opens_nothing(anonymous: Client) -> None:
    for path in SPELLINGS:
        for method in ("GET", "HEAD", "OPTIONS"):
            assert anonymous.request(method, path).status_code in (401, 404, 405), (method, path)


def test_purge_needs_an_admin(anonymous: Client, services: Services) -> None:
    services.pipelines.create("x", "x", {"collectors": []}, None)
    answer = anonymous.delete("/api/v1/pipeline/x?purge=true", headers=bearer(services, "operator"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


def log_in(client: Client, username: str = "operator") -> dict[str, Any]:
    answer = client.post(f"{A}/token", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def me(client: Client, pair: dict[str, str]) -> int:
    return client.get(f"{A}/me", headers={"authorization": f"Bearer {pair['access_token']}"}).status_code


def test_requirement_38_log_in_refresh_log_out(anonymous: Client) -> None:
    pair = log_in(anonymous)
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 86400)
    shown = anonymous.get(f"{A}/me", headers={"authorization": f"bearer {pair['access_token']}"})
    assert shown.json() == {
        "username": "operator", "role": "operator", "created": "2026-01-01T00:00:00Z", "disabled": False
    }  # fmt: skip
    fresh = anonymous.post(f"{A}/refresh", json={"refresh_token": pair["refresh_token"]}).json()
    assert me(anonymous, fresh) == 200
    out = anonymous.post(f"{A}/logout", headers={"authorization": f"Bearer {fresh['access_token']}"})
    assert (out.status_code, out.json()) == (200, {"message": "logged out"})
    assert (me(anonymous, fresh), me(anonymous, pair)) == (401, 401)
    assert anonymous.post(f"{A}/refresh", json={"refresh_token": fresh["refresh_token"]}).status_code == 401


def test_the_form_of_oauth2(anonymous: Client) -> None:
    form = {"grant_type": "password", "username": "viewer", "password": PASSWORD}
    answer = anonymous.post(f"{A}/token", data=form)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    assert anonymous.post(f"{A}/refresh", data=form).status_code == 200
    assert anonymous.post(f"{A}/token", data={**form, "grant_type": "magic"}).status_code == 400
    multipart = anonymous.post(f"{A}/token", files={"username": b"x"})
    assert (multipart.status_code, multipart.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_requirement_37_a_refresh_token_used_twice_ends_the_login(anonymous: Client) -> None:
    pair = log_in(anonymous)
    other = log_in(anonymous)
    fresh = anonymous.post(f"{A}/refresh", json={"refresh_token": pair["refresh_token"]}).json()
    again = anonymous.post(f"{A}/refresh", json={"refresh_token": pair["refresh_token"]})
    assert (again.status_code, again.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert anonymous.post(f"{A}/refresh", json={"refresh_token": fresh["refresh_token"]}).status_code == 401
    assert (me(anonymous, fresh), me(anonymous, other)) == (401, 200)


def test_requirement_40_wrong_credentials_say_nothing(anonymous: Client, clock: FixedClock) -> None:
    answers = [
        anonymous.post(f"{A}/token", json={"username": name, "password": "not the password"})
        for name in ("operator", "nobody", "x" * 200)
    ]
    assert {a.status_code for a in answers} == {401}
    assert len({a.text for a in answers}) == 1
    assert answers[0].json()["error"]["code"] == "INVALID_CREDENTIALS"
    assert answers[0].headers["www-authenticate"] == "Bearer"


def test_requirement_38_changes_of_an_account_end_its_tokens(
    anonymous: Client, services: Services, clock: FixedClock
) -> None:
    pair = log_in(anonymous)
    services.users.change("operator", role="viewer")
    assert me(anonymous, pair) == 401
    assert anonymous.post(f"{A}/refresh", json={"refresh_token": pair["refresh_token"]}).status_code == 401
    fresh = log_in(anonymous)
    assert me(anonymous, fresh) == 200
    headers = {"authorization": f"Bearer {fresh['access_token']}"}
    assert anonymous.post("/api/v1/pipeline/create", headers=headers, json={}).status_code == 403
    services.users.change("operator", disabled=True)
    assert me(anonymous, fresh) == 401
    answer = anonymous.post(f"{A}/token", json={"username": "operator", "password": PASSWORD})
    assert answer.json()["error"]["code"] == "INVALID_CREDENTIALS"
    services.users.delete("viewer")
    assert anonymous.get(f"{A}/me", headers=bearer(services, "viewer")).status_code == 401


NEXT = "quite another password"


def change(client: Client, pair: dict[str, str], old: str, new: str = NEXT) -> Any:
    headers = {"authorization": f"Bearer {pair['access_token']}"}
    return client.post(f"{A}/password", json={"old": old, "new": new}, headers=headers)


def test_requirement_38_a_new_password_ends_every_login(anonymous: Client) -> None:
    pair, other, viewer = log_in(anonymous), log_in(anonymous), log_in(anonymous, "viewer")
    answer = change(anonymous, pair, PASSWORD)
    assert (answer.status_code, "log in again" in answer.json()["message"]) == (200, True)
    assert [me(anonymous, held) for held in (pair, other, viewer)] == [401, 401, 200]
    assert anonymous.post(f"{A}/refresh", json={"refresh_token": other["refresh_token"]}).status_code == 401
    given = {password: {"username": "operator", "password": password} for password in (PASSWORD, NEXT)}
    assert {p: anonymous.post(f"{A}/token", json=g).status_code for p, g in given.items()} == {PASSWORD: 401, NEXT: 200}


def test_a_refused_password_changes_nothing(anonymous: Client) -> None:
    pair = log_in(anonymous)
    wrong = change(anonymous, pair, "not the password")
    error = wrong.json()["error"]
    assert (wrong.status_code, error["code"], error["details"]["field"]) == (401, "INVALID_CREDENTIALS", "old")
    short = change(anonymous, pair, PASSWORD, "short")
    assert (short.status_code, short.json()["error"]["details"]["field"]) == (400, "new")
    assert me(anonymous, pair) == 200
    assert anonymous.post(f"{A}/password", json={"old": PASSWORD, "new": NEXT}).status_code == 401


def test_guesses_of_the_old_password_are_throttled_as_logins(anonymous: Client) -> None:
    pair = log_in(anonymous)
    codes = [change(anonymous, pair, "not the password").status_code for _ in range(10)]
    assert codes == [401] * 9 + [429]  # the login counts, too
    assert anonymous.post(f"{A}/token", json={"username": "operator", "password": PASSWORD}).status_code == 429
    assert me(anonymous, pair) == 200


def test_tokens_expire(anonymous: Client, clock: FixedClock) -> None:
    pair = log_in(anonymous)
    clock.advance(24 * 3600 + 11)
    answer = anonymous.get(f"{A}/me", headers={"authorization": f"Bearer {pair['access_token']}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "TOKEN_EXPIRED")
    assert me(anonymous, anonymous.post(f"{A}/refresh", json={"refresh_token": pair["refresh_token"]}).json()) == 200


def test_requirement_34_hostile_authorization(anonymous: Client) -> None:
    for header in ("", "Bearer", "Bearer x", "Basic b3A6eA==", "Bearer a.b.c", "Bearer " + "x" * 5000):
        answer = anonymous.get(f"{A}/me", headers={"authorization": header})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED"), header
