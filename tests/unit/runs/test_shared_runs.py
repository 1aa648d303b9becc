"""A process that stops while it takes a run: what the catalog gives it then is not left to a lease that runs out."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.catalog.history import History
from service.catalog.leases import Lease
from service.catalog.pipelines import Pipelines
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.model.run import Run
from service.query.integrity import Integrity
from service.runs.active_runs import ActiveRuns
from service.runs.driver import RunDriver
from service.runs.job_resources import JobResources
from service.runs.membership import Membership
from service.runs.shared_runs import SharedRuns
from service.runs.slots import Slots
from tests import stores
from tests.registry import REGISTRY


def test_a_run_that_is_given_to_a_process_which_stops_is_begun(
    tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, layout = stores.new(), Layout(tmp_path)
    layout.create()
    store.shared = True
    pipelines, history = Pipelines(store, clock), History(store, lease=Lease(store, clock, 15))
    record = pipelines.create("a", "a", {"name": "a"}, None)
    run = Run(run_id="run_0", pipeline="a", revision=record.revision, status="queued", queued_at=clock.now())
    history.add_run(record.id, run)
    history.lease.begin()
    claim, asked, answer = history.queue.claim, threading.Event(), threading.Event()

    def slowly(*given: Any, **named: Any) -> Any:
        asked.set()
        assert answer.wait(20)
        return claim(*given, **named)

    monkeypatch.setattr(history.queue, "claim", slowly)
    begun: list[str] = []
    driver = SimpleNamespace(resumes=True, unwritten={}, start=lambda live, _: begun.append(live.run.run_id))
    process = SimpleNamespace(own=SimpleNamespace(labels=(), only_labelled=False), lacking=lambda _: None)
    resources = JobResources(Settings(), layout, history, REGISTRY, clock, {}, Integrity(layout))
    slots, runs = Slots(1), ActiveRuns()

    async def work() -> None:
        shared = SharedRuns(
            resources, pipelines, slots, cast("RunDriver", driver), runs, cast("Membership", process)
        )  # fmt: skip
        shared.start()
        await asyncio.to_thread(asked.wait, 20)
        closing = asyncio.create_task(shared.close())
        assert shared._task is not None
        while not shared._task.cancelling():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0)
        answer.set()
        await closing
        await shared.pace.close()

    asyncio.run(work())
    assert history.run("run_0").status == "running"
    assert (begun, [live.run.run_id for live in runs.all], slots.held) == (["run_0"], ["run_0"], 1)
    store.close()
