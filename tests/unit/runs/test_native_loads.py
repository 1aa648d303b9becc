"""Loads of native tables take turns, and give way to runs: a run gets its slot at once, the load goes on beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.files.layout import Layout
from service.runs import native_loads
from service.runs.native_loads import NativeLoads
from service.runs.slots import Slots


class Load:
    """A load that is under way until it is told to end, in the place of an attempt."""

    def __init__(self) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()
        self.gives_way: list[bool] = []  # whether entirely
        self.closed = False

    async def derive(self) -> None:
        self.begun.set()
        await self.end.wait()

    def give_way(self, *, entirely: bool) -> None:
        self.gives_way.append(entirely)

    async def close(self) -> None:
        self.closed = True


def act(root: Path, work: Callable[[Slots, Callable[[], Load], NativeLoads], Awaitable[None]]) -> None:
    async def timed() -> None:
        slots = Slots(1)
        resources: Any = SimpleNamespace(layout=Layout(root))
        pipelines: Any = None
        loads = NativeLoads(resources, pipelines, slots)

        def begin() -> Load:
            load = Load()
            run = SimpleNamespace(storage_location="v", storage=[])
            live: Any = SimpleNamespace(pipeline_id="p", run=run, close=lambda: None, log=lambda *_, **__: None)
            loads.finish(cast(Any, load), live)
            return load

        async with asyncio.timeout(10):
            await work(slots, begin, loads)

    asyncio.run(timed())


def test_a_run_begins_while_a_load_is_under_way_which_gives_way(tmp_path: Path) -> None:
    async def work(slots: Slots, begin: Callable[[], Load], loads: NativeLoads) -> None:
        load = begin()
        await load.begun.wait()
        assert not load.gives_way, "there is no run: it may have all cores"
        await slots.take("run")
        assert load.gives_way == [True]
        load.end.set()
        await loads.wait()
        assert load.closed

    act(tmp_path, work)


def test_loads_go_on_while_there_is_always_a_run(tmp_path: Path) -> None:
    async def work(slots: Slots, begin: Callable[[], Load], loads: NativeLoads) -> None:
        await slots.take("run 0")
        first, second = begin(), begin()
        for number, load in enumerate((first, second)):
            await load.begun.wait()
            assert load.gives_way == [True], "it begins beside a run"
            assert not second.begun.is_set() or load is second
            slots.free(f"run {number}")
            await slots.take(f"run {number + 1}")
            load.end.set()
        await loads.wait()

    act(tmp_path, work)


def test_a_load_that_gets_nothing_of_the_cores_begins_again_with_a_small_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_loads, "_PATIENCE_SECONDS", 0.0)

    async def work(slots: Slots, begin: Callable[[], Load], loads: NativeLoads) -> None:
        await slots.take("run")
        load = begin()
        while load.gives_way != [True, False]:
            await load.begun.wait()
            load.begun.clear()
        load.end.set()
        await loads.wait()
        assert load.gives_way == [True, False], "once"

    act(tmp_path, work)
