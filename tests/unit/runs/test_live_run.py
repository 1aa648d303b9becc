"""What listeners hear of a run: everything once, from where they were, and an end."""

from __future__ import annotations

import asyncio

import pytest

from service.kit.clock import FixedClock
from service.model.run import Run
from service.runs.live_run import LiveRun


def started() -> LiveRun:
    run = Run(run_id="run_1", pipeline="orders", revision=1, status="queued")
    live = LiveRun("p", run, None, FixedClock())
    live.change(status="running")
    live.log("info", "step.started")
    return live


async def heard(live: LiveRun, after: int) -> list[tuple[int, str]]:
    return [(event.id, event.kind) async for batch in live.events(after, 60.0) for event in batch]


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        (0, [1, 2, 3, 4]),
        (2, [3, 4]),
        (4, []),  # the end itself: a browser comes back with it
        (5, []),  # what was logged after the end
        (99, [1, 2, 3, 4]),  # of a journal that was deleted
    ],
)
def test_a_run_that_has_ended_is_told_to_its_end(after: int, wanted: list[int]) -> None:
    async def follow() -> None:
        live = started()
        live.change(status="completed")
        live.log("info", "table.loaded")
        async with asyncio.timeout(5):
            found = await heard(live, after)
        assert [number for number, _ in found] == wanted
        assert not found or found[-1][1] == "end"

    asyncio.run(follow())


def test_whoever_comes_with_an_id_of_another_life_hears_what_comes_too() -> None:
    async def follow() -> None:
        live = started()
        listening = asyncio.create_task(heard(live, 99))
        await asyncio.sleep(0)
        live.change(status="failed")
        async with asyncio.timeout(5):
            assert [number for number, _ in await listening] == [1, 2, 3, 4]

    asyncio.run(follow())
