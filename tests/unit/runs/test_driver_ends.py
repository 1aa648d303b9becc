"""Whatever happens while a run is being ended: it leaves its process, which can then end, and so can its pipeline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.catalog.history import History
from service.catalog.pipelines import PipelineRecord, Pipelines
from service.catalog.store import Store
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import FixedClock
from service.model import lifecycle
from service.model.run import Run
from service.runs import attempt_records
from service.runs.active_runs import ActiveRuns
from service.runs.driver import RunDriver
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.runs.membership import Membership
from service.runs.native_loads import NativeLoads
from service.runs.slots import Slots
from tests import stores

T0 = datetime(2026, 1, 1, tzinfo=UTC)
Fails = Callable[[], errors.PenstockError]


class Driven(RunDriver):
    """A driver of one run, whose attempt ends as ``ends`` says, with a catalog that others use, too."""

    def __init__(self, store: Store, clock: FixedClock, ends: Fails) -> None:
        store.shared = True
        self.history, self.runs, self._ends = History(store), ActiveRuns(), ends
        resources = SimpleNamespace(
            history=self.history, clock=clock, traces=SimpleNamespace(begin=lambda: None), layout=Layout(Path())
        )  # fmt: skip
        super().__init__(
            cast("JobResources", resources), cast("Pipelines", None), Slots(1), cast("NativeLoads", None), self.runs,
            cast("Membership", SimpleNamespace(renew=None, misfit=lambda _: None)),
        )  # fmt: skip
        self.resumes = True
        run = Run(
            run_id="run_1", pipeline="p", revision=1, status="running", queued_at=T0, start_time=T0, attempt=1,
            max_attempts=3,
        )  # fmt: skip
        self.history.add_run("pl", run)
        self.live = LiveRun("pl", run, None, clock)
        self.live.fence = 1
        self.runs.add(self.live)

    async def _attempt(self, live: LiveRun, record: PipelineRecord, replay: Any) -> errors.PenstockError | None:
        error = self._ends()
        if isinstance(error, lifecycle.Superseded):
            raise error
        return error

    def begin(self) -> None:
        record = PipelineRecord(id="pl", name="p", table="p", revision=1, document={}, created=T0, updated=T0)
        self.start(self.live, record)


@pytest.fixture
def store() -> Store:
    return stores.new()


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(5):
            await work

    asyncio.run(limited())


def test_a_run_that_was_superseded_is_not_stopped_while_its_state_is_read(
    store: Store, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driven(store, clock, lambda: lifecycle.superseded("run_1"))
    read, asked, answer = driver.history.run, threading.Event(), threading.Event()

    def slowly(run_id: str) -> Run:
        asked.set()
        assert answer.wait(20)
        return read(run_id)

    monkeypatch.setattr(driver.history, "run", slowly)

    async def work() -> None:
        driver.begin()
        await asyncio.to_thread(asked.wait, 20)
        driver.stop(driver.live, "superseded")  # as each look at the catalog does
        driver.stop(driver.live, "closing")
        answer.set()
        await driver.live.settled.wait()

    run(work())
    assert not driver.runs.all


@pytest.mark.parametrize("error", [lifecycle.superseded("run_1"), errors.Transient("the source does not answer")])
def test_a_run_leaves_its_process_though_the_catalog_is_away(
    error: errors.PenstockError, store: Store, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease runs out, and another process goes on: so nobody may hear that it failed."""
    driver = Driven(store, clock, lambda: error)

    def away(*_: object) -> Any:
        raise errors.Unavailable("the catalog is not available", code="CATALOG_UNAVAILABLE")

    for name in ("run", "change_run"):
        monkeypatch.setattr(driver.history, name, away)

    async def work() -> None:
        driver.begin()
        await driver.live.settled.wait()

    run(work())
    assert (driver.runs.all, driver.runs.find("run_1"), driver.live.run.ended) == ([], None, False)


def test_an_end_that_the_catalog_refuses_is_not_shown(store: Store, clock: FixedClock) -> None:
    """The run was lost to another process, which ended it otherwise."""
    driver = Driven(store, clock, lambda: errors.Permanent("a fault"))
    driver.history.queue.end("run_1", lambda run: attempt_records.cancelled(run, T0))

    async def work() -> None:
        driver.begin()
        await driver.live.settled.wait()
        assert driver.live.task is not None
        await driver.live.task

    run(work())
    assert driver.runs.find("run_1") is None
    assert driver.history.run("run_1").status == "cancelled"
