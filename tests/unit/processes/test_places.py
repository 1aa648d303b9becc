"""Places are shared out fairly."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.kit import errors
from service.processes.places import Place, Places


def run(act: Callable[[Places], Awaitable[None]], *, most: int = 4, each: int = 2, slow: int = 2) -> None:
    async def whole() -> None:
        places = Places(most, each=each, queue=64, what="queries", slow=slow)
        async with asyncio.timeout(5):
            await act(places)
        assert places.taken == 0

    asyncio.run(whole())


def test_a_caller_holds_no_more_than_his_share() -> None:
    async def act(places: Places) -> None:
        mine = [await places.take("ann", 1) for _ in range(2)]
        with pytest.raises(errors.Unavailable, match="no place for queries"):
            await places.take("ann", 0.01)
        other = await places.take("bob", 0.01)
        for place in (*mine, other):
            place.release()
            place.release()

    run(act)


def test_a_long_queue_makes_nobody_else_wait_for_it() -> None:
    order: list[str] = []

    async def work(places: Places, who: str) -> None:
        place = await places.take(who, 5)
        order.append(who)
        await asyncio.sleep(0)
        place.release()

    async def act(places: Places) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(work(places, "ann"))
            await asyncio.sleep(0)
            for who in ("bob", "bob", "eve"):
                group.create_task(work(places, who))

    run(act, most=1, each=1)
    assert max(place for place, who in enumerate(order) if who != "ann") < 8


def test_who_used_less_is_served_first() -> None:
    served: list[str] = []

    async def waiter(places: Places, who: str) -> Place:
        place = await places.take(who, 5)
        served.append(who)
        return place

    async def act(places: Places) -> None:
        long = await places.take("ann", 1)
        await asyncio.sleep(0.02)
        long.release()
        holder = await places.take("eve", 1)
        tasks = []
        for who in ("ann", "bob"):
            tasks.append(asyncio.create_task(waiter(places, who)))
            await asyncio.sleep(0)
        holder.release()
        (await tasks[1]).release()
        (await tasks[0]).release()

    run(act, most=1, each=1)
    assert served == ["bob", "ann"]


def test_slow_work_leaves_places_for_quick_work() -> None:
    async def act(places: Places) -> None:
        streams = [await places.take(who, 1, slow=True) for who in ("ann", "bob")]
        waiting = asyncio.create_task(places.take("eve", 5, slow=True))
        await asyncio.sleep(0)
        quick = await places.take("eve", 0.01)
        assert not waiting.done()
        streams[0].release()
        for place in (await waiting, quick, streams[1]):
            place.release()

    run(act)


def test_the_last_place_is_for_quick_work_of_who_has_none() -> None:
    async def act(places: Places) -> None:
        held = [await places.take("ann", 1), await places.take("ann", 1), await places.take("bob", 1, slow=True)]
        waiting = [asyncio.create_task(places.take("bob", 5)), asyncio.create_task(places.take("dan", 5, slow=True))]
        await asyncio.sleep(0)
        last = await places.take("eve", 0.01)
        assert not any(task.done() for task in waiting)
        last.release()
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        held.pop(0).release()
        (await waiting[1]).release()  # who holds none comes first
        (await waiting[0]).release()
        for place in held:
            place.release()

    run(act)


def test_a_full_queue_refuses_only_its_caller() -> None:
    async def act(places: Places) -> None:
        held = [await places.take("ann", 1), await places.take("ann", 1)]
        queue = [asyncio.create_task(places.take("ann", 5)) for _ in range(64)]
        await asyncio.sleep(0)
        with pytest.raises(errors.Unavailable, match="of yours are waiting"):
            await places.take("ann", 5)
        (await places.take("bob", 0.01)).release()
        for task in queue:
            task.cancel()
        await asyncio.gather(*queue, return_exceptions=True)
        for place in held:
            place.release()

    run(act)


def test_a_place_that_is_given_to_a_cancelled_request_goes_on() -> None:
    async def act(places: Places) -> None:
        held = await places.take("ann", 1)
        first, second = (asyncio.create_task(places.take(who, 5)) for who in ("bob", "eve"))
        await asyncio.sleep(0)
        held.release()
        first.cancel()
        (await second).release()
        with pytest.raises(asyncio.CancelledError):
            await first

    run(act, most=1, each=1)


def test_callers_of_the_past_are_forgotten() -> None:
    async def act(places: Places) -> None:
        for number in range(2_500):
            (await places.take(f"caller {number}", 1)).release()
        assert len(places._shares) < 1_100

    run(act)
