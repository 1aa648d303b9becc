"""Runs that ended while the catalog could not be written: every reading shows the end, and the pipeline is free."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import cast

from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.files.layout import Layout
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.model.lifecycle import Status
from service.model.run import Run
from service.query.integrity import Integrity
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.runs.supervisor import Supervisor
from tests import stores
from tests.registry import REGISTRY

pytestmark = stores.BOTH

RUNNING = Run(run_id="run_1", pipeline="shop", revision=1, status="running", queued_at=FixedClock().now())
STATUSES: tuple[Status | None, ...] = (None, "cancelled", "running")
DOCUMENT = {"name": "shop", "collectors": [{"type": "csv", "file_path": "a.csv"}]}


class FullDisk(History):
    """A history that stores runs until the disk is full."""

    full = False

    def change_run(self, run: Run, fence: int | None = None) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().change_run(run, fence)


def test_every_reading_shows_the_end_of_a_run(tmp_path: Path) -> None:
    layout, clock, store = Layout(tmp_path), FixedClock(), stores.new()
    layout.create()
    history, pipelines = FullDisk(store), Pipelines(store, clock)
    record = pipelines.create("shop", "shop", DOCUMENT, None)
    history.add_run(record.id, RUNNING)
    resources = JobResources(Settings(), layout, cast(History, history), REGISTRY, clock, {}, Integrity(layout))

    async def act() -> None:
        supervisor = Supervisor(resources, pipelines)
        live = LiveRun(record.id, RUNNING, None, clock)
        supervisor._runs.add(live)
        history.full = True
        await supervisor._driver._end(live, "cancelled")
        for status in STATUSES:
            found, total = await supervisor.runs(record.id, limit=10, offset=0, status=status)
            expected = [] if status == "running" else ["cancelled"]
            assert ([run.status for run in found], total) == (expected, len(expected))
        newest = await supervisor.newest(record.id)
        assert (await supervisor.run("run_1")).status == "cancelled"
        assert newest is not None
        assert newest.status == "cancelled"
        assert await asyncio.to_thread(supervisor.newest_statuses, [record.id]) == {record.id: "cancelled"}
        assert not len(supervisor._runs)
        history.full = False
        await supervisor.close()
        assert history.run("run_1").status == "cancelled"

    asyncio.run(act())
    store.close()
