"""How long a worker waits for another query."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from service.files.layout import Layout
from service.query import pool
from service.query.pool import Group, Pool, PooledWorker


class Child:
    has_ended = False

    def __init__(self) -> None:
        self.killed = asyncio.Event()

    def kill(self) -> None:
        self.killed.set()

    async def wait(self) -> None:
        await self.killed.wait()


def a_pool(folder: Path) -> Pool:
    return Pool(
        Layout(folder), memory_bytes=1 << 30, spill_bytes=1 << 20, max_concurrent=4, per_caller=4, max_waiting=4,
        wait_seconds=5.0, most_seconds=5.0, sandbox=False,
    )  # fmt: skip


async def answered(workers: Pool, worker: PooledWorker) -> None:
    """The worker has answered a query and is free."""
    worker.sources, worker.group = {}, Group()
    place = await workers._places.take("", 5.0)
    worker.place = place
    workers._busy.add(worker)
    workers.finish(worker, free=True)


@pytest.fixture
def no_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pool, "_refill", lambda _: None)


@pytest.mark.usefixtures("no_spare")
def test_a_worker_that_waited_long_enough_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_IDLE_SECONDS", 0.05)

    async def scene() -> None:
        workers, child = a_pool(tmp_path), Child()
        await answered(workers, PooledWorker(cast(Any, child), tmp_path / "spill", 0))
        async with asyncio.timeout(30):
            await child.killed.wait()
        await workers.close()

    asyncio.run(scene())


@pytest.mark.usefixtures("no_spare")
def test_a_worker_waits_anew_after_each_query(tmp_path: Path) -> None:
    async def scene() -> None:
        workers, child = a_pool(tmp_path), Child()
        worker = PooledWorker(cast(Any, child), tmp_path / "spill", 0)
        await answered(workers, worker)
        timer = worker.expiry
        assert await workers.take(Group(), []) is worker
        workers.finish(worker, free=True)
        assert worker.expiry is timer, "one timer for all the times that it waits"
        workers._look(worker)
        assert worker.expiry is not None, "it has not waited long enough, and is looked at again"
        assert not child.killed.is_set()
        await workers.close()
        assert child.killed.is_set()

    asyncio.run(scene())
