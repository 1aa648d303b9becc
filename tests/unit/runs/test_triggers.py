"""Triggers over a real catalog: who runs after whom, and that no commit counts twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.trigger_inputs import TriggerInputs
from service.kit.clock import FixedClock
from service.model.version import Version
from service.runs.triggers import Triggers
from tests import stores
from tests.unit.runs.queueing import Queue

pytestmark = stores.BOTH


class Town:
    def __init__(self) -> None:
        self.clock, store = FixedClock(), stores.new()
        self.pipelines, self.history, self.inputs = Pipelines(store, self.clock), History(store), TriggerInputs(store)
        self.queue = Queue(self.pipelines, self.history, self.clock)
        self.queue.holding = True

    def create(self, name: str, *after: str) -> None:
        document = {"name": name, **({"trigger": {"after": list(after)}} if after else {})}
        self.pipelines.create(name, name, document, None)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        triggers = Triggers(self.queue, self.inputs)  # type: ignore[arg-type]
        self.pipelines.on_change = triggers.reload
        self.history.on_published = lambda _: triggers.check()
        await triggers.start()
        try:
            yield
        finally:
            self.pipelines.on_change, self.history.on_published = lambda: None, lambda _: None
            self.queue.on_freed.clear()
            await triggers.close()

    async def commit(self, name: str, *, version: bool = True) -> None:
        """Let the run of a pipeline, a new one if none waits, commit a version or fail."""
        record = self.pipelines.get(name)
        run = self.queue.active.get(record.id) or await self.queue.execute(name, "ann")
        self.history.change_run(msgspec.structs.replace(run, status="running"))
        ended = msgspec.structs.replace(run, status="completed" if version else "failed", end_time=self.clock.now())
        if version:
            self.history.publish(record.id, ended, Version(
                pipeline=name, version=self.history.next_version(record.id), run_id=run.run_id, revision=1, table=name,
                rows=1, bytes=1, columns=[], files=[], sources=[], created=self.clock.now(),
            ))  # fmt: skip
        else:
            self.history.change_run(ended)
        self.queue.end(name)

    async def until(self, *names: str) -> None:
        """Wait until these pipelines, and no others, have a run that was triggered and has not ended."""
        async with asyncio.timeout(30):
            while self._waiting() != list(names):  # noqa: ASYNC110 - a test may watch
                await asyncio.sleep(0)

    def _waiting(self) -> list[str]:
        return sorted(run.pipeline for run in self.queue.active.values() if run.requested_by == "trigger")

    @property
    def triggered(self) -> list[str]:
        return [run.pipeline for run in self.queue.runs if run.requested_by == "trigger"]


def test_a_pipeline_runs_when_each_upstream_has_committed_since_its_last_run() -> None:
    async def test() -> None:
        town = Town()
        for name, after in {"a": (), "b": (), "c": ("a", "b"), "d": ("c",)}.items():
            town.create(name, *after)
        async with town.service():
            await town.commit("a")
            await town.commit("a")
            await town.commit("b", version=False)
            await town.commit("b")
            await town.until("c")
            await town.commit("a")
            await town.commit("b")  # while it runs: once more when it ends
            await town.commit("c")
            await town.until("c", "d")
            await town.commit("c", version=False)
            await town.commit("d")
            await town.until()
            assert sorted(town.triggered) == ["c", "c", "d"]
            await town.commit("a")
            await town.commit("c")  # by a person: what it has seen counts no more
            await town.until("d")
            await town.commit("b")
            await town.commit("d")
            await town.until()
            assert len(town.triggered) == 4

    asyncio.run(test())


def test_a_trigger_that_was_ready_before_a_crash_fires_after_it_once() -> None:
    async def test() -> None:
        town = Town()
        town.create("a")
        town.create("b", "a")
        await town.commit("a")
        for _ in range(2):
            async with town.service():
                await town.until("b")
        assert town.triggered == ["b"]

    asyncio.run(test())


def test_a_full_queue_delays_a_trigger() -> None:
    async def test() -> None:
        town = Town()
        town.create("a")
        town.create("b", "a")
        town.create("z")
        town.queue.places = 2
        async with town.service():
            await town.queue.execute("z", "ann")
            await town.queue.execute("a", "ann")
            town.queue.places = 1
            await town.commit("a")
            assert town.triggered == []
            town.queue.end("z")
            await town.until("b")

    asyncio.run(test())
