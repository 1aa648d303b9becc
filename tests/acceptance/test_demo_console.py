"""``penstock demo --serve``: from an empty directory to a page that is signed in, and the same data the second time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance import documents, service
from tests.acceptance.served import PATIENCE, Lines

_SESSION = "/api/v1/auth/session/link"
_MARK = "/console/#sign-in="


class Demo:
    """A demo that serves the console: its address, the token of its link, and what it printed."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out, self.err = Lines(process.stdout, folder / "out"), Lines(process.stderr, folder / "err")
        assert self.out.until(lambda said: any("Ctrl-C" in line for line in said)), self.out.tail + self.err.tail
        (line,) = [line.strip() for line in self.out.said if _MARK in line]
        self.address, _, self.token = line.partition(_MARK)

    def sign_in(self) -> httpx.Response:
        return httpx.post(
            f"{self.address}{_SESSION}", json={"token": self.token}, headers={"X-Penstock-CSRF": "1"}, timeout=PATIENCE,
            trust_env=False,
        )  # fmt: skip

    def get(self, path: str, token: str) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(f"{self.address}/api/v1{path}", headers=headers, timeout=PATIENCE, trust_env=False).json()


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    """The command in an empty folder, as a newcomer gives it (without a terminal it opens no browser)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "demo", "--serve", "--port", "0"],
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Demo(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_the_console_opens_on_the_same_data_each_time(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        answer = first.sign_in()
        assert answer.status_code == 200, answer.text
        access = answer.json()["access_token"]
        assert first.sign_in().status_code == 401
        (shop,) = first.get("/overview", access)["items"]
        assert (shop["name"], shop["status"], shop["rows"]) == ("shop", "completed", 4920)
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(PATIENCE) == 0
        assert "Traceback" not in "".join(first.err.all())
        assert first.token not in "".join(first.err.said)
    with demo(tmp_path) as second:
        assert second.token != first.token
        access = second.sign_in().json()["access_token"]
        assert len(second.get("/pipeline/shop/versions", access)["items"]) == 1
        assert second.get("/overview", access)["total"] == 1
        ran = httpx.post(  # the shop is still there
            f"{second.address}/api/v1/pipeline/shop/execute?wait=30",
            headers={"authorization": f"Bearer {access}"}, timeout=PATIENCE, trust_env=False,
        )  # fmt: skip
        assert ran.json()["status"] == "completed", ran.text
