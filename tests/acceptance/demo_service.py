"""A real ``penstock demo --serve`` over an empty folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance import documents, service
from tests.acceptance.served import PATIENCE, Lines

COMMAND = (sys.executable, "-m", "service", "demo", "--serve", "--port", "0")
_SESSION = "/api/v1/auth/session/link"
_MARK = "/console/#sign-in="


class Demo:
    """A demo that serves the console: its address, its link, and what it printed."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out, self.err = Lines(process.stdout, folder / "out"), Lines(process.stderr, folder / "err")
        assert self.out.until(lambda said: any("Ctrl-C" in line for line in said)), self.out.tail + self.err.tail
        (self.link,) = [line.strip() for line in self.out.said if _MARK in line]
        self.address, _, self.token = self.link.partition(_MARK)

    def sign_in(self) -> httpx.Response:
        return httpx.post(
            f"{self.address}{_SESSION}", json={"token": self.token}, headers={"X-Penstock-CSRF": "1"}, timeout=PATIENCE,
            trust_env=False,
        )  # fmt: skip

    def get(self, path: str, token: str) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(f"{self.address}/api/v1{path}", headers=headers, timeout=PATIENCE, trust_env=False).json()


@contextmanager
def demo(folder: Path, command: Sequence[str] = COMMAND) -> Iterator[Demo]:
    """The command in an empty folder, as a newcomer gives it (without a terminal it opens no browser)."""
    process = subprocess.Popen(
        command,
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Demo(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
