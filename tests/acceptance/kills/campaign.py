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

import httpx
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
_RUNS_OUT = 5.0  # seconds after which other steps are tried
_PATIENCE = 60.0
_TRIES = 3
_RECOVERIES = 0.4  # the share of starts that are killed
WORKING = ("queued", "running", "retrying")
_FACTOR = "30"  # seconds of the service's clock in one


@dataclass
class Tally:
    """How many kills there were, of whom and where."""

    victims: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

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
        self._most: int | None = None
        self._idle = 0  # how often in a row no step was met
        self._service: ExitStack | None = None
        self._served: Served | None = None
        self._snapshot = Snapshot.empty()
        self._is_frozen = False  # whether nobody has asked for anything since the snapshot
        self._last = "the start"

    def run(self, kills: int, steps: int | None = None) -> Tally:
        """Kill ``kills`` times or more, a quarter of them at any time, the others at steps: at all, or ``steps``."""
        feed, self._most = Source(), steps
        with site.serving(feed) as there:
            self._work = Work(self._gate, there.address, feed, str(self._backups), self._seed)
            try:
                self._came_up()
                assert self._served is not None
                self._served.login()
                self._open()
                self._work.create()
                self._work.start()
                time.sleep(self._record_seconds)
                while self.tally.kills < kills or (steps is None and self._idle < _TRIES):
                    self._next()
                self._finish()
            finally:
                self._work.join()
                if self._service is not None:
                    self._service.close()
        return self.tally

    def steps(self) -> set[str]:
        """All steps that were met so far. What a service does at any time is no step of its recovery."""
        steps = set((self._folder / "steps").read_text().splitlines())
        return {
            step for step in steps if step.replace(RECOVERING, "") == step or step.replace(RECOVERING, "") not in steps
        }

    def _next(self) -> None:
        began, at_random = time.monotonic(), self.tally.places[ANY_TIME]
        if at_random * 4 <= self.tally.kills or self._enough or not self._kill_at_a_step():
            self._kill_at_any_time()
        self._say(f"{self.tally.kills:4} {time.monotonic() - began:5.1f} s  {self._last}")

    @property
    def _enough(self) -> bool:
        """Whether nobody is to die at further steps."""
        return self._most is not None and len(self.tally.places) > self._most

    def _kill_at_any_time(self) -> None:
        victims = self._random.choice([*SERVER, *WORKER])
        time.sleep(self._random.uniform(0.05, 2.0))
        assert self._served is not None
        kill(self._served.process.pid, victims)
        self._note(ANY_TIME, victims)
        self._recover(victims)

    def _kill_at_a_step(self) -> bool:
        """Let somebody die at a step at which nobody did yet. Returns whether one was met."""
        time.sleep(self._random.uniform(0, 1.5))
        left = sorted(self.steps() - set(self.tally.places))
        chosen = [self._random.sample(left, len(left) // 2), []]  # rare steps get their turn, too
        for spared in chosen:
            self._arm(spared)
            deadline = time.monotonic() + _RUNS_OUT
            while self._page.state == ARMED and time.monotonic() < deadline:
                time.sleep(0.005)
            if self._page.state != ARMED:
                break
        if self._page.disarm():
            self._idle += 1
            return False
        self._idle = 0
        self._note(self._page.step, self._page.victims)
        self._recover(self._page.victims)
        return True

    def _arm(self, spared: Iterable[str] = (), victims: tuple[str, str] | None = None) -> None:
        known = {step.replace(" ", f" {RECOVERING}", 1) for step in self.steps() if RECOVERING not in step}
        chosen = victims or (self._random.choice(SERVER), self._random.choice(WORKER))
        self._page.arm([*self.tally.places, *known, *spared], *chosen)

    def _note(self, place: str, victims: str) -> None:
        self.tally.add(place, victims)
        self._last = f"{victims} {place}"

    # the service

    def _come_back(self) -> None:
        """Start a service. Some die at a step of their recovery; then the next one is started."""
        while True:
            armed = not self._enough and self._random.random() < _RECOVERIES
            if armed:
                self._arm(victims=("server", "server"))
            came = self._came_up(armed=armed)
            if came and (not armed or self._page.disarm()):
                break
            self._note(self._page.step, "server")
            self._end()
        assert self._served is not None
        self._served.login()

    def _came_up(self, *, armed: bool = False) -> bool:
        """Start a service. Returns false if it died at a step of its start."""
        self._page.is_serving = False
        self._service = ExitStack()
        try:
            self._served = self._service.enter_context(
                listening(self._data, module="tests.acceptance.kills.victim", **self._environment())
            )
        except (AssertionError, httpx.HTTPError) as error:
            if armed and self._page.state != ARMED:
                return False
            raise Violation(f"seed {self._seed}, after {self._last} the service does not start: {error}") from error
        self._page.is_serving = True
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
        if "server" in victims.split("+"):
            self._end()
            self._come_back()
        elif not self._gate.close(_PATIENCE):
            raise Violation(f"seed {self._seed}, after {self._last} a request is not answered")
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
        listed = {name: self._listed(name) for name in pipelines}
        active = {s["run_id"] for s in statuses.values() if s["status"] in WORKING}
        state = statuses["following"]["trigger_state"]
        faults = [f"the trigger of following waits: {state}"] if not state["awaited"] else []
        left = {folder.name for folder in (self._data / "warehouse" / ".staging").iterdir()}
        active.add(served.json("GET", "/pipeline/ticking/status")["run_id"])  # it may have begun since
        if unknown := sorted(left - active):
            faults.append(f"in staging is left {unknown}")
        faults += folder_faults(self._data, listed)
        try:
            faults += self._ledger.file_faults(self._data, self._snapshot, listed, frozen=self._is_frozen)
            faults += content_faults(self._data, listed, self._work)
        except FileNotFoundError as error:
            faults.append(str(error))
        if self._listed("ticking") != listed["ticking"]:  # it goes on meanwhile
            faults = [fault for fault in faults if "ticking" not in fault]
        for name in ("replaced", "merged", "guarded", "kept"):
            if listed.get(name):
                faults += self._native_faults(name, newest_of(listed[name]))
        return faults

    def _listed(self, name: str) -> dict[int, bool]:
        """The numbers of the versions of a pipeline, and whether they are held."""
        assert self._served is not None
        found = self._served.json("GET", f"/pipeline/{name}/versions")["items"]
        return {version["version"]: version["state"] == "held" for version in found}

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
