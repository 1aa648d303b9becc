"""A machine whose rules do one thing to the service and to the model; then what it concerned is compared."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.acceptance.machine.model import Pipeline, Pipelines
from tests.acceptance.machine.world import World, soon

ROWS = st.dictionaries(st.integers(0, 5), st.integers(0, 3), min_size=1, max_size=4).map(
    lambda rows: list(rows.items())
)
NUMBERS = st.integers(0, 10)


class ServiceMachine(RuleBasedStateMachine):
    """Each rule is done to the service and to the model; then the pipeline that it concerned is compared."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        world.examples += 1
        self.example = world.examples
        self.pipelines = Pipelines()
        self.gone: set[str] = set()
        self.touched: set[str] = set()
        self.unsaved = self.untried = False  # whether something has changed since the last backup, and the last kill
        self.keyed: list[tuple[str, dict[str, Any], httpx.Response, str]] = []

    def teardown(self) -> None:
        for name, pipeline in self.pipelines.items():
            self._compare(pipeline)
            pipeline.after, pipeline.reads = [], False
            self.world.ask("PUT", f"/pipeline/{name}/config", json=self._document(pipeline))
        for name in self.pipelines:
            self.world.ask("DELETE", f"/pipeline/{name}?purge=true")
        for name in self.gone - set(self.pipelines):
            assert self.world.send("GET", f"/pipeline/{name}/status").status_code == 404

    def _pick(self, number: int) -> Pipeline:
        names = sorted(self.pipelines)
        name = names[number % len(names)]
        self.touched.add(name)
        return self.pipelines[name]

    def _version(self, pipeline: Pipeline, number: int) -> int:
        numbers = sorted(pipeline.versions)
        return numbers[number % len(numbers)]

    def _post(self, path: str, body: dict[str, Any] | None = None, **request: Any) -> httpx.Response:
        """A POST with a key, which may be sent again."""
        key = str(uuid.uuid4())
        sent = {"json": body} if body is not None else {}
        answer = self.world.send("POST", path, headers={"Idempotency-Key": key}, **sent, **request)
        if answer.status_code < 300:
            self.keyed.append((path, sent, answer, key))
        return answer

    def _published(self, pipeline: Pipeline) -> None:
        """Retention looks at the pipeline, and at all of them if an hour has passed since it did."""
        for one in [pipeline] if not self.world.is_due else self.pipelines.values():
            one.sweep()
        self.world.is_due = False

    def _triggered(self, *active: str) -> None:
        """Run those whose trigger is ready, and those that become so; pipelines with an ``active`` run wait."""
        while ready := self.pipelines.ready(active):
            for pipeline in ready:
                self.pipelines.begin(pipeline)
            for pipeline in ready:
                before = pipeline.next_number
                self.pipelines.finish(pipeline, "trigger")
                if pipeline.next_number != before:
                    self._published(pipeline)
                self.touched.add(pipeline.name)

    def _restarted(self) -> None:
        self.world.is_due = False
        for pipeline in self.pipelines.values():
            pipeline.sweep()

    def _document(self, pipeline: Pipeline) -> dict[str, Any]:
        if pipeline.reads:
            return {**pipeline.document, "collectors": [{"type": "pipeline", "name": pipeline.after[0]}]}
        collector = {"type": "api", "endpoint": f"{self.world.source}/{pipeline.name}", "retry": {"max_attempts": 1}}
        return {**pipeline.document, "collectors": [collector]}

    def _upstreams(self, name: str, places: set[int]) -> list[str]:
        """Those of the chosen pipelines that exist and do not run after ``name``."""
        others = [f"e{self.example}-{place}" for place in sorted(places)]
        return [o for o in others if o in self.pipelines and o != name and name not in self.pipelines.upstreams(o)]

    @invariant()
    def the_service_agrees(self) -> None:
        for name in sorted(self.touched):
            self._compare(self.pipelines[name])
        if self.touched:
            self.unsaved = self.untried = True
        self.touched.clear()

    def _settle(self, *active: str) -> None:
        """Wait for the runs that triggers have begun."""
        for name, pipeline in self.pipelines.items():
            if name not in active:
                self._compare_runs(pipeline)

    def _compare_runs(self, pipeline: Pipeline) -> None:
        runs = [(run.status, run.version, run.restored, run.by) for run in reversed(pipeline.runs)]
        path = f"/pipeline/{pipeline.name}/runs?limit=1000"
        soon(
            lambda: [
                (r["status"], r["version"], r["restored_from"] is not None, r["requested_by"])
                for r in self.world.ask("GET", path)["items"]
            ],
            runs,
        )

    def _compare(self, pipeline: Pipeline) -> None:
        path = f"/pipeline/{pipeline.name}"
        ask = self.world.ask
        self._compare_runs(pipeline)
        versions = [
            (number, len(version.rows), version.restored_from, version.held, version.pinned, sorted(version.tags))
            for number, version in sorted(pipeline.versions.items(), reverse=True)
        ]
        soon(
            lambda: [
                (v["version"], v["rows"], v["restored_from"], v["state"] == "held", v["pinned"], sorted(v["tags"]))
                for v in ask("GET", f"{path}/versions?limit=1000")["items"]
            ],
            versions,
        )
        stats = ask("GET", f"{path}/stats")
        assert {name: stats[name] for name in pipeline.stats} == pipeline.stats
        status = ask("GET", f"{path}/status")
        assert (status["next_run"] is not None) == (pipeline.hourly and not pipeline.paused)
        committed = self.pipelines.committed(pipeline)
        awaited = [name for name in pipeline.after if name not in committed]
        assert status["trigger_state"] == ({"committed": committed, "awaited": awaited} if pipeline.after else None)
        if pipeline.runs and (read := pipeline.runs[-1].read) is not None:
            steps = ask("GET", f"/runs/{status['run_id']}")["steps"]
            assert [step["evidence"]["version"] for step in steps if step["evidence"]] == [read]
        assert ask("GET", "/pipeline?q=" + pipeline.name)["items"][0]["version"] == pipeline.newest
        for number in {pipeline.newest, min(pipeline.versions, default=None)} - {None}:
            rows = ask("GET", f"{path}/data?version={number}")["data"]
            assert [(row["id"], row["v"]) for row in rows] == pipeline.versions[number].rows  # type: ignore[index]
        folder = self.world.data / "warehouse" / pipeline.name
        if pipeline.versions:
            assert (folder / "current").readlink() == Path(f"v{pipeline.newest:06d}")
            wanted = {"current", *(f"v{number:06d}" for number in pipeline.versions)}
            soon(lambda: {p.name for p in folder.iterdir()}, wanted)
