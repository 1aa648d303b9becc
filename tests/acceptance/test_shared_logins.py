"""Accounts, log-ins and limits of several processes: each of them answers as if it were the only one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.acceptance.installation import installed
from tests.acceptance.served import PASSWORD, PATIENCE, Served
from tests.postgresql import Cluster

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def two(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    with installed(cluster, tmp_path_factory.mktemp("logins")) as start:
        yield start("one", 0), start("two", 0)


def log_in(served: Served, username: str, password: str = PASSWORD) -> httpx.Response:
    return served.http.post("/auth/token", json={"username": username, "password": password})


def me(served: Served, token: str) -> int:
    return served.http.get("/auth/me", headers={"authorization": f"Bearer {token}"}).status_code


def until(status: int, served: Served, token: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while me(served, token) != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_account_and_its_logins_are_the_same_everywhere(two: tuple[Served, Served]) -> None:
    one, other = two
    one.json("POST", "/users", status=201, json={"username": "bea", "password": PASSWORD, "role": "viewer"})
    pair = log_in(other, "bea").json()
    assert [me(served, pair["access_token"]) for served in two] == [200, 200]
    one.json("PATCH", "/users/bea", json={"role": "operator"})
    until(401, other, pair["access_token"])
    pair = log_in(one, "bea").json()
    assert me(other, pair["access_token"]) == 200
    other.http.post("/auth/logout", headers={"authorization": f"Bearer {pair['access_token']}"})
    until(401, one, pair["access_token"])


def test_failures_of_log_ins_count_wherever_they_were(two: tuple[Served, Served]) -> None:
    codes = [log_in(two[number % 2], "nobody", "wrong").status_code for number in range(10)]
    assert codes == [401] * 10
    for served in two:
        refused = log_in(served, "nobody", "wrong")
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) <= 6


def test_a_key_of_requests_works_once_whichever_processes_are_asked(two: tuple[Served, Served]) -> None:
    begin = threading.Barrier(2)

    def ask(served: Served) -> httpx.Response:
        begin.wait(PATIENCE)
        while True:
            answer = served.http.post("/keys", json={"name": "robot"}, headers={"Idempotency-Key": "once"})
            if answer.status_code != 503:
                return answer

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, two))
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    items: list[Any] = two[0].json("GET", "/keys")["items"]
    assert [key["name"] for key in items] == ["robot"]


def test_the_rate_limit_is_divided_by_the_processes(two: tuple[Served, Served]) -> None:
    def limit(served: Served) -> str:
        return served.http.get("/auth/me").headers["ratelimit-limit"]

    deadline = time.monotonic() + PATIENCE
    while [limit(served) for served in two] != ["3000", "3000"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
