"""A campaign: one data directory, one service after another, killed at its steps and at any time, checked each time."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from service.model.lifecycle import ENDED
from tests.acceptance import documents, service
from tests.acceptance.kills.failpoints import ARMED, RECOVERING, VARIABLE, Page, kill
from tests.acceptance.kills.invariants import Ledger, Snapshot, content_faults, folder_faults, newest_of
from tests.acceptance.kills.workload import Gate, Source, Work
from tests.acceptance.served import PASSWORD, Served, listening
from tests.unit.network import site

ANY_TIME = "at any time"
SERVER = ("server", "server+forkserver", "server+worker")
WORKER = ("worker", "forkserver", "server", "server+worker", "server+forkserver")
_RUNS_OUT = 12.0  # seconds after which a step that is not met is tried another time
_PATIENCE = 60.0
_TRIES = 3
_SHORT = 3.0
WORKING = ("queued", "running", "retrying")
_FACTOR = "30"  # seconds of the service's clock in one


@dataclass
class Tally:
    """How many kills there were, of whom and where; ``missed`` are steps that were not met again."""

    victims: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    missed: set[str] = field(default_factory=set)

    @property
    def kills(self) -> int:
        return self.victims.total()

    def add(self, place: str, victims: str) -> None:
        self.victims[victims] += 1
        self.places[place] += 1


class Violation(AssertionError):
    """An invariant does not hold."""


class Campaign:
    """``run`` kills until enough is killed. Raises ``Violation`` with the seed and the step."""

    def __init__(self, folder: Path, seed: int, record_seconds: float, say: Any = print) -> None:
        self._folder, self._seed, self._record_seconds, self._say = folder, seed, record_seconds, say
        self._random = random.Random(seed)
        self._page = Page(folder)
        self._data, self._backups = folder / "data", folder / "backups"
        self._ledger, self._gate, self.tally = Ledger(), Gate(), Tally()
        self._tries: Counter[str] = Counter()
        self._service: ExitStack | None = None
        self._served: Served | None = None
        self._snapshot = Snapshot.empty()
        self._is_frozen = False  # whether nobody has asked for anything since the snapshot
        self._last = "the start"

    def run(self, kills: int, steps: int | None = None) -> Tally:
        """Kill ``kills`` times or more, a quarter of them at any time, the others at steps: at all, or ``steps``."""
        feed = Source()
        with site.serving(feed) as there:
            self._work = Work(self._gate, there.address, feed, str(self._backups), self._seed)
            try:
                self._came_up()
                self._open()
                self._work.create()
                self._work.start()
                time.sleep(self._record_seconds)
                while self.tally.kills < kills or (steps is None and self._steps()):
                    self._next(steps)
                self._finish()
            finally:
                self._work.join()
                if self._service is not None:
                    self._service.close()
        return self.tally

    def steps(self) -> list[str]:
        """All steps that were met so far."""
        return sorted(set((self._folder / "steps").read_text().splitlines()))

    def _steps(self) -> list[str]:
        """The steps at which nobody was killed yet. What a service does at any time is no step of its recovery."""
        steps = self.steps()
        done = {*self.tally.places, *self.tally.missed}
        return [s for s in steps if s not in done and not (RECOVERING in s and s.replace(RECOVERING, "") in steps)]

    def _next(self, most: int | None) -> None:
        began = time.monotonic()
        left, at_random = self._steps(), self.tally.places[ANY_TIME]
        enough = most is not None and self.tally.kills - at_random >= most
        if not left or enough or at_random * 4 <= self.tally.kills:
            self._kill_at_any_time()
        else:
            self._kill_at(self._random.choice(left))
        self._say(f"{self.tally.kills:4} {time.monotonic() - began:5.1f} s  {self._last}")

    def _kill_at_any_time(self) -> None:
        victims = self._random.choice([*SERVER, *WORKER])
        self._last = f"{victims} {ANY_TIME}"
        time.sleep(self._random.uniform(0.05, 2.0))
        assert self._served is not None
        kill(self._served.process.pid, victims)
        self.tally.add(ANY_TIME, victims)
        self._recover(victims)

    def _kill_at(self, point: str) -> None:
        victims = self._random.choice(WORKER if "worker " in point else SERVER)
        self._last = f"{victims} {point}"
        if RECOVERING in point:
            victims = "server"
            self._die_somewhere()
            self._page.arm(point, victims)
            met = not self._came_up()
        else:
            self._page.arm(point, victims)
            met = self._is_met()
        met = met or not self._page.disarm()
        if met:
            self.tally.add(point, victims)
        else:
            self._tries[point] += 1
            if self._tries[point] == _TRIES:
                self.tally.missed.add(point)
            self._last += " (not met)"
        if met or RECOVERING in point:
            self._recover(victims if met else "nobody")

    def _die_somewhere(self) -> None:
        """End the service at a step of its work, so that the next one has something to recover."""
        assert self._served is not None
        self._page.arm(self._random.choice([s for s in self.steps() if RECOVERING not in s]), "server")
        if not self._is_met(_SHORT):
            kill(self._served.process.pid, "server")
        self.tally.add(ANY_TIME, "server")
        self._end()

    def _is_met(self, seconds: float = _RUNS_OUT) -> bool:
        """Wait until the step that is armed was met."""
        deadline = time.monotonic() + seconds
        while self._page.state == ARMED and time.monotonic() < deadline:
            time.sleep(0.005)
        return self._page.state != ARMED

    # the service

    def _came_up(self) -> bool:
        """Start a service. Returns false if it died at the step that was armed."""
        self._page.is_serving, armed = False, self._page.state == ARMED
        around = ExitStack()
        try:
            self._served = around.enter_context(
                listening(self._data, module="tests.acceptance.kills.victim", **self._environment())
            )
        except AssertionError as error:
            around.close()
            if armed and self._page.state != ARMED:
                self._page.rest()
                return False
            raise Violation(f"seed {self._seed}, after {self._last} the service does not start: {error}") from error
        self._page.is_serving, self._service = True, around
        if armed and self._page.state != ARMED:  # it had just announced itself
            self._served.process.wait(_PATIENCE)
            self._end()
            return False
        self._served.login()
        return True

    def _environment(self) -> dict[str, str]:
        return {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_MAX_CONCURRENT_RUNS": "2",
            "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_RATE_LIMIT_PER_MINUTE": "1000000",
            "HURRIED_FACTOR": _FACTOR, "HURRIED_CLOCK": str(self._folder / "clock"), VARIABLE: str(self._folder),
        }  # fmt: skip

    def _end(self) -> None:
        """Wait for the end of a killed service, and look at what it left."""
        assert self._served is not None
        assert self._service is not None
        self._served.process.wait(_PATIENCE)
        self._page.rest()
        self._gate.close(_PATIENCE)
        self._service.close()
        self._service = None
        self._snapshot = Snapshot.of(self._data, self._folder / "catalog")
        self._require(self._ledger.catalog_faults(self._snapshot, self._work))
        self._is_frozen = True

    def _recover(self, victims: str) -> None:
        """After a kill: start the next service if this one is dead, let everything end, and check."""
        if self._service is not None:
            if "server" in victims.split("+"):
                self._end()
            elif not self._gate.close(_PATIENCE):
                raise Violation(f"after {self._last} a request is not answered")
        if self._service is None and not self._came_up():
            raise Violation(f"after {self._last} the service does not start")
        self._check()
        self._open()

    def _open(self) -> None:
        """Let the work go on."""
        assert self._served is not None
        self._is_frozen = False
        self._gate.open(self._served.http)

    # checks

    def _check(self) -> None:
        """Wait until nothing is under way, then compare."""
        served = self._served
        assert served is not None
        for run_id, run in self._snapshot.runs.items():
            if run["status"] not in ENDED:
                served.http.get(f"/runs/{run_id}/events", timeout=_PATIENCE)
                status = served.json("GET", f"/runs/{run_id}")["status"]
                if status not in ENDED:
                    raise Violation(f"after {self._last} {run_id} does not end: {status}")
        self._require_soon(self._faults_now)
        self._require(self._ledger.backup_faults(self._backups))

    def _faults_now(self) -> list[str]:
        served = self._served
        assert served is not None
        if served.http.get(f"{served.address}/health/ready").status_code != 200:
            return ["the service is not ready"]
        pipelines = [p["name"] for p in served.json("GET", "/pipeline?limit=100")["items"]]
        statuses = {name: served.json("GET", f"/pipeline/{name}/status") for name in pipelines}
        busy = [n for n, s in statuses.items() if s["status"] in WORKING and n != "ticking"]
        if busy:
            return [f"{busy} still run"]
        listed = {
            name: {
                v["version"]: v["state"] == "held" for v in served.json("GET", f"/pipeline/{name}/versions")["items"]
            }
            for name in pipelines
        }
        active = {s["run_id"] for s in statuses.values() if s["status"] in WORKING}
        state = statuses["following"]["trigger_state"]
        faults = [f"the trigger of following waits: {state}"] if not state["awaited"] else []
        faults += folder_faults(self._data, listed, active)
        try:
            faults += self._ledger.file_faults(self._data, self._snapshot, listed, frozen=self._is_frozen)
            faults += content_faults(self._data, listed, self._work)
        except FileNotFoundError as error:  # a version of ticking was deleted meanwhile
            faults.append(str(error))
        for name in ("replaced", "merged", "guarded", "kept"):
            if listed.get(name):
                faults += self._native_faults(name, newest_of(listed[name]))
        return faults

    def _native_faults(self, name: str, newest: int) -> list[str]:
        """Whether SQL, which asks the native table, answers what the Parquet of the newest version holds."""
        assert self._served is not None
        folder = self._data / "warehouse" / name / f"v{newest:06d}"
        if not (folder / f"{name}.duckdb").exists():
            return [f"the native table of {name} is missing"]
        sql = f"SELECT count(*) AS n, sum(id)::BIGINT AS ids, sum(round)::BIGINT AS rounds FROM {name}"
        answer = self._served.http.post("/query", json={"sql": sql})
        if answer.status_code == 503:
            return [f"SQL over {name} is not answered: {answer.text}"]
        (found,) = answer.json()["data"]
        frame = pl.read_parquet(folder / "part-*.parquet")
        expected = {"n": frame.height, "ids": int(frame["id"].sum()), "rounds": int(frame["round"].sum())}
        return [] if found == expected else [f"SQL over {name} answers {found}, its parts hold {expected}"]

    def _require_soon(self, faults: Callable[[], list[str]]) -> None:
        deadline, pause = time.monotonic() + _PATIENCE, 0.05
        while found := faults():
            if time.monotonic() > deadline:
                self._require(found)
            time.sleep(pause)
            pause = min(1.0, pause * 1.5)

    def _require(self, faults: Iterable[str]) -> None:
        found = [*faults, *self._work.faults]
        if found:
            raise Violation(f"seed {self._seed}, kill {self.tally.kills}, after {self._last}:\n" + "\n".join(found))

    def _finish(self) -> None:
        """Stop the service, verify everything by the command line, and restore the newest backup."""
        self._last = "the last kill"
        assert self._served is not None
        self._gate.close(_PATIENCE)
        self._served.json("POST", "/pipeline/ticking/schedule/pause")
        self._require_soon(self._faults_now)
        self._served.log()
        self._end()
        self._verify(self._data)
        restored = self._folder / "restored"
        _penstock("restore", str(self._backups), "--data-dir", str(restored))
        self._verify(restored)

    def _verify(self, data: Path) -> None:
        found = _penstock("verify", "--deep", "--data-dir", str(data))
        if found.returncode:
            raise Violation(f"seed {self._seed}: verify --deep of {data.name}:\n{found.stdout}{found.stderr}")


def _penstock(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *words], capture_output=True, text=True, timeout=120, check=False,
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)),
    )  # fmt: skip
