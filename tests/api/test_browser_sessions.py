"""Sessions of browsers: a cookie that only its routes get, a refresh that other sites cannot ask for, an end."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.routes.browser_sessions import COOKIE, HEADER, PATH
from service.api.services import Services
from service.kit.clock import FixedClock
from tests.api.conftest import PASSWORD

Client = TestClient[Litestar]
OWN = {HEADER: "1"}


@pytest.fixture
def browser(anonymous: Client) -> Iterator[Client]:
    """A client that keeps cookies as a browser does."""
    yield anonymous
    anonymous.cookies.clear()


def sign_in(client: Client, username: str = "viewer", **more: Any) -> Any:
    return client.post(PATH, json={"username": username, "password": PASSWORD}, **more)


def me(client: Client, answer: Any) -> int:
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    return client.get("/api/v1/auth/me", headers=headers).status_code


def kept(answer: Any) -> dict[str, str]:
    """The attributes of the cookie that an answer sets."""
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert morsel.key == COOKIE
    return {"value": morsel.value, **{name: str(value) for name, value in morsel.items() if value}}


def test_a_session_from_sign_in_to_sign_out(browser: Client) -> None:
    answer = sign_in(browser)
    assert (answer.status_code, set(answer.json())) == (200, {"access_token", "token_type", "expires_in", "user"})
    assert answer.json()["user"]["role"] == "viewer"
    cookie = kept(answer)
    value = cookie.pop("value")
    assert cookie == {"path": PATH, "max-age": "2592000", "httponly": "True", "samesite": "strict"}
    assert value not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    fresh = browser.post(f"{PATH}/refresh", headers=OWN)
    assert (fresh.status_code, me(browser, fresh), kept(fresh)["value"] == value) == (200, 200, False)
    out = browser.delete(PATH)
    assert (out.status_code, kept(out)["value"], kept(out)["max-age"]) == (204, "", "0")
    assert (me(browser, answer), me(browser, fresh)) == (401, 401)
    assert browser.post(f"{PATH}/refresh", headers=OWN).status_code == 204


def test_without_a_session(browser: Client) -> None:
    for held in ({}, {"cookie": f"{COOKIE}=pr_unknown"}, {"cookie": f"{COOKIE}="}, {"cookie": "\x01;;=;" * 9}):
        assert browser.post(f"{PATH}/refresh", headers={**OWN, **held}).status_code == 204, held
        assert browser.delete(PATH, headers=held).status_code == 204
    wrong = browser.post(PATH, json={"username": "viewer", "password": "wrong"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "INVALID_CREDENTIALS")
    assert "set-cookie" not in wrong.headers


def test_another_site_can_neither_sign_in_nor_refresh(browser: Client) -> None:
    sign_in(browser)
    for headers in ({}, {HEADER: "0"}, {HEADER: ""}):
        refused = browser.post(f"{PATH}/refresh", headers=headers)
        assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (403, HEADER)
    form = {"username": "viewer", "password": PASSWORD}
    assert browser.post(PATH, data=form).status_code == 415
    assert browser.post(f"{PATH}/refresh", headers=OWN).status_code == 200  # nothing was used up


def test_the_cookie_is_secure_over_https(app: Litestar) -> None:
    with TestClient(app, base_url="https://penstock.test") as browser:
        assert kept(sign_in(browser))["secure"] == "True"
        assert browser.post(f"{PATH}/refresh", headers=OWN).status_code == 200
        assert kept(browser.delete(PATH))["secure"] == "True"


def test_a_copied_cookie_ends_the_session(browser: Client) -> None:
    stolen = {"cookie": f"{COOKIE}={kept(sign_in(browser))['value']}", **OWN}
    fresh = browser.post(f"{PATH}/refresh", headers=OWN)
    browser.cookies.clear()
    assert browser.post(f"{PATH}/refresh", headers=stolen).status_code == 204
    assert me(browser, fresh) == 401


def test_what_ends_a_login_ends_the_session(browser: Client, services: Services, clock: FixedClock) -> None:
    first = sign_in(browser)
    second = sign_in(browser, "operator")  # the browser holds one session
    assert (me(browser, first), me(browser, second)) == (401, 200)
    services.users.change("operator", role="viewer")
    assert browser.post(f"{PATH}/refresh", headers=OWN).status_code == 204
    sign_in(browser)
    clock.advance(31 * 24 * 3600)
    assert browser.post(f"{PATH}/refresh", headers=OWN).status_code == 204


def test_the_cookie_opens_nothing_else(browser: Client) -> None:
    held = {"cookie": f"{COOKIE}={kept(sign_in(browser))['value']}", **OWN}
    assert browser.get("/api/v1/auth/me", headers=held).status_code == 401
    assert browser.post("/api/v1/auth/refresh", headers=held).status_code in (400, 415)
