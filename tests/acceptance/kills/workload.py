"""Work that a service is killed at: pipelines of every mode, executed, scheduled and triggered, and their upkeep.

Each pipeline has a thread that knows what its versions must hold. A request that a kill cut off is sent again to the
next service under the same idempotency key, so that a thread never notices that the service died.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from service.model.lifecycle import STORED
from tests.unit.network.site import Hit, Reply

RETENTION = {"versions": 3}
EXECUTION = {"max_attempts": 2, "retry_delay_seconds": 0.05}
PARQUET = {"type": "parquet"}
DUCKDB = {"type": "duckdb"}


class Source:
    """The API that ``polled``, ``steady`` and ``ticking`` read: records whose numbers grow."""

    def __init__(self) -> None:
        self.records, self.ticks = 1, 0

    def __call__(self, hit: Hit) -> Reply:
        self.ticks += 1
        if hit.path == "/tick":
            return Reply.json([{"tick": self.ticks}])
        if hit.path == "/steady":
            return Reply.json([{"id": 1, "at": self.ticks}])
        since = int(hit.query.get("since") or 1)
        return Reply.json([{"id": number} for number in range(since, self.records + 1)])


class Gate:
    """Lets requests through to the present service, or holds them; knows when none is under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open, self._under_way, self.ended = False, 0, False
        self.client: httpx.Client | None = None

    def open(self, client: httpx.Client) -> None:
        with self._changed:
            self.client, self._open = client, True
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Hold further requests; whether those under way have ended within ``seconds``."""
        with self._changed:
            self._open = False
            return self._changed.wait_for(lambda: self._under_way == 0, seconds)

    def end(self) -> None:
        with self._changed:
            self.ended, self._open = True, False
            self._changed.notify_all()

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer of a service: of the next one if this one dies. Raises ``InterruptedError`` at the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open or self.ended)
                if self.ended:
                    raise InterruptedError
                client, self._under_way = self.client, self._under_way + 1
            try:
                assert client is not None
                return client.request(method, path, **request)
            except (httpx.HTTPError, RuntimeError):  # it died; a client that was closed raises the latter
                with self._changed:
                    if self.client is client:
                        self._open = False
            finally:
                with self._changed:
                    self._under_way -= 1
                    self._changed.notify_all()


class Work:
    """The threads of a workload and what they were told: ``runs`` by id, ``known`` contents, ``faults``."""

    def __init__(self, gate: Gate, source: str, feed: Source, backups: str, seed: int) -> None:
        self.gate, self._source, self._feed, self._backups = gate, source, feed, backups
        self._random = random.Random(seed)
        self.runs: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.versions: dict[str, int] = {}  # what acknowledged runs have committed, by run
        self.batches: dict[str, list[dict[str, int]]] = {"appended": [], "merged": []}
        self.settled: dict[str, int] = {"appended": 0, "merged": 0}
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=self._guarded, args=(part,), daemon=True) for part in self._parts()]

    def create(self) -> None:
        """Make the pipelines."""
        documents: list[dict[str, Any]] = [
            {"name": "replaced", "collectors": [csv("replaced")], "storage": [PARQUET, DUCKDB]},
            {"name": "appended", "collectors": [csv("appended")], "storage": [{**PARQUET, "mode": "append"}]},
            {
                "name": "merged", "collectors": [csv("merged")],
                "storage": [{**PARQUET, "mode": "merge", "key": "id"}, DUCKDB],
            },
            {"name": "polled", "collectors": [self._api("records", incremental=INCREMENTAL)], "storage": [PARQUET]},
            {
                "name": "steady",
                "collectors": [self._api("steady", incremental={**INCREMENTAL, "cursor_field": "at"})],
                "processors": [{"type": "cleaner", "config": {"drop_columns": ["at"]}}], "storage": [PARQUET],
            },
            {"name": "ticking", "collectors": [self._api("tick")], "storage": [PARQUET], "schedule": EVERY_MINUTE},
            {
                "name": "following", "collectors": [{"type": "pipeline", "name": "replaced"}], "storage": [PARQUET],
                "trigger": {"after": ["replaced", "merged"]},
            },
            {
                "name": "guarded", "collectors": [csv("guarded")], "storage": [PARQUET, DUCKDB],
                "publish_if": {"max_row_growth_share": 0},
            },
            {"name": "kept", "collectors": [csv("kept")], "storage": [PARQUET, DUCKDB]},
        ]  # fmt: skip
        for name in ("replaced", "appended", "merged", "guarded", "kept"):
            self._put(name, [{"id": 0, "round": 0}])
        for document in documents:
            more = {"retention": RETENTION, "execution": EXECUTION}
            self._told("POST", "/pipeline/create", json={**document, **more})

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self.gate.end()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(60)

    def _parts(self) -> list[Callable[[], None]]:
        upkeep = [self._keep, self._guard, self._come_and_go, self._back_up]
        return [self._replace, self._append, self._merge, self._poll, *upkeep]

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            while True:
                part()
        except InterruptedError:
            pass
        except BaseException as error:
            self.faults.append(f"{part.__name__}: {error!r}")
            raise

    # parts: each call is one round

    def _replace(self) -> None:
        number = self._random.randrange(1, 1_000_000)
        self._put("replaced", [{"id": n, "round": number} for n in range(rows_of(number))])
        self._run("replaced")

    def _append(self) -> None:
        self._batch("appended", {f"{n}": 0 for n in range(self._random.randrange(1, 40))})

    def _merge(self) -> None:
        self._batch("merged", {str(self._random.randrange(200)): 0 for _ in range(30)})

    def _batch(self, name: str, rows: dict[str, int]) -> None:
        """Run a batch until it is committed: then it is in the version once, whatever was killed meanwhile."""
        number = len(self.batches[name]) + 1
        self.batches[name].append(dict.fromkeys(rows, number))
        self._put(name, [{"id": int(n), "round": number} for n in rows])
        while not self._run(name):
            pass
        self.settled[name] = number

    def _poll(self) -> None:
        self._feed.records += 3
        self._run("polled")
        self._run("steady")  # its rows stay and its state moves

    def _keep(self) -> None:
        number = self._random.randrange(1, 1_000_000)
        self._put("kept", [{"id": n, "round": number} for n in range(rows_of(number))])
        self._run("kept")
        listed = [v["version"] for v in self._told("GET", "/pipeline/kept/versions")["items"]]
        chosen = self._random.choice(listed)
        at = f"/pipeline/kept/versions/{chosen}"
        match self._random.randrange(5):
            case 0:
                self._told("POST", f"{at}/pin", allowed=(404,))
            case 1:
                for version in listed:
                    self._told("POST", f"/pipeline/kept/versions/{version}/unpin", allowed=(404,))
            case 2:
                self._told("POST", f"{at}/tag", json={"tag": "stable"}, allowed=(404,))
            case 3:
                made = self._told("POST", f"{at}/restore", keyed=True, allowed=(404, 409))
                if "run_id" in made:
                    self._note(made["run_id"], "kept", made["version"])
            case _:
                self._told("DELETE", at, allowed=(204, 404, 409))

    def _guard(self) -> None:
        """Run a pipeline whose versions with more rows are held, and decide about one of those."""
        number = self._random.randrange(1, 1_000_000)
        self._put("guarded", [{"id": n, "round": number} for n in range(rows_of(number))])
        self._run("guarded")
        listed = self._told("GET", "/pipeline/guarded/versions")["items"]
        if held := [v["version"] for v in listed if v["state"] == "held"]:
            at = f"/pipeline/guarded/versions/{self._random.choice(held)}"
            if self._random.random() < 0.7:
                self._told("POST", f"{at}/accept", keyed=True, allowed=(404, 409))
            else:
                self._told("POST", f"{at}/reject", allowed=(204, 404, 409))

    def _come_and_go(self) -> None:
        document = {"name": "brief", "collectors": [csv("kept")], "storage": [PARQUET]}
        self._told("POST", "/pipeline/create", json=document, keyed=True, allowed=(409,))
        self._run("brief", allowed=(404,))
        self._told("DELETE", "/pipeline/brief?purge=true", allowed=(404, 409))

    def _back_up(self) -> None:
        self._told("POST", "/admin/backup", json={"directory": self._backups}, allowed=(409,))

    # what they ask

    def _put(self, name: str, rows: list[dict[str, int]]) -> None:
        text = "id,round\n" + "".join(f"{row['id']},{row['round']}\n" for row in rows)
        self._told("PUT", f"/files/{name}.csv", content=text.encode(), allowed=(201,))

    def _run(self, name: str, allowed: tuple[int, ...] = ()) -> bool:
        """Execute a pipeline and wait for its end. Returns whether its version is stored."""
        run = self._told("POST", f"/pipeline/{name}/execute?wait=20", keyed=True, allowed=(409, *allowed))
        if "run_id" not in run:
            return False
        self._note(run["run_id"], name, None)
        while run["status"] in ("queued", "running", "retrying"):
            self.gate.ask("GET", f"/runs/{run['run_id']}/events")  # ends with the run
            run = self._told("GET", f"/runs/{run['run_id']}")
        if run["status"] in STORED:
            self._note(run["run_id"], name, run["version"])
        return run["status"] in STORED

    def _note(self, run_id: str, name: str, version: int | None) -> None:
        self.runs[run_id] = name
        if version is not None:
            self.versions[run_id] = version

    def _told(
        self, method: str, path: str, *, keyed: bool = False, allowed: tuple[int, ...] = (), **request: Any
    ) -> dict[str, Any]:
        key = str(uuid.uuid4())
        headers = {"Idempotency-Key": key} if keyed else {}
        answer = self.gate.ask(method, path, headers=headers, **request)
        if answer.status_code not in (200, 201, 202, *allowed):
            self.faults.append(f"{method} {path}: {answer.status_code} {answer.text}")
        found: dict[str, Any] = answer.json() if answer.content else {}
        if keyed and "run_id" in found and not path.endswith("/accept"):
            self.keys[key] = found["run_id"]
        return found

    def _api(self, path: str, **more: Any) -> dict[str, Any]:
        return {"type": "api", "endpoint": f"{self._source}/{path}", "retry": {"max_attempts": 1}, **more}


INCREMENTAL = {"cursor_field": "id", "param": "since", "primary_key": "id"}
EVERY_MINUTE = {"cron": "* * * * *"}


def csv(name: str) -> dict[str, Any]:
    return {"type": "csv", "file_path": f"{name}.csv"}


def rows_of(number: int) -> int:
    """How many rows a round of ``replaced`` and ``kept`` has: a version that mixes two shows it."""
    return 1 + number % 97
