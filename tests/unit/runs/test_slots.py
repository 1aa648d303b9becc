"""A run has a slot while its worker is at work; as many runs as there are slots may commit without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from service.runs.slots import Slots


def act(work: Callable[[Slots], Awaitable[None]], count: int = 1) -> None:
    async def timed() -> None:
        async with asyncio.timeout(10):
            await work(Slots(count))

    asyncio.run(timed())


def test_the_next_run_works_while_one_commits_and_no_more() -> None:
    async def work(slots: Slots) -> None:
        await slots.take("a")
        await slots.take("a")
        assert not slots.has_free, "it has the slot, and takes no second one"
        slots.commit_without("a")
        await slots.take("b")
        slots.commit_without("b")
        assert not slots.has_free, "a catalog that is slow holds the next runs up"
        slots.free("a")
        assert not slots.has_free
        slots.free("b")
        assert slots.has_free

    act(work)


def test_a_slot_is_given_back_once() -> None:
    async def work(slots: Slots) -> None:
        await slots.take("a")
        await slots.take("b")
        waiting = asyncio.create_task(slots.take("c"))
        slots.commit_without("a")
        for _ in range(3):
            slots.free("a")
        await waiting
        assert not slots.has_free, "b and c have them"

    act(work, 2)


def test_without_slots_nobody_works() -> None:
    async def work(slots: Slots) -> None:
        assert not slots.has_free
        slots.free("a")
        assert not slots.has_free

    act(work, 0)


def test_closed_slots_are_given_to_nobody_and_held_ones_stay() -> None:
    async def work(slots: Slots) -> None:
        await slots.take("a")
        slots.close()
        assert not slots.has_free
        assert not await slots.reserve()
        waiting = asyncio.create_task(slots.take("b"))
        await slots.take("a")
        slots.free("a")
        done, _ = await asyncio.wait([waiting], timeout=0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not done
        assert not waiting.done()
        waiting.cancel()
        assert slots.held == 0

    act(work, 2)
