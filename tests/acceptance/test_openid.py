"""``penstock serve`` with tokens of an issuer that nobody here wrote, which runs as a process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.acceptance import service
from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving, wait_for_port

BACK = "http://app.test/back"
USERS = (
    {"sub": "ann", "realm_access": {"roles": ["offline_access", "penstock-ops"]}},
    {"sub": "vera", "realm_access": {"roles": ["penstock-readers"]}},
    {"sub": "bob", "realm_access": {"roles": ["sales"]}},
)


@contextlib.contextmanager
def issuing(port: int) -> Iterator[str]:
    users = [word for user in USERS for word in ("--user-claims", json.dumps(user))]
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--host", "127.0.0.1", "--port", str(port), *users],
        env=service.clean_environment(), text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def logged_in(issuer: str, user: str, audience: str = "penstock") -> dict[str, str]:
    """The headers of a user who logged in at the issuer, by its authorization code flow."""
    with httpx.Client(base_url=issuer, trust_env=False, timeout=PATIENCE) as browser:
        asked = {"response_type": "code", "client_id": audience, "redirect_uri": BACK, "scope": "openid", "state": "s"}
        back = browser.post("/oauth2/authorize", params=asked, data={"sub": user}).headers["location"]
        given = {
            "grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0],
            "redirect_uri": BACK, "client_id": audience, "client_secret": "x",
        }  # fmt: skip
        return {"authorization": f"Bearer {browser.post('/oauth2/token', data=given).json()['id_token']}"}


@contextlib.contextmanager
def served_with(issuer: str, data: Path) -> Iterator[Served]:
    settings = {
        "ISSUER": issuer, "AUDIENCE": "penstock", "ROLE_CLAIM": "realm_access.roles",
        "ROLE_MAP": "penstock-ops=operator,penstock-readers=viewer",
    }  # fmt: skip
    environment = {f"PENSTOCK_OIDC_{name}": value for name, value in settings.items()}
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, **environment) as served:
        yield served


def test_users_of_an_issuer(tmp_path: Path) -> None:
    with issuing(service.free_port()) as issuer, served_with(issuer, tmp_path / "data") as served:
        ann, vera, bob = (logged_in(issuer, str(user["sub"])) for user in USERS)
        shown = served.json("GET", "/auth/me", headers=ann)
        assert (shown["username"], shown["role"]) == ("oidc:ann", "operator")
        served.json("GET", "/auth/me", headers=bob, status=403)
        served.json("GET", "/auth/me", headers=logged_in(issuer, "ann", "another app"), status=401)
        served.http.put("/files/cities.csv", content=b"id\n1\n", headers=ann).raise_for_status()
        pipeline = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
        served.json("POST", "/pipeline/create", json=pipeline, headers=vera, status=403)
        served.json("POST", "/pipeline/create", json=pipeline, headers=ann, status=201)
        run = served.json("POST", "/pipeline/cities/execute?wait=60", headers=ann)
        assert (run["status"], run["requested_by"]) == ("completed", "oidc:ann")
        answer = served.json("POST", "/query", json={"sql": "FROM cities"}, headers=vera)
        assert answer["data"] == [{"id": 1}]


@pytest.mark.slow
def test_an_issuer_with_new_keys_that_goes_down(tmp_path: Path) -> None:
    """A restarted issuer has another key: the service finds it within ten seconds, and keeps it when it goes down."""
    port = service.free_port()
    with contextlib.ExitStack() as running:
        first = running.enter_context(contextlib.ExitStack())
        issuer = first.enter_context(issuing(port))
        served = running.enter_context(served_with(issuer, tmp_path / "data"))
        old = logged_in(issuer, "ann")
        served.json("GET", "/auth/me", headers=old)
        first.close()
        served.json("GET", "/auth/me", headers=old)  # its keys are known
        with issuing(port):
            new = logged_in(issuer, "ann")
            deadline = time.monotonic() + PATIENCE
            while served.http.get("/auth/me", headers=new).status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.5)
            served.json("GET", "/auth/me", headers=old, status=401)
        served.json("GET", "/auth/me", headers=new)
    with served_with(issuer, tmp_path / "data") as served:
        assert served.json("GET", "/auth/me", headers=new, status=503)["error"]["code"] == "ISSUER_UNAVAILABLE"
        assert served.login()
