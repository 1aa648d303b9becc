"""``penstock serve`` as an operator sees it: start, signals, a second one, a crash, what the log holds."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import documents, service
from tests.acceptance.served import (
    PASSWORD,
    PATIENCE,
    Served,
    children_of,
    listening_as,
    serving,
    spawned,
    staged,
    upload_and_create,
    wait_for_port,
)

SECRET = "s3cret-value-of-a-source"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for the tests that leave it as they find it."""
    with serving(tmp_path_factory.mktemp("serve") / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        yield served


def test_the_main_job_by_http(running: Served) -> None:
    upload_and_create(running)
    run = running.json("POST", "/pipeline/cities/execute?wait=30")
    assert (run["status"], run["version"], run["rows_stored"], run["progress"]) == ("completed", 1, 3, 100)
    assert running.json("GET", "/pipeline/cities/status")["run_id"] == run["run_id"]
    data = running.json("GET", "/pipeline/cities/data?sort=-id&limit=2")
    assert [row["id"] for row in data["data"]] == [3, 2]
    assert data["total_rows"] == 3
    schema = running.json("GET", "/pipeline/cities/schema")
    assert [(c["name"], c["type"], c["missing_values"]) for c in schema["columns"]] == [
        ("id", "BIGINT", 0),
        ("city", "VARCHAR", 1),
    ]
    changed = {
        "name": "cities",
        "collectors": [{"type": "csv", "file_path": "cities.csv"}],
        "processors": [{"type": "cleaner", "config": {"drop_na": True}}],
    }
    assert running.json("PUT", "/pipeline/cities/config", json=changed)["revision"] == 2
    assert running.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 2
    sql = 'SELECT (SELECT count(*) FROM "cities@1") AS before, (SELECT count(*) FROM cities) AS now'
    assert running.json("POST", "/query", json={"sql": sql})["data"] == [{"before": 3, "now": 2}]
    assert running.json("GET", "/pipeline/cities/data?version=1")["total_rows"] == 3
    stats = running.json("GET", "/pipeline/cities/stats")
    assert (stats["total_executions"], stats["success_rate"], stats["versions"]) == (2, 1.0, 2)
    running.json("DELETE", "/pipeline/cities?purge=true")
    assert running.json("GET", "/pipeline/cities/status", status=404)["error"]["code"] == "PIPELINE_NOT_FOUND"
    assert not list((running.data / "warehouse").glob("cities*"))


def test_the_first_start_makes_a_password_and_a_secret_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as served:
        password = served.out.said[0].split(" the password ")[1].split()[0]
        token = served.login(password)["access_token"]
        assert stat.S_IMODE((data / "secret.key").stat().st_mode) == 0o600
        assert served.log()[-1]["event"] == "server.stopped"
        assert served.process.returncode == 0
    with serving(data) as served:
        served.http.headers["authorization"] = f"Bearer {token}"  # the secret was kept
        assert served.json("GET", "/auth/me")["username"] == "admin"
        logged = json.dumps(served.log())
        assert password not in logged
        assert token not in logged


def test_requirement_26_a_second_service_is_refused(running: Served, tmp_path: Path) -> None:
    taken = {"DATA_DIR_IN_USE": ["0", "--data-dir", str(running.data)], "PORT_IN_USE": [running.address.split(":")[-1]]}
    processes = {
        code: subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", *flags],
            env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), cwd=tmp_path,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for code, flags in taken.items()
    }  # fmt: skip
    for code, process in processes.items():
        _, said = process.communicate(timeout=PATIENCE)
        message = said.splitlines()[-1]
        assert (process.returncode, message.startswith(f"error {code}: ")) == (4, True), said
        assert str(running.process.pid) in message or code == "PORT_IN_USE"


