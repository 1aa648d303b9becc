"""The task runner: a few tasks at a time; tasks that wait for sources leave the slots of the others free."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from service.catalog.history import History
from service.files.layout import Layout
from service.jobs.messages import StoredParts
from service.jobs.tasks.task import Call, Planning, Preview, ProfilePage, Task, Validation
from service.kit import errors
from service.kit.clock import FixedClock
from service.kit.memory_budget import SMALLEST_RUN
from service.kit.settings import Settings
from service.query.integrity import Integrity
from service.runs.job_resources import JobResources
from service.runs.task_runner import TaskRunner
from service.values.profile import ColumnProfile, Correlation, Histogram, Profile
from tests.registry import REGISTRY

DOCUMENT: dict[str, Any] = {}
PREVIEW = Preview(document=DOCUMENT, rows=1)


class Hanging(TaskRunner):
    """A runner whose previews never end, and whose other tasks end at once."""

    began = asyncio.Semaphore(0)

    async def _answer(self, call: Call, steps: list[str], *, network: bool) -> bytes:
        steps.append("collectors[0] (api)")
        if isinstance(call.task, Preview):
            self.began.release()
            await asyncio.Event().wait()
        return b"done"


def _resources(folder: Path, settings: Settings) -> JobResources:
    layout = Layout(folder)
    layout.staging("x").parent.mkdir(parents=True)
    return JobResources(settings, layout, cast(History, None), REGISTRY, FixedClock(), {}, Integrity(layout))


@pytest.fixture
def hanging(tmp_path: Path) -> Hanging:
    Hanging.began = asyncio.Semaphore(0)
    return Hanging(_resources(tmp_path, Settings()), most=1, most_long=2, patience=0.01)


@pytest.mark.parametrize("task", [Planning(document=DOCUMENT), Validation(document=DOCUMENT)])
def test_hanging_previews_leave_slots_for_plans_and_validations(hanging: Hanging, task: Task) -> None:
    async def ask() -> None:
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(hanging.ask(PREVIEW, seconds=60)) for _ in range(2)]
            for _ in waiting:
                await hanging.began.acquire()
            with pytest.raises(errors.Unavailable) as refused:
                await hanging.ask(PREVIEW, seconds=60)
            assert refused.value.retry_after == 5
            assert await hanging.ask(task, seconds=60) == b"done"
            for one in waiting:
                one.cancel()

    asyncio.run(ask())


@pytest.mark.parametrize(("task", "step"), [(PREVIEW, "collectors[0] (api)")])
def test_a_task_that_takes_too_long_names_its_step(hanging: Hanging, task: Task, step: str) -> None:
    with pytest.raises(errors.TimedOut, match=r"longer than 0\.05 s") as caught:
        asyncio.run(hanging.ask(task, seconds=0.05))
    assert caught.value.details == {"step": step}
    assert caught.value.message.startswith(step)


def test_a_version_is_read_while_its_task_waits_for_a_slot(hanging: Hanging) -> None:
    folder = hanging.resources.layout.version("orders", 1)
    folder.mkdir(parents=True)
    (folder / "part-00000.parquet").touch()
    stored = {"x": StoredParts(pipeline="orders", version=1, parts=(str(folder / "part-00000.parquet"),), rows=1)}

    async def ask() -> None:
        holders = [asyncio.create_task(hanging.ask(PREVIEW, seconds=60)) for _ in range(2)]
        for _ in holders:
            await hanging.began.acquire()
        for expected in (errors.Unavailable, errors.Missing):
            waiting = asyncio.create_task(hanging.ask(PREVIEW, seconds=60, stored=stored))
            await asyncio.sleep(0)
            assert hanging.reads(folder)
            with pytest.raises(expected) as raised:
                await waiting
            assert not hanging.reads(folder)
            shutil.rmtree(folder, ignore_errors=True)
        assert raised.value.error_code == "VERSION_NOT_FOUND"
        for holder in holders:
            holder.cancel()

    asyncio.run(ask())


def test_a_slot_is_free_again_after_a_deadline(hanging: Hanging) -> None:
    async def ask() -> None:
        for _ in range(3):
            with pytest.raises(errors.TimedOut):
                await hanging.ask(PREVIEW, seconds=0.001)

    asyncio.run(ask())


def test_the_smallest_memory_draws_a_profile_page(tmp_path: Path) -> None:
    """V8, which draws the charts, reserves 512 MiB of addresses; the limit of the child must leave room for them."""
    column = ColumnProfile(
        name="price", type="float64", count=1, missing=0, missing_share=0.0, histogram=Histogram([0.0, 1.0], [1])
    )
    alone = Correlation(method="pearson", columns=[], matrix=[])
    table = Profile(row_count=1, column_count=1, duplicate_rows=0, columns=[column], correlation=alone, warnings=[])
    task = ProfilePage(pipeline="orders", version=1, created="2026-03-01T00:00:00Z", profiles=[table])
    runner = TaskRunner(_resources(tmp_path, Settings(run_memory_limit=SMALLEST_RUN)))
    assert b"<svg" in asyncio.run(runner.ask(task, seconds=60))
