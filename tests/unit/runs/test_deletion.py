"""A pipeline that is deleted: no run of it begins meanwhile or afterwards, whoever read it before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.catalog.history import History
from service.catalog.pipelines import PipelineRecord, Pipelines
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.query.integrity import Integrity
from service.runs.job_resources import JobResources
from service.runs.supervisor import Supervisor
from tests import stores
from tests.registry import REGISTRY

pytestmark = stores.BOTH

DOCUMENT = {"name": "shop", "collectors": [{"type": "csv", "file_path": "a.csv"}]}


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """With one pipeline, ``shop``."""
    layout, clock, store = Layout(tmp_path), FixedClock(), stores.new()
    layout.create()
    pipelines = Pipelines(store, clock)
    pipelines.create("shop", "shop", DOCUMENT, None)
    resources = JobResources(Settings(), layout, History(store), REGISTRY, clock, {}, Integrity(layout))
    yield Supervisor(resources, pipelines)
    store.close()


async def code_of(work: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(errors.PenstockError) as refused:
        await work
    return refused.value.error_code


@pytest.mark.parametrize("again", [False, True])
def test_a_run_of_a_pipeline_that_was_deleted_since_it_was_read_is_refused(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    record = supervisor.pipelines.get("shop")

    async def read_before(_: str) -> PipelineRecord:
        return record

    async def act() -> None:
        await supervisor.delete("shop", purge=False)
        if again:  # another one, under its name
            supervisor.pipelines.create("shop", "shop", DOCUMENT, None)
        monkeypatch.setattr(supervisor, "_idle", read_before)
        assert await code_of(supervisor.execute("shop", "admin")) == "PIPELINE_NOT_FOUND"
        assert not supervisor.is_active(record.id)

    asyncio.run(act())
    assert supervisor.history.runs(record.id, limit=10, offset=0) == ([], 0)


def test_no_run_begins_while_its_pipeline_is_being_deleted(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, delete = supervisor.pipelines.get("shop"), supervisor.pipelines.delete
    begun, may_end = threading.Event(), threading.Event()

    def slowly(name: str, **_: Any) -> str:
        begun.set()
        may_end.wait(60)
        return delete(name)

    monkeypatch.setattr(supervisor.pipelines, "delete", slowly)

    async def act() -> None:
        deletion = asyncio.create_task(supervisor.delete("shop", purge=True))
        await asyncio.to_thread(begun.wait, 60)
        assert await code_of(supervisor.execute("shop", "admin")) == "PIPELINE_RUNNING"
        may_end.set()
        await deletion
        assert await code_of(supervisor.execute("shop", "admin")) == "PIPELINE_NOT_FOUND"

    asyncio.run(act())
    assert supervisor.history.runs(record.id, limit=10, offset=0) == ([], 0)
