"""What may happen to runs: people, schedules and triggers begin them; they end, or are ended, or their service is."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.acceptance.machine.agreement import NUMBERS, ROWS, ServiceMachine
from tests.acceptance.machine.model import Pipeline, Run

ENDS = st.sampled_from(["cancel", "worker", "worker", "server"])


class RunRules(ServiceMachine):
    """Rules about runs."""

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS)
    def execute(self, which: int) -> None:
        pipeline = self._pick(which)
        before = pipeline.next_number
        run = self._post(f"/pipeline/{pipeline.name}/execute?wait=60").json()
        expected = self.pipelines.execute(pipeline)
        assert (run["status"], run["version"]) == (expected.status, expected.version), run
        if expected.status != "failed":
            assert (run["rows_stored"], run["unchanged"]) == (expected.rows, pipeline.next_number == before), run
        if pipeline.next_number != before:
            self._published(pipeline)
        self._triggered()

    @precondition(lambda self: any(not p.reads for p in self.pipelines.values()))
    @rule(which=NUMBERS, how=ENDS)
    def execute_and_end(self, which: int, how: str) -> None:
        """A run whose source has been asked is cancelled, or loses its worker or its service."""
        pipeline = self._pick(which)
        if pipeline.reads:
            return
        asked = self.world.sources.hold(pipeline.name)
        path = f"/pipeline/{pipeline.name}"
        run = self.world.ask("POST", f"{path}/execute?wait=0", 202)
        self.world.sources.wait_until_asked(pipeline.name, asked)
        assert self.world.send("POST", f"{path}/execute").status_code == 409
        assert self.world.send("DELETE", path).status_code == 409
        self.pipelines.begin(pipeline)
        self._end(pipeline, run["run_id"], how, "admin")

    @precondition(lambda self: any(p.after and not p.reads for p in self.pipelines.values()))
    @rule(which=NUMBERS, how=ENDS, rows=st.lists(ROWS, min_size=3, max_size=3))
    def end_a_triggered_run(self, which: int, how: str, rows: Any) -> None:
        """All upstreams of a pipeline commit; the run that this begins is ended, and no other begins in its place."""
        names = [name for name, p in sorted(self.pipelines.items()) if p.after and not p.reads]
        pipeline = self.pipelines[names[which % len(names)]]
        asked = self.world.sources.hold(pipeline.name)
        for upstream, fresh in zip(pipeline.after, rows, strict=False):
            one = self.pipelines[upstream]
            one.source = self.world.sources.rows[upstream] = fresh
            before = one.next_number
            self.world.ask("POST", f"/pipeline/{upstream}/execute?wait=60")
            self.pipelines.execute(one)
            if one.next_number != before:
                self._published(one)
            self.touched.add(upstream)
            if pipeline in self.pipelines.ready():
                break  # it runs from here on
            self._triggered(pipeline.name)
            self._settle(pipeline.name)
        if pipeline not in self.pipelines.ready():
            self.world.sources.let_go(pipeline.name)
            return
        self.pipelines.begin(pipeline)
        self._triggered(pipeline.name)
        self.world.sources.wait_until_asked(pipeline.name, asked)
        self._settle(pipeline.name)
        run = self.world.ask("GET", f"/pipeline/{pipeline.name}/runs?limit=1")["items"][0]
        self.touched.add(pipeline.name)
        self._end(pipeline, run["run_id"], how, "trigger")

    def _end(self, pipeline: Pipeline, run_id: str, how: str, by: str) -> None:
        match how:
            case "cancel":
                assert self.world.ask("POST", f"/runs/{run_id}/cancel", 202)["status"] == "cancelled"
            case "worker":
                self.world.kill_worker()
            case _:
                self.world.kill()
                self._restarted()
        self.world.sources.let_go(pipeline.name)
        self.world.send("GET", f"/runs/{run_id}/events")  # ends with the run
        ended = self.world.ask("GET", f"/runs/{run_id}")
        if how != "cancel" and pipeline.attempts == 2:
            before = pipeline.next_number
            expected = self.pipelines.finish(pipeline, by)
            if pipeline.next_number != before:
                self._published(pipeline)
            assert [attempt["number"] for attempt in ended["attempts"]] == [1, 2]
        else:
            expected = Run("cancelled" if how == "cancel" else "interrupted", by=by)
            pipeline.runs.append(expected)
        assert (ended["status"], ended["version"]) == (expected.status, expected.version), ended
        self._triggered()

    @precondition(lambda self: self.untried)
    @rule()
    def kill_the_service(self) -> None:
        self.untried = False
        self.world.kill()
        self._restarted()

    @precondition(lambda self: any(p.hourly for p in self.pipelines.values()))
    @rule()
    def let_an_hour_pass(self) -> None:
        """Each schedule that is not paused fires once.

        Where a scheduled pipeline runs after one that is scheduled too, either may be first; so its schedule is paused,
        which does not pause its trigger.
        """
        self.keyed.clear()
        firing = {name for name, p in self.pipelines.items() if p.hourly and not p.paused}
        for name in sorted(firing):
            if firing & self.pipelines.upstreams(name):
                self.world.ask("POST", f"/pipeline/{name}/schedule/pause")
                self.pipelines[name].paused = True
        self.world.pass_an_hour()
        self.world.is_due = True
        ran = {name: len(pipeline.runs) for name, pipeline in self.pipelines.items()}
        due = [p for p in self.pipelines.values() if p.hourly and not p.paused]
        for pipeline in due:
            self.pipelines.begin(pipeline)
        for pipeline in due:
            before = pipeline.next_number
            self.pipelines.finish(pipeline, "schedule")
            if pipeline.next_number != before:
                self._published(pipeline)
        self._triggered()
        for name, pipeline in self.pipelines.items():
            self._compare_runs(pipeline)
            if len(pipeline.runs) > ran[name]:
                self._see(pipeline)
        self.touched = set(self.pipelines)

    def _see(self, pipeline: Pipeline) -> None:
        """Of two upstreams that committed at one time, a triggered run has seen one or both: ask which."""
        if len(pipeline.after) > 1 and pipeline.runs[-1].by == "trigger":
            state = self.world.ask("GET", f"/pipeline/{pipeline.name}/status")["trigger_state"]
            for name in state["committed"]:
                pipeline.seen[name] = self.pipelines.newest(name) - 1
