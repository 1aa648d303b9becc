"""The processes of the installation: each may be killed, frozen, cut off from the catalog, and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance import documents, service
from tests.acceptance.served import children_of
from tests.cluster.tcp_proxy import TcpProxy

PATIENCE = 120.0
"""Seconds that any one thing may take on a busy machine."""


class Member:
    """A process, and those that follow it under its name. ``catalog`` is between it and PostgreSQL."""

    def __init__(
        self, folder: Path, name: str, command: Sequence[str], environment: Mapping[str, str], catalog: TcpProxy
    ) -> None:
        self.name = name
        self._command = command
        self.catalog = catalog
        self.address = ""
        self.data = folder / name
        self.log = folder / f"{name}.log"
        self.environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._listens = threading.Event()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def spawn(self) -> None:
        """Start a process; ``ready`` waits for it."""
        self._listens.clear()
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service", *self._command, "--data-dir", str(self.data)],
                env=service.clean_environment(PYTHONPATH=str(documents.ROOT), **self.environment),
                cwd=self.data.parent, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                address = next((word for word in line.split() if word.startswith("http://")), None)
                if address is not None and process is self._process:
                    self.address = address
                    self._listens.set()

    def ready(self, seconds: float = PATIENCE) -> float:
        """Wait until it says that it is ready. Returns after how many seconds."""
        began = time.monotonic()
        while True:
            left = began + seconds - time.monotonic()
            assert self._process is not None
            assert self._process.poll() is None, f"{self.name} ended with {self._process.returncode}:\n{self.tail()}"
            assert left > 0, f"{self.name} is not ready after {seconds:g} s:\n{self.tail()}"
            if self._listens.wait(min(left, 0.2)) and self._says_ready():
                return time.monotonic() - began
            time.sleep(0.05)

    def _says_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.address}/health/ready", timeout=10, trust_env=False).status_code == 200
        return False

    def end(self, how: signal.Signals) -> None:
        """Send it ``how``, and wait until it is gone."""
        assert self._process is not None
        self._listens.clear()
        self._process.send_signal(how)
        self._process.wait(PATIENCE)

    def kill(self) -> None:
        """End it, if it is there."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of it goes on in the context, nor do its children, as when its host stands still."""
        frozen = [self.pid, *children_of(self.pid)]
        for pid in frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(frozen):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def tail(self) -> str:
        return "".join(self.log.read_text().splitlines(keepends=True)[-20:])


class Callers:
    """Asks whichever API process lives, and repeats what got no answer, or one that says "try again"."""

    def __init__(self, members: list[Member]) -> None:
        self._members = members
        self._http = httpx.Client(timeout=PATIENCE, trust_env=False, limits=httpx.Limits(max_connections=None))
        self.token = ""
        self.refused: dict[str, int] = {}
        """How many answers had each code."""
        self._lock = threading.Lock()

    def close(self) -> None:
        self._http.close()

    def once(self, member: Member, method: str, path: str, **request: Any) -> httpx.Response | None:
        """The answer of a process, or None if there came none."""
        headers = dict(request.pop("headers", {}))
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        try:
            return self._http.request(method, f"{member.address}/api/v1{path}", headers=headers, **request)
        except (httpx.HTTPError, httpx.InvalidURL):
            self._note("no answer")
            return None

    def ask(self, member: Member, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer of ``member``, or another process, that is no refusal for a while."""
        deadline = time.monotonic() + PATIENCE
        start = self._members.index(member)
        said = "no answer"
        for number in range(1_000_000):
            assert time.monotonic() < deadline, f"{method} {path}: {said} for {PATIENCE:g} s"
            asked = self._members[(start + number) % len(self._members)]
            answer = self.once(asked, method, path, **request)
            if answer is not None:
                said = code_of(answer)
                if not self.is_refusal(answer):
                    return answer
            time.sleep(0.1)
        raise AssertionError

    def is_refusal(self, answer: httpx.Response) -> bool:
        """Whether an answer is an error that the documentation has for a catalog or a store that is away."""
        code = code_of(answer)
        if answer.status_code == 503 and code in ("CATALOG_UNAVAILABLE", "STORE_UNAVAILABLE", "OVERLOADED"):
            self._note(code)
            return True
        return False

    def _note(self, code: str) -> None:
        with self._lock:
            self.refused[code] = self.refused.get(code, 0) + 1


def code_of(answer: httpx.Response) -> str:
    """The error code of an answer; its status if it is not one of our errors."""
    if answer.status_code < 400:
        return str(answer.status_code)
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:100]}"
