"""A child is kept if its work left nothing behind; it keeps its limits; whatever is doubtful ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from service.processes import forkserver, kept, landlock
from service.processes.kept import KeptChildren
from service.processes.limits import Limits
from service.processes.spares import Spares
from tests.acceptance.served import children_of
from tests.unit.processes import entries
from tests.unit.processes.entries import Done, Work

LIMITS = Limits(memory_bytes=1 << 30)
_PATIENCE = 30


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    forkserver.prepare(["polars", "duckdb"])


class Workshop:
    """Kept children over a folder; ``published`` has the folders of works that ended, as the service moves them."""

    def __init__(self, root: Path) -> None:
        self.staging, self.published = root / "warehouse" / ".staging", root / "warehouse" / "orders"
        self.staging.mkdir(parents=True)
        self.published.mkdir()
        self.spares, self.children = Spares(), KeptChildren()
        self.children.keep(2)

    async def work(self, *acts: str, wanted: Limits = LIMITS, clean: bool = True, publish: bool = True) -> Done:
        """One piece of work; it also tries to write into what earlier ones published."""
        place = await self.children.take(wanted, self.staging)
        folder = place.folder / "run"
        others = [str(file) for file in sorted(self.published.glob("*/part"))]
        order = msgspec.json.encode(Work(str(folder), list(acts), others))
        child = await self.children.start(place, entries.keep, order, self.spares)
        answer = await child.receive()
        if publish and answer is not None:
            folder.rename(self.published / str(len(others)))
        await self.children.finish(place, clean=clean)
        assert answer is not None, await child.wait()
        return msgspec.json.decode(answer, type=Done)

    def waiting(self) -> list[int]:
        return [place.child.pid for place in self.children._waiting if place.child is not None]


InWorkshop = Callable[[Callable[[Workshop], Awaitable[None]]], None]


@pytest.fixture
def in_workshop(tmp_path: Path) -> InWorkshop:
    """Runs a coroutine function with a workshop, and checks that nothing is left afterwards."""

    def run(act: Callable[[Workshop], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_PATIENCE):
                workshop = Workshop(tmp_path)
                try:
                    await act(workshop)
                finally:
                    await workshop.children.close()
                    await workshop.spares.close()
                assert not list(workshop.staging.iterdir())

        before = set(children_of(os.getpid()))
        asyncio.run(bounded())
        deadline = time.monotonic() + _PATIENCE
        while left := set(children_of(os.getpid())) - before - {forkserver.pid()}:
            assert time.monotonic() < deadline, left

    return run


def test_a_clean_child_does_more_work(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        pids = [(await workshop.work()).pid for _ in range(4)]
        assert len(set(pids)) == 1
        assert workshop.waiting() == pids[:1]

    in_workshop(act)


@pytest.mark.parametrize(
    "trace", ["leave a file", "leave a spilled file", "leave an open file", "leave a mapped file", "complain"]
)
def test_a_child_that_leaves_something_is_ended(trace: str, in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        first = await workshop.work(trace)
        assert not workshop.waiting()
        assert (await workshop.work()).pid != first.pid

    in_workshop(act)


@pytest.mark.parametrize("growth", ["leave threads", "leave memory"])
def test_a_child_that_grows_is_ended(growth: str, in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        first = await workshop.work()
        assert (await workshop.work(growth)).pid == first.pid
        assert not workshop.waiting()

    in_workshop(act)


def test_a_child_whose_first_work_left_memory_is_ended(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        await workshop.work("leave memory")
        assert not workshop.waiting()

    in_workshop(act)


def test_a_child_whose_files_are_still_there_is_ended(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        await workshop.work(publish=False)
        assert not workshop.waiting()

    in_workshop(act)


def test_a_child_is_ended_if_its_work_failed(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        await workshop.work(clean=False)
        assert not workshop.waiting()

    in_workshop(act)


def test_a_child_that_does_not_come_to_an_end_is_ended(
    in_workshop: InWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_FREE_SECONDS", 0.1)

    async def act(workshop: Workshop) -> None:
        place = await workshop.children.take(LIMITS, workshop.staging)
        order = msgspec.json.encode(Work(str(place.folder / "run"), unending=True))
        child = await workshop.children.start(place, entries.keep, order, workshop.spares)
        assert await child.receive()
        (place.folder / "run").rename(workshop.published / "0")
        await workshop.children.finish(place, clean=True)
        assert (await child.wait()).signal is signal.SIGKILL
        assert not workshop.waiting()

    in_workshop(act)


def test_a_child_reaches_nothing_that_an_earlier_work_made(in_workshop: InWorkshop) -> None:
    """What it wrote is published from its folder: from then on it has no right to it, where the kernel has Landlock."""
    reached = not landlock.abi()

    async def act(workshop: Workshop) -> None:
        for number in range(3):
            assert (await workshop.work()).written == [reached] * number
        assert len(workshop.waiting()) == 1
        found = {part.read_bytes() for part in workshop.published.glob("*/part")}
        assert found == ({b"rows", b"changed"} if reached else {b"rows"})

    in_workshop(act)


def test_a_child_does_no_work_with_other_limits(in_workshop: InWorkshop, tmp_path: Path) -> None:
    async def act(workshop: Workshop) -> None:
        first = await workshop.work()
        for other in (
            Limits(memory_bytes=1 << 29),
            Limits(memory_bytes=1 << 30, network=True),
            Limits(memory_bytes=1 << 30, read=(str(tmp_path),)),
        ):
            assert (await workshop.work(wanted=other)).pid != first.pid
            assert len(workshop.waiting()) == 1, "a child that waits made room for another one"

    in_workshop(act)


@pytest.mark.parametrize("how", ["replaced", "linked", "made"])
def test_a_child_does_no_work_where_what_it_may_read_is_another(
    how: str, in_workshop: InWorkshop, tmp_path: Path
) -> None:
    """Its rights are rights to the folder that had the name when they were made."""
    root, other = tmp_path / "root", tmp_path / "other"
    other.mkdir()
    if how != "made":
        root.mkdir()

    async def act(workshop: Workshop) -> None:
        wanted = msgspec.structs.replace(LIMITS, read=(str(root),))
        first = await workshop.work(wanted=wanted)
        assert (await workshop.work(wanted=wanted)).pid == first.pid
        if how != "made":
            root.rename(tmp_path / "before")
        if how == "linked":
            root.symlink_to(other)
        else:
            root.mkdir()
        second = await workshop.work(wanted=wanted)
        assert second.pid != first.pid
        assert (await workshop.work(wanted=wanted)).pid == second.pid

    in_workshop(act)


def test_peak_memory_is_that_of_the_present_work(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        before = await workshop.work()
        large, after = await workshop.work("need memory"), await workshop.work()
        assert before.pid == large.pid == after.pid
        assert large.peak >= before.peak + 90
        assert after.peak < before.peak + 30

    in_workshop(act)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_child_costs_no_work(number: signal.Signals, in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        first = await workshop.work()
        os.kill(first.pid, number)
        second = await workshop.work()
        assert second.pid != first.pid
        assert workshop.waiting() == [second.pid]

    in_workshop(act)


def test_a_child_that_is_killed_at_work_is_not_kept(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        await workshop.work()
        place = await workshop.children.take(LIMITS, workshop.staging)
        order = msgspec.json.encode(Work(str(place.folder / "run"), unending=True))
        child = await workshop.children.start(place, entries.keep, order, workshop.spares)
        assert await child.receive()
        os.kill(child.pid, signal.SIGKILL)
        assert await child.receive() is None
        assert (await child.wait()).signal is signal.SIGKILL
        await workshop.children.finish(place, clean=True)
        assert not workshop.waiting()

    in_workshop(act)


def test_the_memory_limit_holds_for_each_work(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        await workshop.work()
        with pytest.raises(AssertionError, match="code=1"):
            await workshop.work("exhaust memory")
        assert not workshop.waiting()

    in_workshop(act)


def test_a_child_waits_and_works_for_a_while_only(in_workshop: InWorkshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_MOST_WORKS", 3)
    monkeypatch.setattr(kept, "_IDLE_SECONDS", 0.2)

    async def act(workshop: Workshop) -> None:
        pids = [(await workshop.work()).pid for _ in range(4)]
        assert len(set(pids[:3])) == 1
        assert pids[3] != pids[0]
        while workshop.waiting():  # noqa: ASYNC110 - it ends without being asked
            await asyncio.sleep(0.01)

    in_workshop(act)


def test_no_more_wait_than_may(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        workshop.children.keep(1)
        places = [await workshop.children.take(LIMITS, workshop.staging) for _ in range(2)]
        for number, place in enumerate(places):
            order = msgspec.json.encode(Work(str(place.folder / "run")))
            child = await workshop.children.start(place, entries.keep, order, workshop.spares)
            assert await child.receive()
            (place.folder / "run").rename(workshop.published / str(number))
        for place in places:
            await workshop.children.finish(place, clean=True)
        assert len(workshop.waiting()) == 1

    in_workshop(act)


def test_works_that_end_together_leave_no_more_than_may_wait(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        for most in (1, 0):
            workshop.children.keep(1)
            places = [await workshop.children.take(LIMITS, workshop.staging) for _ in range(2)]
            for number, place in enumerate(places):
                order = msgspec.json.encode(Work(str(place.folder / "run")))
                child = await workshop.children.start(place, entries.keep, order, workshop.spares)
                assert await child.receive()
                (place.folder / "run").rename(workshop.published / f"{most} {number}")
            ends = [asyncio.create_task(workshop.children.finish(place, clean=True)) for place in places]
            await asyncio.sleep(0)
            workshop.children.keep(most)  # 0: the service stops meanwhile
            await asyncio.gather(*ends)
            assert len(workshop.waiting()) == most

    in_workshop(act)


def test_a_start_that_is_cancelled_leaves_nothing(in_workshop: InWorkshop) -> None:
    async def act(workshop: Workshop) -> None:
        for delay in (0.0, 0.001, 0.01, 0.02):
            await workshop.work()
            place = await workshop.children.take(LIMITS, workshop.staging)
            order = msgspec.json.encode(Work(str(place.folder / "run")))
            starting = asyncio.create_task(workshop.children.start(place, entries.keep, order, workshop.spares))
            await asyncio.sleep(delay)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await workshop.children.finish(place, clean=False)
            assert not workshop.waiting()

    in_workshop(act)