def test_a_setting_that_no_run_could_follow_is_refused_at_the_start(tmp_path: Path) -> None:
    environment = service.clean_environment(
        PYTHONPATH=str(documents.ROOT), PENSTOCK_ALLOWED_PRIVATE_HOSTS="10.0.0.0/8,1.2.3.4/99"
    )
    done = subprocess.run(
        [sys.executable, "-m", "service", "serve", "--port", "0"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "error VALIDATION_ERROR: PENSTOCK_ALLOWED_PRIVATE_HOSTS: " in done.stderr
    assert "1.2.3.4/99" in done.stderr
    assert not (tmp_path / "penstock-data").exists()


def test_a_request_has_one_id_from_the_answer_to_the_log(running: Served) -> None:
    upload_and_create(running, "traced")
    answer = running.http.post("/pipeline/traced/execute?wait=30", headers={"x-request-id": "my-request-1"})
    assert answer.headers["x-request-id"] == "my-request-1"
    run_id = answer.json()["run_id"]

    def of_request(line: dict[str, Any]) -> bool:
        return line.get("request_id") == "my-request-1"

    lines = running.until_logged(lambda line: of_request(line) and line["event"] == "request.finished")
    assert [line["event"] for line in lines if of_request(line)][-1] == "request.finished"
    of_run = [line["event"] for line in lines if line.get("run_id") == run_id]
    assert of_run[0] == "run.started"
    assert "collector.finished" in of_run  # said by the worker
    assert PASSWORD not in json.dumps(lines)


def test_requirement_52_what_the_service_logs_has_no_secret(running: Served) -> None:
    """What is done with them is logged. ``served`` looks for those of a log-in in the logs of the whole suite."""
    upload_and_create(running, "private")
    secrets, wrong, name = {PASSWORD}, "not the pass phrase", "typed-into-the-wrong-field"
    user = {"username": "ann", "password": f"{PASSWORD} of ann", "role": "operator"}
    running.json("POST", "/users", status=201, json=user)
    pair = running.json("POST", "/auth/token", json={"username": "ann", "password": user["password"]})
    fresh = running.json("POST", "/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    running.json("POST", "/auth/refresh", status=401, json={"refresh_token": pair["refresh_token"]})
    running.json("POST", "/auth/token", status=401, json={"username": name, "password": wrong})
    running.json("PATCH", "/users/ann", json={"password": f"{PASSWORD} of ann again"})
    key = running.json("POST", "/keys", status=201, json={"name": "machine", "role": "viewer"})["key"]
    for token in (key, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.forged", "secret-of-nobody"):
        running.http.get("/pipeline", headers={"authorization": f"Bearer {token}"})
    secrets |= {wrong, name, key, "forged", "secret-of-nobody", *pair.values(), *fresh.values()} - {"bearer", 86400}
    running.json("POST", "/query", json={"sql": "SELECT 'secret in a statement' AS a"})
    running.json("POST", "/query", status=400, json={"sql": "SELECT 'secret in a statement' +"})
    running.json("POST", "/pipeline/private/execute?wait=30")
    marked = {"x-request-id": "the-last-one"}
    running.http.get("/pipeline", headers=marked)
    lines = running.until_logged(lambda line: line.get("request_id") == marked["x-request-id"])
    assert {line["event"] for line in lines} >= {
        "auth.logged_in", "auth.refused", "auth.refresh_reused", "run.started", "request.finished", "sql.asked",
    }  # fmt: skip
    logged = json.dumps(lines)
    assert [secret for secret in (*secrets, "secret in a statement") if secret in logged] == []


def _hanging_run(served: Served, listener: socket.socket) -> tuple[str, list[int]]:
    """A run whose source accepts the connection and never answers; and the processes below the service."""
    run = served.json("POST", "/pipeline/slow/execute?wait=0", status=202)
    connection, _ = listener.accept()
    with connection:
        request = connection.recv(65536)
        assert SECRET.encode() in request
    return run["run_id"], children_of(served.process.pid)


def _gone(pids: list[int]) -> None:
    """They die with their parent, soon after it."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                assert select.select([descriptor], [], [], PATIENCE)[0], f"{pid} is still there"
            finally:
                os.close(descriptor)


def _ended_under(served: Served, listener: socket.socket, ending: signal.Signals) -> str:
    """End the service under a run; answers the run's id."""
    run_id, below = _hanging_run(served, listener)
    os.kill(served.process.pid, ending)
    assert served.ended() == (0 if ending is signal.SIGTERM else -signal.SIGKILL)
    _gone(below)
    lines = served.logged()
    assert any(line.get("run_id") == run_id and line["event"] == "run.started" for line in lines)
    assert SECRET not in json.dumps(lines)
    assert PASSWORD not in json.dumps(lines)
    return run_id


def _interrupted(served: Served, run_id: str) -> None:
    run = served.json("GET", f"/runs/{run_id}")
    assert (run["status"], run["version"]) == ("interrupted", None)
    assert run["error"]["message"]
    assert served.json("GET", "/pipeline/cities/data")["total_rows"] == 3
    assert not staged(served.data)
    assert SECRET not in served.http.get(f"/runs/{run_id}/logs").text


@pytest.mark.slow
def test_requirement_17_runs_that_the_service_ends_under(tmp_path: Path) -> None:
    """By a request to stop, and without warning; the next start knows of it either time."""
    data = tmp_path / "data"
    settings = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "PENSTOCK_SECRET_SOURCE_KEY": SECRET,
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        with serving(data, **settings) as served:
            served.login()
            upload_and_create(served)
            served.json("POST", "/pipeline/cities/execute?wait=30")
            endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
            slow = {"type": "api", "endpoint": endpoint, "headers": {"X-Key": "${SOURCE_KEY}"}}
            served.json("POST", "/pipeline/create", status=201, json={"name": "slow", "collectors": [slow]})
            asked_to = _ended_under(served, listener, signal.SIGTERM)
        with serving(data, **settings) as served:
            served.login()
            _interrupted(served, asked_to)
            killed = _ended_under(served, listener, signal.SIGKILL)
        with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
            served.login()
            _interrupted(served, killed)
            assert served.json("GET", f"/runs/{asked_to}")["status"] == "interrupted"


def test_a_signal_during_the_start_ends_it_in_order(tmp_path: Path) -> None:
    port = service.free_port()
    process = spawned(
        tmp_path / "data", "--port", str(port), module="tests.acceptance.held_start", PENSTOCK_ADMIN_PASSWORD=PASSWORD
    )
    wait_for_port(process, port)
    process.terminate()
    _, said = process.communicate("", timeout=PATIENCE)
    assert (process.returncode, "server.stopped" in said) == (0, True), said


def test_it_is_alive_before_it_is_ready(tmp_path: Path) -> None:
    port = service.free_port()
    process = spawned(
        tmp_path / "data", "--port", str(port), module="tests.acceptance.held_start", PENSTOCK_ADMIN_PASSWORD=PASSWORD
    )
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(trust_env=False, timeout=PATIENCE) as http:
        wait_for_port(process, port)
        assert http.get(f"{address}/health").json()["status"] == "healthy"
        ready = http.get(f"{address}/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
        refused = http.post(f"{address}/api/v1/auth/token", json={"username": "admin", "password": PASSWORD})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "OVERLOADED")
        assert process.stdin is not None
        process.stdin.close()
        with listening_as(process, tmp_path / "data") as served:
            assert served.http.get(f"{address}/health/ready").json()["status"] == "ready"
            served.login()
