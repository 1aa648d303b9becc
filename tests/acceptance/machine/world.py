"""A real service with a clock and sources that a test controls; it may die and come again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance import service
from tests.acceptance.kills import failpoints
from tests.acceptance.machine.model import Rows
from tests.acceptance.served import PASSWORD, Served, serving
from tests.unit.network import site
from tests.unit.network.site import Hit, Reply

PATIENCE = 60.0


class Sources:
    """The rows of each pipeline by its name; a source that is held answers when it is let go."""

    def __init__(self) -> None:
        self.rows: dict[str, Rows] = {}
        self._held: dict[str, threading.Event] = {}
        self._asked = threading.Condition()
        self._hits: dict[str, int] = {}

    def __call__(self, hit: Hit) -> Reply:
        name = hit.path.removeprefix("/")
        with self._asked:
            self._hits[name] = self._hits.get(name, 0) + 1
            self._asked.notify_all()
            held = self._held.get(name)
        if held is not None:
            held.wait(PATIENCE)
        return Reply.json([{"id": key, "v": value} for key, value in self.rows[name]])

    def hold(self, name: str) -> int:
        """Let the source of a pipeline wait with its answer. Returns how often it was asked before."""
        self._held[name] = threading.Event()
        return self._hits.get(name, 0)

    def wait_until_asked(self, name: str, before: int) -> None:
        with self._asked:
            assert self._asked.wait_for(lambda: self._hits.get(name, 0) > before, PATIENCE), "it was not asked"

    def let_go(self, name: str) -> None:
        self._held.pop(name).set()


class World:
    """The service over one data directory, which serves all examples."""

    def __init__(self, folder: Path) -> None:
        self.data, self.backups, self._clock = folder / "data", folder / "backups", folder / "ahead"
        self._began = (time.time() // 3600 + 1) * 3600 + 60  # a minute past the next hour
        self.sources, self.hours, self.examples = Sources(), 0, 0
        self.is_due = False  # whether an hour has passed since retention looked at all pipelines
        self._set_clock()
        self._around, self._service = ExitStack(), ExitStack()
        self.source = self._around.enter_context(site.serving(self.sources)).address
        self.served = self.start()

    def start(self) -> Served:
        environment = {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "PENSTOCK_RATE_LIMIT_PER_MINUTE": "1000000", "SETTABLE_CLOCK": str(self._clock),
            "PENSTOCK_SCRUB_MIB_PER_SECOND": "0",
        }  # fmt: skip
        self.served = self._service.enter_context(
            serving(self.data, module="tests.acceptance.machine.settable", **environment)
        )
        self.served.login()
        return self.served

    def kill(self) -> None:
        """End the service without warning, and start the next one."""
        self.served.process.kill()
        self._service.close()
        self.start()

    def kill_worker(self) -> None:
        """End all workers of the service."""
        failpoints.kill(self.served.process.pid, "worker")

    def pass_an_hour(self) -> None:
        """Let the clock show a minute past the next hour, so that one full hour comes and no other is near."""
        self.hours += 1
        self._set_clock()
        if self.hours % 20 == 0:  # before the token expires
            self.served.login()

    def _set_clock(self) -> None:
        fresh = self._clock.with_suffix(".new")
        fresh.write_text(str(self._began + self.hours * 3600 - time.time()))
        fresh.replace(self._clock)

    def ask(self, method: str, path: str, status: int = 200, **request: Any) -> Any:
        """The answer of the service. Reading is tried again if its query worker was killed under it."""
        answer = self.send(method, path, **request)
        while method == "GET" and answer.status_code == 503:
            answer = self.send(method, path, **request)
        assert answer.status_code == status, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self.served.http.request(method, path, **request)

    def unsound(self) -> list[str]:
        """What ``verify --deep`` finds in the data and in the newest backup, after the service has ended."""
        restored = self.data.with_name("restored")
        commands = [("verify", "--deep", "--data-dir", str(self.data))]
        if self.backups.exists():
            commands.append(("restore", str(self.backups), "--data-dir", str(restored)))
            commands.append(("verify", "--deep", "--data-dir", str(restored)))
        ended = [service.penstock(*command) for command in commands]
        return [f"{end.args}: {end.stdout}{end.stderr}" for end in ended if end.returncode]

    def close(self) -> None:
        self._service.close()
        self._around.close()


def soon(look: Callable[[], Any], expected: Any) -> None:
    """Wait until a look shows what is expected; that is what a task of the service does meanwhile."""
    deadline, pause = time.monotonic() + PATIENCE, 0.005
    while (found := look()) != expected and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(0.2, pause * 1.5)
    assert found == expected, f"{found} is not {expected}"
