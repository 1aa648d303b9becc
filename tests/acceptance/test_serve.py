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

PASSWORD = "a long pass phrase"
CSV = "id,city\n1,Bern\n2,Rome\n3,\n"
SECRET = "s3cret-value-of-a-source"


class Served:
    """A running service and a client that is logged in."""

    def __init__(self, process: subprocess.Popen[str], address: str, data: Path, first_lines: list[str]) -> None:
        self.process, self.address, self.data, self.first_lines = process, address, data, first_lines
        self.http = httpx.Client(base_url=f"{address}/api/v1", timeout=30, trust_env=False)

    def login(self, password: str = PASSWORD) -> dict[str, Any]:
        pair: dict[str, Any] = self.json("POST", "/auth/token", json={"username": "admin", "password": password})
        self.http.headers["authorization"] = f"Bearer {pair['access_token']}"
        return pair

    def json(self, method: str, path: str, *, status: int = 200, **request: Any) -> Any:
        answer = self.http.request(method, path, **request)
        assert answer.status_code == status, answer.text
        return answer.json()

    def log(self) -> list[dict[str, Any]]:
        """End the service and read what it logged."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=30)
        return [json.loads(line) for line in said.splitlines()]


@contextlib.contextmanager
def serving(
    data: Path, *flags: str, path: str = str(documents.ROOT), module: tuple[str, ...] = ("service",), **environment: str
) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", *module, "serve", "--port", "0", "--data-dir", str(data), *flags],
        env=service.clean_environment(PYTHONPATH=path, **environment), cwd=data.parent,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        address = next((w for w in lines[0].split() if w.startswith("http://")), None)
        assert address, lines[0] + (process.stderr.read() if process.stderr else "")
        if "PENSTOCK_ADMIN_PASSWORD" not in environment and not (data / ".served").exists():
            lines.append(process.stdout.readline())
        with httpx.Client(transport=httpx.HTTPTransport(retries=5), trust_env=False) as waiting:
            assert waiting.get(f"{address}/health/ready").json()["status"] == "ready"
        served = Served(process, address, data, lines)
        with served.http:
            yield served
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def upload_and_create(served: Served, name: str = "cities", **more: Any) -> None:
    assert served.http.put("/files/cities.csv", content=CSV.encode()).status_code in (200, 201)
    document = {"name": name, "collectors": [{"type": "csv", "file_path": "cities.csv"}], **more}
    served.json("POST", "/pipeline/create", status=201, json=document)


def children_of(pid: int) -> list[int]:
    """The processes below ``pid``; one that ends while we look is not among them."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += [int(p) for p in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found + [below for child in found for below in children_of(child)]


def test_the_main_job_by_http(tmp_path: Path) -> None:
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        upload_and_create(served)
        run = served.json("POST", "/pipeline/cities/execute?wait=30")
        assert (run["status"], run["version"], run["rows_stored"], run["progress"]) == ("completed", 1, 3, 100)
        assert served.json("GET", "/pipeline/cities/status")["run_id"] == run["run_id"]
        data = served.json("GET", "/pipeline/cities/data?sort=-id&limit=2")
        assert [row["id"] for row in data["data"]] == [3, 2]
        assert data["total_rows"] == 3
        schema = served.json("GET", "/pipeline/cities/schema")
        assert [(c["name"], c["type"], c["missing_values"]) for c in schema["columns"]] == [
            ("id", "BIGINT", 0),
            ("city", "VARCHAR", 1),
        ]
        changed = {
            "name": "cities",
            "collectors": [{"type": "csv", "file_path": "cities.csv"}],
            "processors": [{"type": "cleaner", "config": {"drop_na": True}}],
        }
        assert served.json("PUT", "/pipeline/cities/config", json=changed)["revision"] == 2
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 2
        sql = 'SELECT (SELECT count(*) FROM "cities@1") AS before, (SELECT count(*) FROM cities) AS now'
        assert served.json("POST", "/query", json={"sql": sql})["data"] == [{"before": 3, "now": 2}]
        assert served.json("GET", "/pipeline/cities/data?version=1")["total_rows"] == 3
        stats = served.json("GET", "/pipeline/cities/stats")
        assert (stats["total_executions"], stats["success_rate"], stats["versions"]) == (2, 1.0, 2)
        served.json("DELETE", "/pipeline/cities?purge=true")
        assert served.json("GET", "/pipeline/cities/status", status=404)["error"]["code"] == "PIPELINE_NOT_FOUND"
        assert not list((tmp_path / "data" / "warehouse").glob("cities*"))


