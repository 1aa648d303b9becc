"""A child that is stopped for long is noticed; a pause of the whole machine is not its fault."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from service.processes import watch
from service.processes.watch import Observed, Watch


class Machine:
    """A clock and a child: ``states`` are what each look sees, as (seconds since the last one, is stopped)."""

    def __init__(self, *states: tuple[float, bool]) -> None:
        self._states = iter(states)
        self._now = 0.0
        self._stopped = False

    def monotonic(self) -> float:
        passed, self._stopped = next(self._states, (None, False))
        if passed is None:
            raise asyncio.CancelledError  # nothing more is seen
        self._now += passed
        return self._now

    def sample(self, _: int) -> bool:
        return self._stopped


STOPPED, GOING = (0.2, True), (0.2, False)


@pytest.mark.parametrize(
    ("states", "stalled"),
    [
        ([GOING, *[STOPPED] * 27], True),
        ([GOING, *[STOPPED] * 20], False),
        ([GOING, *[STOPPED] * 20, GOING, *[STOPPED] * 20], False),
        ([GOING, STOPPED, (3600.0, True), *[STOPPED] * 20, GOING], False),  # a pause of both, the child wakes later
        ([GOING, (3600.0, True), GOING], False),
        ([GOING, (3600.0, True), *[STOPPED] * 27], True),  # the child does not wake
    ],
)
def test_a_pause_of_the_whole_machine_does_not_count(
    states: list[tuple[float, bool]], stalled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, told = Machine((0.0, False), *states), list[float]()

    async def at_once(_: float) -> None:
        return None

    async def observe() -> None:
        found = Watch(1, 5.0, lambda: told.append(found.observed.stopped_seconds))
        with contextlib.suppress(asyncio.CancelledError):
            await found._task

    monkeypatch.setattr(watch, "time", machine)
    monkeypatch.setattr(Observed, "sample", machine.sample)
    monkeypatch.setattr(asyncio, "sleep", at_once)
    asyncio.run(observe())
    assert bool(told) is stalled
    assert all(5.0 <= seconds < 6.0 for seconds in told)
