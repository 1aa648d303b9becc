"""The one-time link: good once and for a few minutes, said clearly where it is not, counted and recorded as log-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.app import Api, create_app
from service.api.routes.browser_sessions import COOKIE, HEADER, PATH
from service.api.services import Services
from service.api.sign_in_link import SECONDS, SignInLink
from service.kit.clock import FixedClock
from tests.api.conftest import bearer

Client = TestClient[Litestar] | TestClient[Api]
URL = "http://127.0.0.1:8000"


@pytest.fixture
def link(clock: FixedClock) -> SignInLink:
    return SignInLink("admin", clock)


@pytest.fixture
def browser(services: Services, link: SignInLink) -> Iterator[Client]:
    with TestClient(create_app(replace(services, link=link))) as client:
        yield client


def token_of(link: SignInLink) -> str:
    address, _, token = link.issue(URL).partition("#sign-in=")
    assert address == f"{URL}/console/"
    return token


def follow(client: Client, token: str, **headers: str) -> Any:
    return client.post(f"{PATH}/link", json={"token": token}, headers={HEADER: "1", **headers})


def refused(answer: Any) -> str:
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED"), answer.text
    assert "set-cookie" not in answer.headers
    return str(answer.json()["error"]["message"])


def test_it_signs_in_once(browser: Client, link: SignInLink, services: Services) -> None:
    token = token_of(link)
    answer = follow(browser, token)
    assert answer.status_code == 200, answer.text
    assert COOKIE in answer.headers["set-cookie"]
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert browser.get("/api/v1/auth/me", headers=headers).json()["username"] == "admin"
    assert browser.post(f"{PATH}/refresh", headers={HEADER: "1"}).status_code == 200
    message = refused(follow(browser, token))
    assert "was used already" in message
    assert "penstock demo --serve" in message
    events = browser.get("/api/v1/audit?action=auth.link", headers=bearer(services, "admin"))
    found = {(event["actor"], event["outcome"]) for event in events.json()["items"]}
    assert found == {("admin", "ok"), (None, "refused")}
    assert token not in events.text


def test_it_ends_after_some_minutes_and_with_the_next_one(browser: Client, link: SignInLink, clock: FixedClock) -> None:
    first = token_of(link)
    second = token_of(link)
    assert "is not valid" in refused(follow(browser, first))
    clock.advance(SECONDS + 1)
    assert "is older than 5 minutes" in refused(follow(browser, second))
    assert follow(browser, token_of(link)).status_code == 200


def test_nobody_guesses_it(browser: Client, link: SignInLink, anonymous: Client) -> None:
    assert "is not valid" in refused(follow(browser, "x"))  # before one was issued
    token = token_of(link)
    assert "is not valid" in refused(follow(anonymous, token))  # a service that shows no links
    answers = [follow(browser, f"pl_{number}").status_code for number in range(30)]
    assert answers.count(401) < 12
    assert set(answers) == {401, 429}
    assert token not in repr(vars(link))


def test_another_site_cannot_use_it(browser: Client, link: SignInLink) -> None:
    token = token_of(link)
    answer = browser.post(f"{PATH}/link", json={"token": token})
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (403, HEADER)
    text = browser.post(f"{PATH}/link", content=json.dumps({"token": token}), headers={HEADER: "1"})
    assert text.status_code == 415
    assert follow(browser, token).status_code == 200


def test_an_account_that_is_closed_stays_closed(browser: Client, link: SignInLink, services: Services) -> None:
    token = token_of(link)
    services.users.add("other", "a long enough password", "admin")
    services.users.change("admin", disabled=True)
    assert "can no longer log in" in refused(follow(browser, token))
