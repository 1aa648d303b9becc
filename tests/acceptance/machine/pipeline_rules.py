"""What may be done to pipelines: they come, change and go, run after each other, and their schedules are paused."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.acceptance.machine.agreement import NUMBERS, ROWS, ServiceMachine
from tests.acceptance.machine.model import Pipeline

MODES = st.sampled_from(["replace", "append", "merge"])
OPTIONS = st.fixed_dictionaries({
    "keep": st.integers(1, 4), "attempts": st.integers(1, 2), "hourly": st.booleans(), "guarded": st.booleans(),
    "after": st.sets(st.integers(0, 2), max_size=2), "reads": st.booleans(),
})  # fmt: skip


class PipelineRules(ServiceMachine):
    """Rules about pipelines. ``after`` are the places of the upstreams, and a pipeline ``reads`` a single one."""

    @initialize(modes=st.tuples(MODES, MODES), rows=st.tuples(ROWS, ROWS), options=st.tuples(OPTIONS, OPTIONS))
    def begin_with_two(self, modes: Any, rows: Any, options: Any) -> None:
        for place in range(2):
            self.create(modes[place], rows[place], place, options[place])

    @precondition(lambda self: len(self.pipelines) < 3)
    @rule(mode=MODES, rows=ROWS, place=st.integers(0, 2), options=OPTIONS)
    def create(self, mode: Any, rows: Any, place: int, options: dict[str, Any]) -> None:
        name = f"e{self.example}-{place}"
        if name in self.pipelines:
            answer = self.world.send("POST", "/pipeline/create", json=self._document(self.pipelines[name]))
            assert answer.status_code == 409
            return
        pipeline = Pipeline(name, mode, rows, **self._options(name, options))
        self.world.sources.rows[name] = rows
        self.pipelines.configured(pipeline)
        assert self._post("/pipeline/create", self._document(pipeline)).status_code == 201
        self.pipelines[name] = pipeline
        self.touched.add(name)

    def _options(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        after = self._upstreams(name, options["after"])
        return {**options, "after": after, "reads": options["reads"] and len(after) == 1}

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, options=OPTIONS)
    def update(self, which: int, options: dict[str, Any]) -> None:
        pipeline = self._pick(which)
        before = self._document(pipeline)
        for option, value in self._options(pipeline.name, options).items():
            setattr(pipeline, option, value)
        pipeline.source = self.world.sources.rows[pipeline.name]
        saved = self.world.ask("PUT", f"/pipeline/{pipeline.name}/config", json=self._document(pipeline))
        assert saved["revision"] in (pipeline.revision, pipeline.revision + 1)
        if self._document(pipeline) != before:
            assert saved["revision"] == pipeline.revision + 1
        pipeline.revision = saved["revision"]
        self.pipelines.configured(pipeline)
        self._triggered()

    @precondition(lambda self: any(p.after for p in self.pipelines.values()))
    @rule(which=NUMBERS)
    def close_a_cycle(self, which: int) -> None:
        """No pipeline may run after itself, through others or not; an unknown one neither."""
        pipeline = self._pick(which)
        above = self.pipelines.upstreams(pipeline.name)
        name = min(above, default=pipeline.name)
        document = self._document(self.pipelines[name]) | {"trigger": {"after": [pipeline.name, "nobody"]}}
        refused = self.world.ask("PUT", f"/pipeline/{name}/config", 400, json=document)["error"]
        problems = {problem["field"]: problem["message"] for problem in refused["details"]["errors"]}
        if name == pipeline.name:
            assert problems == {"trigger.after[0]": f"a cycle: '{name}' would run after itself"}
            return
        assert set(problems) == {"trigger.after", "trigger.after[1]"}
        cycle = problems["trigger.after"].removeprefix("a cycle: ").split(" runs after ")
        assert cycle[0] == cycle[-1] == f"'{name}'"
        assert {one.strip("'") for one in cycle} <= {name, pipeline.name, *above}

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, purge=st.booleans())
    def delete(self, which: int, purge: bool) -> None:
        pipeline = self._pick(which)
        path = f"/pipeline/{pipeline.name}?purge={str(purge).lower()}"
        if waiting := sorted(name for name, other in self.pipelines.items() if pipeline.name in other.after):
            refused = self.world.ask("DELETE", path, 409)["error"]
            assert refused["details"]["pipelines"] == waiting
            return
        self.world.ask("DELETE", path)
        del self.pipelines[pipeline.name]
        self.gone.add(pipeline.name)
        self.touched.discard(pipeline.name)
        folder = self.world.data / "warehouse" / pipeline.name
        assert not (purge and folder.exists())

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, rows=ROWS)
    def change_source(self, which: int, rows: Any) -> None:
        pipeline = self._pick(which)
        self.world.sources.rows[pipeline.name] = rows
        if not pipeline.reads:
            pipeline.source = rows

    @precondition(lambda self: any(p.hourly for p in self.pipelines.values()))
    @rule(which=NUMBERS, pause=st.booleans())
    def pause_or_resume(self, which: int, pause: bool) -> None:
        pipeline = self._pick(which)
        path = f"/pipeline/{pipeline.name}/schedule/{'pause' if pause else 'resume'}"
        self.world.ask("POST", path, 200 if pipeline.hourly else 404)
        if pipeline.hourly:
            pipeline.paused = pause
