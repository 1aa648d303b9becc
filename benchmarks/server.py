"""A real ``penstock serve`` on a free loopback port, and the few calls that the questions make."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import measure

_PASSWORD = "benchmark-password-1"
_ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS = 120


class Service:
    """A running service: its process id, its API as the admin, and its data directory."""

    def __init__(self, pid: int, address: str, data: Path) -> None:
        self.pid, self.address, self.data = pid, address, data
        self._token = ""

    @property
    def headers(self) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {"Content-Type": "application/json"} | token

    def login(self) -> None:
        answer = self.call("POST", "/auth/token", {"username": "admin", "password": _PASSWORD})
        self._token = answer["access_token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer of an API route; an error answer is raised as ``measure.Failed`` with its text."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/v1{path}", data, self.headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise measure.Failed(f"{method} {path}: {error.code} {error.read().decode()[:2000]}") from error

    def execute(self, name: str) -> dict[str, Any]:
        """Run a pipeline to its end; raises ``measure.Failed`` where it did not complete."""
        run: dict[str, Any] = self.call("POST", f"/pipeline/{name}/execute?wait=300")
        while run["status"] in ("queued", "running", "retrying"):
            time.sleep(0.25)  # seldom: a long run is not to pay for being asked
            run = self.call("GET", f"/runs/{run['run_id']}")
        if run["status"] != "completed":
            raise measure.Failed(f"the run of {name} is {run['status']}: {json.dumps(run['error'])}")
        return run

    def settle(self, name: str) -> None:
        """Return when nothing of the pipeline's newest run is still on its way."""
        newest = self.call("GET", f"/pipeline/{name}/runs?limit=1")["items"][0]
        while any(stored["state"] == "loading" for stored in newest["storage"]):
            time.sleep(0.02)
            newest = self.call("GET", f"/runs/{newest['run_id']}")

    def sql(self, text: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.call("POST", "/query", {"sql": text})["data"]
        return rows


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running(files: Path, settings: Mapping[str, str] | None = None) -> Iterator[Service]:
    """A fresh service over an empty data directory that may read ``files``; stopped and swept away at the end.

    ``settings`` are more variables of its environment.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-bench-", dir=files) as folder:
        port, log = free_port(), Path(folder) / "service.log"
        environment = os.environ | {
            "PENSTOCK_ADMIN_PASSWORD": _PASSWORD,
            "PENSTOCK_FILE_ROOTS": str(files),
            "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "PENSTOCK_RATE_LIMIT_PER_MINUTE": "1000000",
            "PENSTOCK_LOG_LEVEL": "warning",
            **(settings or {}),
        }
        command = [sys.executable, "-m", "service", "serve", "--port", str(port), "--data-dir", f"{folder}/data"]
        with log.open("wb") as out:
            child = subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=out, stderr=out)
        try:
            service = Service(child.pid, f"http://127.0.0.1:{port}", Path(folder) / "data")
            deadline = time.monotonic() + _READY_SECONDS
            while not _answers(service.address):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise measure.Failed(f"the service does not come up: {log.read_text()[-2000:]}")
                time.sleep(0.02)
            service.login()
            yield service
        finally:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
