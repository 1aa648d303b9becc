"""Whatever is done in which order, the service agrees with the model: versions, contents, numbers, runs, totals."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.acceptance.machine.model import Pipeline, Run
from tests.acceptance.machine.world import World, soon
from tests.examples import DEFAULT, examples

EXAMPLES, STEPS = 3, 14
THOROUGH_STEPS = 40
ROWS = st.dictionaries(st.integers(0, 5), st.integers(0, 3), min_size=1, max_size=4).map(
    lambda rows: list(rows.items())
)
NUMBERS = st.integers(0, 10)
TAGS = st.sampled_from(["stable", "new"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("machine"))
    yield world
    world.close()


def machine_over(world: World) -> type[RuleBasedStateMachine]:
    class Machine(ServiceMachine):
        def __init__(self) -> None:
            super().__init__(world)

    return Machine


class ServiceMachine(RuleBasedStateMachine):
    """Each rule is done to the service and to the model; then the pipeline that it concerned is compared."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        world.examples += 1
        self.example = world.examples
        self.pipelines: dict[str, Pipeline] = {}
        self.gone: set[str] = set()
        self.touched: Pipeline | None = None
        self.keyed: list[tuple[str, dict[str, Any], httpx.Response, str]] = []

    def teardown(self) -> None:
        for pipeline in self.pipelines.values():
            self._compare(pipeline)
            self.world.ask("DELETE", f"/pipeline/{pipeline.name}?purge=true")
        for name in self.gone - set(self.pipelines):
            assert self.world.send("GET", f"/pipeline/{name}/status").status_code == 404

    def _pick(self, number: int) -> Pipeline:
        names = sorted(self.pipelines)
        self.touched = self.pipelines[names[number % len(names)]]
        return self.touched

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

    def _restarted(self) -> None:
        self.world.is_due = False
        for pipeline in self.pipelines.values():
            pipeline.sweep()

    def _document(self, pipeline: Pipeline) -> dict[str, Any]:
        collector = {"type": "api", "endpoint": f"{self.world.source}/{pipeline.name}", "retry": {"max_attempts": 1}}
        return {**pipeline.document, "collectors": [collector]}

    # pipelines

    @precondition(lambda self: len(self.pipelines) < 3)
    @rule(
        mode=st.sampled_from(["replace", "append", "merge"]), keep=st.integers(1, 4), attempts=st.integers(1, 2),
        hourly=st.booleans(), guarded=st.booleans(), rows=ROWS, place=st.integers(0, 2),
    )  # fmt: skip
    def create(self, mode: Any, keep: int, attempts: int, hourly: bool, guarded: bool, rows: Any, place: int) -> None:
        name = f"e{self.example}-{place}"
        if name in self.pipelines:
            answer = self.world.send("POST", "/pipeline/create", json=self._document(self.pipelines[name]))
            assert answer.status_code == 409
            return
        pipeline = Pipeline(name, mode, keep, attempts, hourly, guarded, rows)
        self.world.sources.rows[name] = rows
        assert self._post("/pipeline/create", self._document(pipeline)).status_code == 201
        self.pipelines[name] = self.touched = pipeline

    @precondition(lambda self: self.pipelines)
    @rule(
        which=NUMBERS, keep=st.integers(1, 4), attempts=st.integers(1, 2), hourly=st.booleans(), guarded=st.booleans()
    )
    def update(self, which: int, keep: int, attempts: int, hourly: bool, guarded: bool) -> None:
        pipeline = self._pick(which)
        before = self._document(pipeline)
        pipeline.keep, pipeline.attempts, pipeline.hourly, pipeline.guarded = keep, attempts, hourly, guarded
        saved = self.world.ask("PUT", f"/pipeline/{pipeline.name}/config", json=self._document(pipeline))
        assert saved["revision"] in (pipeline.revision, pipeline.revision + 1)
        if self._document(pipeline) != before:
            assert saved["revision"] == pipeline.revision + 1
        pipeline.revision = saved["revision"]

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, purge=st.booleans())
    def delete(self, which: int, purge: bool) -> None:
        pipeline = self._pick(which)
        self.world.ask("DELETE", f"/pipeline/{pipeline.name}?purge={str(purge).lower()}")
        del self.pipelines[pipeline.name]
        self.gone.add(pipeline.name)
        self.touched = None
        folder = self.world.data / "warehouse" / pipeline.name
        assert not (purge and folder.exists())

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, rows=ROWS)
    def change_source(self, which: int, rows: Any) -> None:
        pipeline = self._pick(which)
        pipeline.source = self.world.sources.rows[pipeline.name] = rows

    # runs

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS)
    def execute(self, which: int) -> None:
        pipeline = self._pick(which)
        before = pipeline.next_number
        run = self._post(f"/pipeline/{pipeline.name}/execute?wait=60").json()
        expected = pipeline.executed()
        shown = (run["status"], run["version"], run["rows_stored"], run["unchanged"])
        assert shown == (expected.status, expected.version, expected.rows, pipeline.next_number == before), run
        if pipeline.next_number != before:
            self._published(pipeline)

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, how=st.sampled_from(["cancel", "worker", "worker", "server"]))
    def execute_and_end(self, which: int, how: str) -> None:
        """A run whose source has been asked is cancelled, or loses its worker or its service."""
        pipeline, sources = self._pick(which), self.world.sources
        asked = sources.hold(pipeline.name)
        path = f"/pipeline/{pipeline.name}"
        run = self.world.ask("POST", f"{path}/execute?wait=0", 202)
        sources.wait_until_asked(pipeline.name, asked)
        assert self.world.send("POST", f"{path}/execute").status_code == 409
        assert self.world.send("DELETE", path).status_code == 409
        match how:
            case "cancel":
                assert self.world.ask("POST", f"/runs/{run['run_id']}/cancel", 202)["status"] == "cancelled"
            case "worker":
                self.world.kill_worker()
            case _:
                self.world.kill()
                self._restarted()
        sources.let_go(pipeline.name)
        self.world.send("GET", f"/runs/{run['run_id']}/events")  # ends with the run
        ended = self.world.ask("GET", f"/runs/{run['run_id']}")
        if how != "cancel" and pipeline.attempts == 2:
            before = pipeline.next_number
            expected = pipeline.executed()
            if pipeline.next_number != before:
                self._published(pipeline)
            assert [attempt["number"] for attempt in ended["attempts"]] == [1, 2]
        else:
            expected = Run("cancelled" if how == "cancel" else "interrupted")
            pipeline.runs.append(expected)
        assert (ended["status"], ended["version"]) == (expected.status, expected.version), ended

    @precondition(lambda self: self.pipelines)
    @rule()
    def kill_the_service(self) -> None:
        self.world.kill()
        self._restarted()

    @precondition(lambda self: any(p.hourly for p in self.pipelines.values()))
    @rule()
    def let_an_hour_pass(self) -> None:
        """Each schedule that is not paused fires once."""
        self.keyed.clear()
        self.world.pass_an_hour()
        before = {name: pipeline.next_number for name, pipeline in self.pipelines.items()}
        for pipeline in self.pipelines.values():
            if pipeline.hourly and not pipeline.paused:
                pipeline.executed()
        self.world.is_due = True
        for name, number in before.items():
            if self.pipelines[name].next_number != number:
                self._published(self.pipelines[name])
        for pipeline in self.pipelines.values():
            self._compare(pipeline)

    @precondition(lambda self: any(p.hourly for p in self.pipelines.values()))
    @rule(which=NUMBERS, pause=st.booleans())
    def pause_or_resume(self, which: int, pause: bool) -> None:
        pipeline = self._pick(which)
        path = f"/pipeline/{pipeline.name}/schedule/{'pause' if pause else 'resume'}"
        self.world.ask("POST", path, 200 if pipeline.hourly else 404)
        if pipeline.hourly:
            pipeline.paused = pause

    # versions

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS)
    def restore(self, which: int, number: int) -> None:
        pipeline = self._pick(which)
        if not pipeline.versions:
            assert self._post(f"/pipeline/{pipeline.name}/versions/1/restore").status_code == 404
            return
        chosen, newest = self._version(pipeline, number), pipeline.newest
        assert newest is not None
        answer = self._post(f"/pipeline/{pipeline.name}/versions/{chosen}/restore")
        if pipeline.versions[chosen].held:
            assert answer.status_code == 409, answer.text
            return
        same = pipeline.versions[chosen].rows == pipeline.versions[newest].rows
        assert answer.status_code == (200 if same else 201), answer.text
        if not same:
            pipeline.restored(chosen)
            self._published(pipeline)
        assert answer.json()["version"] == pipeline.newest

    @precondition(lambda self: any(v.held for p in self.pipelines.values() for v in p.versions.values()))
    @rule(which=NUMBERS, number=NUMBERS, accept=st.booleans())
    def decide(self, which: int, number: int, accept: bool) -> None:
        """A held version is published or removed; others are not."""
        pipeline = self._pick(which)
        if not pipeline.versions:
            return
        chosen = self._version(pipeline, number)
        version, path = pipeline.versions[chosen], f"/pipeline/{pipeline.name}/versions/{chosen}"
        if accept:
            answer = self._post(f"{path}/accept")
            accepted = version.held and pipeline.is_acceptable(chosen)
            assert answer.status_code == (200 if accepted else 409), answer.text
            if accepted:
                version.held = False
                self._published(pipeline)
        else:
            answer = self.world.send("POST", f"{path}/reject")
            rejected = version.held and pipeline.is_deletable(chosen)
            assert answer.status_code == (204 if rejected else 409), answer.text
            if rejected:
                del pipeline.versions[chosen]

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS)
    def delete_version(self, which: int, number: int) -> None:
        pipeline = self._pick(which)
        if not pipeline.versions:
            return
        chosen = self._version(pipeline, number)
        answer = self.world.send("DELETE", f"/pipeline/{pipeline.name}/versions/{chosen}")
        assert answer.status_code == (204 if pipeline.is_deletable(chosen) else 409), answer.text
        if pipeline.is_deletable(chosen):
            del pipeline.versions[chosen]

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS, pin=st.booleans())
    def pin_or_unpin(self, which: int, number: int, pin: bool) -> None:
        pipeline = self._pick(which)
        if pipeline.versions:
            chosen = self._version(pipeline, number)
            self.world.ask("POST", f"/pipeline/{pipeline.name}/versions/{chosen}/{'pin' if pin else 'unpin'}")
            pipeline.versions[chosen].pinned = pin

    @precondition(lambda self: any(p.versions for p in self.pipelines.values()))
    @rule(which=NUMBERS, number=NUMBERS, tag=TAGS)
    def tag(self, which: int, number: int, tag: str) -> None:
        pipeline = self._pick(which)
        if pipeline.versions:
            chosen = self._version(pipeline, number)
            self.world.ask("POST", f"/pipeline/{pipeline.name}/versions/{chosen}/tag", json={"tag": tag})
            for version in pipeline.versions.values():
                version.tags.discard(tag)
            pipeline.versions[chosen].tags.add(tag)
            shown = self.world.ask("GET", f"/pipeline/{pipeline.name}/data?version={tag}")
            assert shown["version"] == chosen

    @precondition(lambda self: self.pipelines)
    @rule(which=NUMBERS, tag=TAGS)
    def untag(self, which: int, tag: str) -> None:
        pipeline = self._pick(which)
        tagged = [version for version in pipeline.versions.values() if tag in version.tags]
        answer = self.world.send("DELETE", f"/pipeline/{pipeline.name}/tags/{tag}")
        assert answer.status_code == (204 if tagged else 404)
        for version in tagged:
            version.tags.discard(tag)

    # the whole service

    @rule()
    def back_up(self) -> None:
        made = self.world.ask("POST", "/admin/backup", json={"directory": str(self.world.backups)})
        assert made["versions"] >= sum(len(p.versions) for p in self.pipelines.values())

    @precondition(lambda self: self.keyed)
    @rule(which=NUMBERS)
    def send_again(self, which: int) -> None:
        """The same key gets the same answer, byte for byte, and another request of it a conflict."""
        path, sent, first, key = self.keyed[which % len(self.keyed)]
        answer = self.world.send("POST", path, headers={"Idempotency-Key": key}, **sent)
        assert (answer.status_code, answer.content) == (first.status_code, first.content)
        assert answer.headers["Idempotency-Replayed"] == "true"
        other = f"{path}&wait=1" if "?" in path else f"{path}?wait=1"
        refused = self.world.send("POST", other, headers={"Idempotency-Key": key}, **sent)
        assert refused.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT", refused.text

    # what must hold

    @invariant()
    def the_service_agrees(self) -> None:
        if self.touched is not None:
            self._compare(self.touched)
            self.touched = None

    def _compare(self, pipeline: Pipeline) -> None:
        path = f"/pipeline/{pipeline.name}"
        ask = self.world.ask
        runs = [(run.status, run.version, run.restored) for run in reversed(pipeline.runs)]
        soon(
            lambda: [
                (r["status"], r["version"], r["restored_from"] is not None)
                for r in ask("GET", f"{path}/runs?limit=1000")["items"]
            ],
            runs,
        )
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
        assert ask("GET", "/pipeline?q=" + pipeline.name)["items"][0]["version"] == pipeline.newest
        for number in {pipeline.newest, min(pipeline.versions, default=None)} - {None}:
            rows = ask("GET", f"{path}/data?version={number}")["data"]
            assert [(row["id"], row["v"]) for row in rows] == pipeline.versions[number].rows  # type: ignore[index]
        folder = self.world.data / "warehouse" / pipeline.name
        if pipeline.versions:
            assert (folder / "current").readlink() == Path(f"v{pipeline.newest:06d}")
            wanted = {"current", *(f"v{number:06d}" for number in pipeline.versions)}
            soon(lambda: {p.name for p in folder.iterdir()}, wanted)


def test_the_service_agrees_with_the_model(world: World, request: pytest.FixtureRequest) -> None:
    thorough = settings().max_examples > DEFAULT
    chosen = settings(
        examples(EXAMPLES, suppress=list(HealthCheck)),
        stateful_step_count=THOROUGH_STEPS if thorough else STEPS,
        phases=(Phase.reuse, Phase.generate),  # a smaller failure is not worth hours
    )
    run_state_machine_as_test(machine_over(world), settings=chosen)
    world.served.log()
