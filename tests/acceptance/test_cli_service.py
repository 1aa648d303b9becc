"""Commands that ask a running service with a token, and what they say when they cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance import documents, service
from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create


@pytest.fixture(scope="module")
def running(plain: Served) -> Served:
    upload_and_create(plain)
    plain.json("POST", "/pipeline/cities/execute?wait=30")
    return plain


def penstock(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *words], capture_output=True, text=True, timeout=60,
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT), **environment),
    )  # fmt: skip


def command(running: Served, *words: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    held = token if token is not None else running.http.headers["authorization"].removeprefix("Bearer ")
    return penstock(*words, "--url", running.address, PENSTOCK_TOKEN=held)


def test_a_query_of_a_running_service(running: Served) -> None:
    answer = command(
        running, "query", "SELECT id, '=' || city AS city FROM cities ORDER BY id LIMIT 1", "--format", "csv"
    )
    assert (answer.returncode, answer.stdout.split(), answer.stderr) == (0, ["id,city", "1,'=Bern"], "")
    assert "3 rows" in command(running, "query", "FROM cities").stdout
    refused = command(running, "query", "DROP TABLE cities")
    assert (refused.returncode, refused.stderr.startswith("error SQL_NOT_ALLOWED: ")) == (2, True)


def test_pipelines_and_logs_of_a_running_service(running: Served) -> None:
    (line,) = json.loads(command(running, "list", "--json").stdout)
    assert (line["name"], line["version"]) == ("cities", 1)
    assert "run.started" in command(running, "log", "cities").stdout
    assert command(running, "log", "nobody").returncode == 3


@pytest.mark.parametrize(("token", "code"), [("", 5), ("wrong", 5)])
def test_a_token_is_needed(running: Served, token: str, code: int) -> None:
    refused = command(running, "list", token=token)
    assert (refused.returncode, refused.stdout, "error UNAUTHORIZED" in refused.stderr) == (code, "", True)


def test_no_service() -> None:
    ended = penstock("list", "--json", "--url", f"http://127.0.0.1:{service.free_port()}", PENSTOCK_TOKEN="x")
    assert (ended.returncode, json.loads(ended.stdout)["error"]["code"]) == (8, "OVERLOADED")


def test_the_first_admin_is_made_beside_other_accounts(tmp_path: Path) -> None:
    added = penstock("user", "add", "vera", "--role", "viewer", "--data-dir", str(tmp_path / "data"))
    assert "the service adds 'admin'" in added.stderr
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        assert served.json("GET", "/auth/me")["role"] == "admin"
        changed = penstock("user", "change", "vera", "--role", "operator", "--data-dir", str(tmp_path / "data"))
        assert changed.stdout == "'vera' is operator\n"
        assert {u["username"]: u["role"] for u in served.json("GET", "/users")["items"]}["vera"] == "operator"
