"""The work of the installation: 40 pipelines of all modes, executed by clients that never do without an answer.

A request that a kill cut off is sent again under its idempotency key, to whichever API process lives.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from service.model.lifecycle import ENDED
from tests.cluster.installation import Installation
from tests.cluster.members import PATIENCE, Member, code_of

PIPELINES = 40
_CLIENTS = 8
_CANCELLED_SHARE = 0.06
_EXECUTION = {"max_attempts": 20, "retry_delay_seconds": 0.1}
_INCREMENTAL = {"cursor_field": "id", "param": "since", "primary_key": "id"}


class Kind(NamedTuple):
    """What pipelines of a kind are like: how their names begin, and how many there are of 40."""

    name: str
    share: int


REPLACED, APPENDED, POLLED = Kind("replaced", 20), Kind("appended", 8), Kind("polled", 4)
SCHEDULED, FOLLOWING = Kind("scheduled", 4), Kind("following", 4)
EXECUTED = (REPLACED, APPENDED, POLLED)


def names(kind: Kind, pipelines: int) -> list[str]:
    """The names of the pipelines of a kind, where there are ``pipelines`` in all."""
    return [f"{kind.name}{number}" for number in range(max(1, kind.share * pipelines // PIPELINES))]


class Asked(NamedTuple):
    """A run that a client asked for under ``key``, and the status that it was last seen with."""

    key: str
    run_id: str
    pipeline: str
    status: str
    version: int | None


class Work:
    """Creates pipelines and executes them ``runs`` times. ``asked`` has what became of each."""

    def __init__(self, at: Installation, pipelines: int, runs: int, seed: int) -> None:
        self.asked: list[Asked] = []
        self.faults: list[str] = []
        self.newest: dict[str, int] = {}
        """The newest version of each pipeline that somebody was told of."""
        self._at = at
        self._pipelines = pipelines
        self._runs = runs
        self._seed = seed
        self._numbers = iter(range(runs))
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.started = 0
        """How many runs were acknowledged."""
        self.bound = runs
        """No more than these are begun for now, so that whoever kills somebody finds work."""

    def create(self) -> None:
        """Make the pipelines."""
        for document in self._documents():
            more = {"retention": {"versions": "all"}, "execution": _EXECUTION}
            answer = self._at.callers.ask(self._at.apis[0], "POST", "/pipeline/create", json={**document, **more})
            assert answer.status_code == 201, answer.text

    def _documents(self) -> Iterator[dict[str, Any]]:
        for name in names(REPLACED, self._pipelines):
            yield self._document(name)
        for name in names(APPENDED, self._pipelines):
            yield self._document(name, storage=[{"type": "parquet", "mode": "append"}])
        for name in names(POLLED, self._pipelines):
            yield self._document(name, "poll", incremental=_INCREMENTAL)
        for name in names(SCHEDULED, self._pipelines):
            yield self._document(name) | {"schedule": {"cron": "* * * * *"}}
        for number, name in enumerate(names(FOLLOWING, self._pipelines)):
            before = f"{REPLACED.name}{number}"
            collectors = [{"type": "pipeline", "name": before}]
            yield self._document(name) | {"collectors": collectors, "trigger": {"after": [before]}}

    def _document(
        self, name: str, path: str = "batch", storage: list[dict[str, Any]] | None = None, **collector: Any
    ) -> dict[str, Any]:
        endpoint = f"{self._at.source.address}/{path}/{name}"
        collectors = [{"type": "api", "endpoint": endpoint, "retry": {"max_attempts": 1}, **collector}]
        return {"name": name, "collectors": collectors, "storage": storage or [{"type": "parquet"}]}

    def start(self) -> None:
        """Let the clients begin. Each has pipelines of its own."""
        executed = [name for kind in EXECUTED for name in names(kind, self._pipelines)]
        for number in range(min(_CLIENTS, len(executed))):
            chance, mine = random.Random(self._seed * 1000 + number), executed[number::_CLIENTS]
            thread = threading.Thread(target=self._guarded, args=(chance, itertools.cycle(mine)), daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def ended(self) -> bool:
        """Whether the clients have done all they had to."""
        return not any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _guarded(self, chance: random.Random, mine: Iterator[str]) -> None:
        try:
            while True:
                with self._lock:
                    number = next(self._numbers, None)
                if number is None:
                    return
                while number > self.bound:
                    time.sleep(0.05)
                self._one(f"{self._seed}-{number}", next(mine), chance)
        except BaseException as error:
            self.faults.append(f"a client: {error!r}")
            raise

    def _one(self, key: str, name: str, chance: random.Random) -> None:
        """Execute a pipeline, and follow the run to its end at other processes."""
        run = self._executed(key, name, chance)
        run_id, cancelled = run["run_id"], False
        if chance.random() < _CANCELLED_SHARE:
            time.sleep(chance.random())
            answer = self._at.callers.ask(self._any(chance), "POST", f"/runs/{run_id}/cancel")
            cancelled = answer.status_code == 202 and answer.json()["status"] == "cancelled"
        deadline = time.monotonic() + 2 * PATIENCE
        while run["status"] not in ENDED:
            if time.monotonic() > deadline:
                self.faults.append(f"{run_id} of {name} does not end: {run['status']}, attempt {run['attempt']}")
                break
            self._at.callers.once(self._any(chance), "GET", f"/runs/{run_id}/events")  # ends with the run
            run = self._at.callers.ask(self._any(chance), "GET", f"/runs/{run_id}").json()
        if cancelled and run["status"] != "cancelled":
            self.faults.append(f"{run_id} of {name} was cancelled, and is {run['status']}")
        with self._lock:
            self.asked.append(Asked(key, run_id, name, run["status"], run["version"]))
            if run["version"] is not None:
                self.newest[name] = max(self.newest.get(name, 0), run["version"])

    def _executed(self, key: str, name: str, chance: random.Random) -> dict[str, Any]:
        """The acknowledged run. Some requests are sent twice: both name one run."""
        found: list[dict[str, Any]] = []
        wait = chance.choice((0, 0, 5))
        twice = chance.random() < 0.2
        deadline = time.monotonic() + 2 * PATIENCE
        while len(found) <= twice:
            assert time.monotonic() < deadline, f"{name} is always running"
            answer = self._at.callers.ask(
                self._any(chance), "POST", f"/pipeline/{name}/execute?wait={wait}", headers={"Idempotency-Key": key}
            )
            if answer.status_code in (200, 202):
                found.append(answer.json())
            elif code_of(answer) == "PIPELINE_RUNNING":  # one that its trigger or its schedule began
                time.sleep(0.2)
            else:
                raise AssertionError(f"execute of {name}: {answer.status_code} {answer.text}")
        if len({run["run_id"] for run in found}) > 1:
            self.faults.append(f"the key {key} made {[run['run_id'] for run in found]}")
        with self._lock:
            self.started += 1
        return found[-1]

    def _any(self, chance: random.Random) -> Member:
        return chance.choice(self._at.apis)


Told = Callable[[str], None]
"""Tells people something."""