def test_the_first_start_makes_a_password_and_a_secret_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as served:
        password = served.first_lines[1].split(" the password ")[1].split()[0]
        token = served.login(password)["access_token"]
        assert stat.S_IMODE((data / "secret.key").stat().st_mode) == 0o600
        assert served.log()[-1]["event"] == "server.stopped"
        assert served.process.returncode == 0
    (data / ".served").touch()
    with serving(data) as served:
        served.http.headers["authorization"] = f"Bearer {token}"  # the secret was kept
        assert served.json("GET", "/auth/me")["username"] == "admin"
        logged = json.dumps(served.log())
        assert password not in logged
        assert token not in logged


def test_a_second_service_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        second = subprocess.run(
            [sys.executable, "-m", "service", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")],
            env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), cwd=tmp_path,
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        error = json.loads(second.stderr.splitlines()[-1])["error"]
        assert (second.returncode, error["code"]) == (4, "DATA_DIR_IN_USE")
        assert str(served.process.pid) in error["message"]
        third = subprocess.run(
            [sys.executable, "-m", "service", "serve", "--port", served.address.rpartition(":")[2]],
            env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), cwd=tmp_path,
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert json.loads(third.stderr.splitlines()[-1])["error"]["code"] == "PORT_IN_USE"


def _hanging_run(served: Served, listener: Any) -> tuple[str, list[int]]:
    """Start a run whose source accepts the connection and never answers."""
    port = listener.getsockname()[1]
    document = {
        "name": "slow",
        "collectors": [
            {"type": "api", "endpoint": f"http://127.0.0.1:{port}/x", "headers": {"X-Key": "${SOURCE_KEY}"}}
        ],
    }
    served.json("POST", "/pipeline/create", status=201, json=document)
    run = served.json("POST", "/pipeline/slow/execute?wait=0", status=202)
    connection, _ = listener.accept()
    with connection:
        request = connection.recv(65536)
        assert SECRET.encode() in request
    return run["run_id"], children_of(served.process.pid)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_the_service_ends_under(tmp_path: Path, ending: signal.Signals) -> None:
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
            "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "PENSTOCK_SECRET_SOURCE_KEY": SECRET,
        }
        with serving(data, **settings) as served:
            served.login()
            upload_and_create(served)
            served.json("POST", "/pipeline/cities/execute?wait=30")
            run_id, below = _hanging_run(served, listener)
            os.kill(served.process.pid, ending)
            _, logged = served.process.communicate(timeout=30)
            assert served.process.returncode == (0 if ending is signal.SIGTERM else -signal.SIGKILL)
            assert SECRET not in logged
            lines = [json.loads(line) for line in logged.splitlines()]
            assert any(line.get("run_id") == run_id and line["event"] == "run.started" for line in lines)
    for pid in below:  # they die with their parent
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                assert select.select([descriptor], [], [], 10)[0], f"{pid} is still there"
            finally:
                os.close(descriptor)
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        run = served.json("GET", f"/runs/{run_id}")
        assert (run["status"], run["version"]) == ("interrupted", None)
        assert run["error"]["message"]
        assert served.json("GET", "/pipeline/cities/data")["total_rows"] == 3
        assert not list((data / "warehouse" / ".staging").iterdir())
        assert SECRET not in served.http.get(f"/runs/{run_id}/logs").text


def test_a_request_has_one_id_from_the_answer_to_the_log(tmp_path: Path) -> None:
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        upload_and_create(served)
        answer = served.http.post("/pipeline/cities/execute?wait=30", headers={"x-request-id": "my-request-1"})
        assert answer.headers["x-request-id"] == "my-request-1"
        run_id = answer.json()["run_id"]
        lines = served.log()
    assert [line["event"] for line in lines if line.get("request_id") == "my-request-1"][-1] == "request.finished"
    of_run = [line["event"] for line in lines if line.get("run_id") == run_id]
    assert of_run[0] == "run.started"
    assert "collector.finished" in of_run  # said by the worker
    assert PASSWORD not in json.dumps(lines)
