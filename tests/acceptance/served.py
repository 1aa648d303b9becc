"""A real ``penstock serve`` and a client that is logged in.

What the service writes is read by a thread for each of its streams, from the first line to the last: a service whose
pipe nobody empties stands still when it is full. The lines are kept as a file beside the data directory too, and the
last of them are in the message of whatever goes wrong, so that a failure on another machine says why.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import httpx

from service.client import Penstock
from tests.acceptance import documents, service

PASSWORD = "a long pass phrase"
CSV = "id,city\n1,Bern\n2,Rome\n3,\n"
PATIENCE = 60.0  # seconds that any one thing may take on a busy machine; nothing waits so long where it works
TAIL = 40


def least(seconds: Callable[[], float], bound: float) -> float:
    """The least of up to five measurements, until one is below ``bound``: others on the machine may hold up any one."""
    found = seconds()
    for _ in range(4):
        if found < bound:
            break
        found = min(found, seconds())
    return found


class Lines:
    """What a stream has said so far; ``kept`` gets a copy. Waits for a line without looking for it again and again."""

    def __init__(self, stream: IO[str], kept: Path) -> None:
        self.said: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream, kept), daemon=True)
        self._thread.start()

    def _read(self, stream: IO[str], kept: Path) -> None:
        with stream, kept.open("a") as copy:
            for line in stream:
                copy.write(line)
                copy.flush()
                with self._news:
                    self.said.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def until(self, there: Callable[[list[str]], bool]) -> bool:
        """Wait until ``there`` holds for the lines so far; false where the stream ended (or patience) without."""
        with self._news:
            self._news.wait_for(lambda: self._ended or there(self.said), PATIENCE)
            return there(self.said)

    def all(self) -> list[str]:
        """Every line, when the process has ended and its children with it."""
        self._thread.join(PATIENCE)
        assert self._ended, "somebody still holds the stream of a service that has ended"
        return self.said

    @property
    def tail(self) -> str:
        return "".join(self.said[-TAIL:])


class Served:
    """A running service and a client that is logged in."""

    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process, self.data, self.address = process, data, ""
        self.out = Lines(process.stdout, data.parent / f"{data.name}.out")
        self.err = Lines(process.stderr, data.parent / f"{data.name}.log")
        self.http = httpx.Client(timeout=PATIENCE, trust_env=False)
        self.secrets: set[str] = set()

    def announced(self, lines: int) -> None:
        """Wait until it said where it listens, in so many lines."""
        said = self.out.until(lambda said: len(said) >= lines)
        assert said, f"it did not start:\n{self.out.tail}{self.err.tail}"
        self.address = next(word for word in " ".join(self.out.said).split() if word.startswith("http://"))
        self.http.base_url = f"{self.address}/api/v1"

    def login(self, password: str = PASSWORD) -> dict[str, Any]:
        pair: dict[str, Any] = self.json("POST", "/auth/token", json={"username": "admin", "password": password})
        self.http.headers["authorization"] = f"Bearer {pair['access_token']}"
        self.secrets |= {password, pair["access_token"], pair["refresh_token"]}
        return pair

    def client(self) -> Penstock:
        """A client of the API with the token of the log-in."""
        token = self.http.headers["authorization"].removeprefix("Bearer ")
        return Penstock(self.address, token=token, timeout=PATIENCE, retries=0)

    def json(self, method: str, path: str, *, status: int = 200, **request: Any) -> Any:
        try:
            answer = self.http.request(method, path, **request)
        except httpx.HTTPError as error:
            error.add_note(f"the service (it ended with {self.process.poll()}) said last:\n{self.err.tail}")
            raise
        assert answer.status_code == status, f"{answer.text}\nthe service said last:\n{self.err.tail}"
        return answer.json()

    def ended(self) -> int:
        """Wait for the end of the process; answers its exit code."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            error.add_note(f"the service said last:\n{self.err.tail}")
            raise

    def log(self) -> list[dict[str, Any]]:
        """End the service and read what it logged."""
        self.process.send_signal(signal.SIGTERM)
        self.ended()
        return self.logged()

    def logged(self) -> list[dict[str, Any]]:
        """All that a service which has ended did log."""
        return [json.loads(line) for line in self.err.all()]

    def until_logged(self, there: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """What it logged until ``there`` holds for one line."""
        read: list[dict[str, Any]] = []

        def come(said: list[str]) -> bool:
            read.extend(json.loads(line) for line in said[len(read) :])
            return any(map(there, read))

        assert self.err.until(come), f"that was not logged:\n{self.err.tail}"
        return read


@contextlib.contextmanager
def serving(
    data: Path, *flags: str, path: str = str(documents.ROOT), module: str = "service", **environment: str
) -> Iterator[Served]:
    """The service over ``data``, ready; it is killed in the end if it still runs."""
    with listening(data, *flags, path=path, module=module, **environment) as served:
        assert served.http.get(f"{served.address}/health/ready").json()["status"] == "ready"
        yield served


@contextlib.contextmanager
def listening(
    data: Path, *flags: str, path: str = str(documents.ROOT), module: str = "service", **environment: str
) -> Iterator[Served]:
    """As ``serving``, whether the service is ready or not."""
    first = "PENSTOCK_ADMIN_PASSWORD" not in environment and not data.exists()
    process = spawned(data, *flags, path=path, module=module, **environment)
    with listening_as(process, data, lines=2 if first else 1) as served:  # the second line shows a first password
        yield served


def spawned(
    data: Path, *flags: str, path: str = str(documents.ROOT), module: str = "service",
    command: Sequence[str] = ("serve", "--port", "0"), **environment: str,
) -> subprocess.Popen[str]:  # fmt: skip
    """The process of a service over ``data``."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *command, "--data-dir", str(data), *flags],
        env=service.clean_environment(PYTHONPATH=path, **environment), cwd=data.parent,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@contextlib.contextmanager
def listening_as(process: subprocess.Popen[str], data: Path, lines: int = 1) -> Iterator[Served]:
    """The service of a process, as soon as it listens; it is killed in the end if it still runs."""
    try:
        served = Served(process, data)
        with served.http:
            served.announced(lines)
            yield served
            told = [line for line in served.err.said if any(secret in line for secret in served.secrets)]
            assert not told, f"a secret in the log: {told[0]}"
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def wait_for_port(process: subprocess.Popen[str], port: int) -> None:
    """Connect until the process listens, without a pause between the tries."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            return
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < deadline, "it does not listen"


def upload_and_create(served: Served, name: str = "cities", **more: Any) -> None:
    assert served.http.put("/files/cities.csv", content=CSV.encode()).status_code in (200, 201)
    document = {"name": name, "collectors": [{"type": "csv", "file_path": "cities.csv"}], **more}
    served.json("POST", "/pipeline/create", status=201, json=document)


def staged(data: Path) -> list[Path]:
    """What is in staging. The folder of a worker that waits for more work holds an empty file, and empty folders."""
    found: list[Path] = []
    for folder in (data / "warehouse" / ".staging").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a worker that ends just now
            if folder.name.startswith("worker_"):
                inside = [path for path in folder.rglob("*") if path.is_file()]
                found += [path for path in inside if path.name != ".stderr" or path.stat().st_size]
            else:
                found.append(folder)
    return found


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


def loaded(served: Served, name: str = "cities") -> bool:
    """Whether the newest version is there in all its forms, when they had time to become so."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        newest = served.json("GET", f"/pipeline/{name}/runs?status=completed&limit=1")["items"][0]
        if [stored["state"] for stored in newest["storage"]] == ["ready", "ready"]:
            return True
    return False
