"""A campaign: one data directory, one service after another, killed at its steps and at any time, checked each time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from service.model.lifecycle import ENDED
from tests.acceptance import service
from tests.acceptance.kills.failpoints import ARMED, RECOVERING, VARIABLE, Page, kill
from tests.acceptance.kills.invariants import Ledger, Snapshot, content_faults, folder_faults, newest_of
from tests.acceptance.kills.tally import ANY_TIME, Tally
from tests.acceptance.kills.workload import Gate, Source, Work
from tests.acceptance.served import PASSWORD, Served, listening_as, spawned, staged
from tests.unit.network import site

SERVER = ("server", "server+forkserver", "server+worker")
ANYBODY = ("worker", "worker", "forkserver", "forkserver", *SERVER)
_RUNS_OUT = 4.0  # seconds after which other steps are tried
_RARE = 10.0  # seconds in which a step that is left comes or is left
_SKIPS = (0, 1, 2, 5, 12)
_PATIENCE = 60.0
_TRIES = 6
_AT_ANY_TIME = 0.35  # the share of kills at any time, until there were enough
_RECOVERIES = 0.6  # the share of starts that are killed, after the first one
WORKING = ("queued", "running", "retrying")
_NATIVE = ("replaced", "merged", "guarded", "kept")
_FACTOR = "30"  # seconds of the service's clock in one


class Violation(AssertionError):
    """An invariant does not hold."""


class Campaign:
    """``run`` kills until enough is killed. Raises ``Violation`` with the seed and the step."""

    def __init__(self, folder: Path, seed: int, say: Any = print) -> None:
        self._folder, self._seed, self._say = folder, seed, say
        self._random = random.Random(seed)
        self._page = Page(folder)
        self._data, self._backups = folder / "data", folder / "backups"
        self._ledger, self._gate, self.tally = Ledger(), Gate(), Tally()
        self._met = folder / "steps"
        self._met.touch()
        self._most: int | None = None
        self._idle = 0  # how often in a row no step was met
        self._service: ExitStack | None = None
        self._served: Served | None = None
        self._snapshot = Snapshot.empty()
        self._is_frozen = False  # whether nobody has asked for anything since the snapshot
        self._last = "the start"

    def run(self, at_any_time: int, steps: int | None = None) -> Tally:
        """Kill ``at_any_time`` times at any time, and at all steps that are met, or at ``steps`` of them."""
        feed, self._most = Source(), steps
        with site.serving(feed) as there:
            self._work = Work(self._gate, there.address, feed, str(self._backups), self._seed)
            try:
                self._prepare()
                self._come_back(1.0 if steps is None else 0.0)
                self._open()
                self._work.create()
                self._work.start()
                while self.tally.at_any_time < at_any_time or not (self._enough or self._idle >= _TRIES):
                    self._next(at_any_time)
                self._finish()
            finally:
                self._work.join()
                if self._service is not None:
                    self._service.close()
                self._next_one.communicate("")
        return self.tally

    def steps(self) -> set[str]:
        """All steps that were met so far. What a service does at any time is no step of its recovery."""
        steps = set(self._met.read_text().splitlines())
        return {
            step for step in steps if step.replace(RECOVERING, "") == step or step.replace(RECOVERING, "") not in steps
        }

    def _next(self, at_any_time: int) -> None:
        began, left = time.monotonic(), at_any_time - self.tally.at_any_time
        turn = left > 0 and self._random.random() < _AT_ANY_TIME
        if turn or self._enough or not (self._kill_at_a_step() or left <= 0):
            self._kill_at_any_time()
        self._say(f"{self.tally.kills:4} {time.monotonic() - began:5.1f} s  {self._last}")

    @property
    def _enough(self) -> bool:
        """Whether nobody is to die at further steps."""
        return self._most is not None and len(self.tally.places) > self._most

    def _kill_at_any_time(self) -> None:
        victims = self._random.choice(ANYBODY)
        time.sleep(self._random.uniform(0.05, 1.5))
        assert self._served is not None
        kill(self._served.process.pid, victims)
        self._note(ANY_TIME, victims)
        self._recover(victims)

    def _kill_at_a_step(self) -> bool:
        """Let somebody die at a step at which nobody did yet. Returns whether one was met."""
        left = sorted(self.steps() - set(self.tally.places))
        half = self._random.sample(left, len(left) // 2)  # rare steps get their turn, too
        for spared, skips, patience in ((half, self._random.choice(_SKIPS), _RUNS_OUT), ([], 0, _RARE)):
            self._arm(spared, skips=skips)
            deadline = time.monotonic() + patience
            while self._page.state == ARMED and time.monotonic() < deadline:
                time.sleep(0.005)
            if not self._page.disarm():
                self._idle = 0
                self._note(self._page.step, self._page.victims)
                self._recover(self._page.victims)
                return True
        self._idle += 1
        return False

    def _arm(self, spared: Iterable[str] = (), victims: tuple[str, str] | None = None, skips: int = 0) -> None:
        known = {step.replace(" ", f" {RECOVERING}", 1) for step in self.steps() if RECOVERING not in step}
        chosen = victims or (self._random.choice(SERVER), self._random.choice(ANYBODY))
        self._page.arm([*self.tally.places, *known, *spared], *chosen, skips)

    def _note(self, place: str, victims: str) -> None:
        self.tally.add(place, victims)
        self._last = f"{victims} {place}"

    # the service

    def _come_back(self, share: float = _RECOVERIES) -> None:
        """Start a service. A share of them dies at a step of the start; then the next one is started."""
        while True:
            armed = not self._enough and self._random.random() < share
            if armed:
                self._arm(victims=("server", "server"))
            came = self._came_up(armed=armed)
            if came and (not armed or self._page.disarm()):
                break
            self._note(self._page.step, "server")
            self._say(f"{self.tally.kills:4}          {self._last}")
            self._end()
        assert self._served is not None
        self._served.login()

    def _prepare(self) -> None:
        """Let a service load its code; it starts when it is its turn."""
        self._next_one = spawned(self._data, module="tests.acceptance.kills.victim", **self._environment())

    def _came_up(self, *, armed: bool = False) -> bool:
        """Start the service that is prepared, and prepare the next. Returns false if it died at a step of its start."""
        self._page.is_serving, self._served = False, None
        self._service, process = ExitStack(), self._next_one
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        try:
            self._served = self._service.enter_context(listening_as(process, self._data))
        except (AssertionError, httpx.HTTPError) as error:
            self._prepare()
            if armed and self._page.state != ARMED:
                return False
            raise Violation(f"seed {self._seed}, after {self._last} the service does not start: {error}") from error
        self._page.is_serving = True
        self._prepare()
        return True

    def _environment(self) -> dict[str, str]:
        return {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_MAX_CONCURRENT_RUNS": "2",
            "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_RATE_LIMIT_PER_MINUTE": "1000000",
            "HURRIED_FACTOR": _FACTOR, "HURRIED_CLOCK": str(self._folder / "clock"), VARIABLE: str(self._folder),
        }  # fmt: skip

    def _end(self) -> None:
        """Wait for the end of a killed service, and look at what it left."""
        assert self._service is not None
        if self._served is not None:
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
        left = {path.name for path in staged(self._data)}
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
        faults += self._native_faults({n: newest_of(listed[n]) for n in _NATIVE if listed.get(n)})
        return faults

    def _listed(self, name: str) -> dict[int, bool]:
        """The numbers of the versions of a pipeline, and whether they are held."""
        assert self._served is not None
        found = self._served.json("GET", f"/pipeline/{name}/versions")["items"]
        return {version["version"]: version["state"] == "held" for version in found}

    def _native_faults(self, newest: dict[str, int]) -> list[str]:
        """Whether SQL, which asks the native tables, answers what the Parquet of the newest versions holds."""
        assert self._served is not None
        folders = {name: self._data / "warehouse" / name / f"v{number:06d}" for name, number in newest.items()}
        if missing := [name for name, folder in folders.items() if not (folder / f"{name}.duckdb").exists()]:
            return [f"the native tables of {missing} are missing"]
        if not folders:
            return []
        counts = "count(*) AS n, sum(id)::BIGINT AS ids, sum(round)::BIGINT AS rounds"
        sql = " UNION ALL ".join(f"SELECT '{name}' AS name, {counts} FROM {name}" for name in sorted(folders))
        answer = self._served.http.post("/query", json={"sql": f"{sql} ORDER BY name"})
        if answer.status_code != 200:
            return [f"SQL is not answered: {answer.text}"]
        frames = {name: pl.read_parquet(folder / "part-*.parquet") for name, folder in sorted(folders.items())}
        expected = [
            {"name": name, "n": frame.height, "ids": int(frame["id"].sum()), "rounds": int(frame["round"].sum())}
            for name, frame in frames.items()
        ]
        found = answer.json()["data"]
        return [] if found == expected else [f"SQL answers {found}, the parts hold {expected}"]

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
        self._served.json("POST", "/admin/backup", json={"directory": str(self._backups)})  # few kills leave no time
        self._served.log()
        self._end()
        self._verify(self._data)
        restored = self._folder / "restored"
        self._command("restore", str(self._backups), "--data-dir", str(restored))
        self._verify(restored)

    def _verify(self, data: Path) -> None:
        self._command("verify", "--deep", "--data-dir", str(data))

    def _command(self, *words: str) -> None:
        found = service.penstock(*words)
        if found.returncode:
            raise Violation(f"seed {self._seed}: {' '.join(words)}:\n{found.stdout}{found.stderr}")
