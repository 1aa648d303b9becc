"""The scheduler over a real catalog and a clock that the test moves: one run for each time, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.schedules import Schedules
from service.kit.clock import FixedClock
from service.runs.scheduler import Scheduler
from tests import stores
from tests.unit.model.wall_clock import EXPRESSIONS, fires
from tests.unit.runs.queueing import Queue

pytestmark = stores.BOTH

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(minute: float, hour: int = 12) -> datetime:
    return NOON.replace(hour=hour) + timedelta(minutes=minute)


class Town:
    """A catalog, a clock and a queue that outlive schedulers."""

    def __init__(self, now: datetime = NOON) -> None:
        self.clock, self.store = FixedClock(now), stores.new()
        self.pipelines = Pipelines(self.store, self.clock)
        self.schedules = Schedules(self.store, self.clock)
        self.queue = Queue(self.pipelines, History(self.store), self.clock)
        self.fired: list[tuple[datetime, datetime]] = []

    def create(self, name: str = "orders", cron: str = "* * * * *", **more: Any) -> None:
        self.pipelines.create(name, name, {"name": name, "schedule": {"cron": cron, **more}}, None)

    def change(self, name: str = "orders", **schedule: Any) -> None:
        self.pipelines.update(name, name, {"name": name, "schedule": schedule}, None)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """The time between a start and a stop of the service."""
        scheduler = Scheduler(self.queue, self.schedules, self.clock)  # type: ignore[arg-type]
        self.pipelines.on_change = self.schedules.on_change = scheduler.reload
        await scheduler.start()
        try:
            await self.settle()
            yield
        finally:
            self.pipelines.on_change = self.schedules.on_change = lambda: None
            self.queue.on_freed.clear()
            await scheduler.close()

    async def settle(self) -> None:
        """Wait until the scheduler sleeps again."""
        for _ in range(10):  # a wake-up from a thread or from the end of a run comes with the next turns
            await asyncio.sleep(0)
        while (sleeps := self.clock.sleeps) is None or sleeps <= 0:  # noqa: ASYNC110 - a test may watch
            await asyncio.sleep(0)

    async def pass_to(self, moment: datetime, step: float = 60.0) -> None:
        while self.clock.now() < moment:
            self.clock.advance(min(step, (moment - self.clock.now()).total_seconds()))
            await self.settle()

    def dues(self, name: str = "orders") -> list[datetime]:
        """The times that have a run."""
        rows = self.store.rows(
            "SELECT due FROM schedule_fires f JOIN runs r ON r.run_id = f.run_id WHERE r.pipeline = $name ORDER BY due",
            {"name": name},
        )
        return [row["due"].replace(tzinfo=UTC) for row in rows]

    def started(self, name: str = "orders") -> list[datetime | None]:
        return [run.queued_at for run in self.queue.runs if run.pipeline == name]


def scenario(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 300))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


ZONES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 23, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 6, 30, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 0, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 0, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 9, 0, tzinfo=UTC)),
]
CRONS = ["30 2 * * *", "15 1 * * *", "*/20 2 * * *", "0 12 * * *", "*/30 * * * *", "5 * * * *", "0 */2 * * *"]


@pytest.mark.parametrize(("zone", "start"), ZONES)
def test_a_change_of_the_clock_second_by_second(zone: str, start: datetime) -> None:
    _pass_second_by_second(zone, start, start + timedelta(hours=3), CRONS)


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "start"), ZONES)
def test_eight_hours_around_a_change_of_the_clock_second_by_second(zone: str, start: datetime) -> None:
    _pass_second_by_second(zone, start - timedelta(hours=3), start + timedelta(hours=5), EXPRESSIONS)


def _pass_second_by_second(zone: str, start: datetime, end: datetime, crons: list[str]) -> None:
    """Each run is queued at the second at which the oracle sees its time, and no other run is."""

    async def test() -> None:
        town = Town(start)
        for place, cron in enumerate(crons):
            town.create(f"p{place}", cron, timezone=zone)
        async with town.service():
            await town.pass_to(end, step=1.0)
        for place, cron in enumerate(crons):
            minutes = start + timedelta(minutes=1)
            expected = fires(cron, ZoneInfo(zone), minutes, end + timedelta(minutes=1))
            assert town.dues(f"p{place}") == expected, cron
            assert town.started(f"p{place}") == expected, cron

    scenario(test)()


@scenario
async def test_due_while_its_pipeline_runs_fires_once_when_the_run_ends() -> None:
    town = Town()
    town.create()
    town.queue.holding = True
    async with town.service():
        await town.pass_to(at(5.5))
        assert town.dues() == [at(1)]
        town.queue.end("orders")
        await town.settle()
        assert (town.dues(), town.started()) == ([at(1), at(5)], [at(1), at(5.5)])
        town.queue.end("orders")
        await town.settle()
        assert town.dues() == [at(1), at(5)]
        await town.pass_to(at(6))
        assert town.dues() == [at(1), at(5), at(6)]


@scenario
async def test_a_full_queue_delays_fires_and_loses_none() -> None:
    town = Town()
    for place in range(5):
        town.create(f"p{place}", "1 12 * * *")
    town.queue.holding, town.queue.places = True, 2
    async with town.service():
        await town.pass_to(at(3))
        assert [run.pipeline for run in town.queue.runs] == ["p0", "p1"]
        for ended in ("p0", "p1", "p2", "p3", "p4"):
            town.queue.end(ended)
            await town.settle()
        assert [run.pipeline for run in town.queue.runs] == ["p0", "p1", "p2", "p3", "p4"]
        assert all(town.dues(f"p{place}") == [at(1)] for place in range(5))


@scenario
async def test_times_missed_while_the_service_was_down() -> None:
    town = Town()
    town.create("once", "*/10 * * * *")
    town.create("skipped", "*/10 * * * *", misfire="skip")
    async with town.service():
        await town.pass_to(at(10))
    town.clock.advance(45 * 60)
    async with town.service():
        assert (town.dues("once"), town.started("once")) == ([at(10), at(50)], [at(10), at(55)])
        assert (town.dues("skipped"), town.started("skipped")) == ([at(10)], [at(10)])
        missed = town.store.rows("SELECT since, due FROM schedule_fires WHERE run_id IS NULL")
        assert missed == [{"since": at(20).replace(tzinfo=None), "due": at(50).replace(tzinfo=None)}]
        await town.pass_to(at(60))
        assert town.dues("once")[2:] == town.dues("skipped")[1:] == [at(60)]


@scenario
async def test_a_restart_at_once_neither_repeats_nor_loses_a_time() -> None:
    town = Town()
    town.create()
    for minute in range(1, 6):
        async with town.service():
            await town.pass_to(at(minute))
        async with town.service():
            await town.pass_to(at(minute + 0.5))
    assert town.dues() == town.started() == [at(minute) for minute in range(1, 6)]


@scenario
async def test_a_pause_survives_a_restart_and_a_change_and_is_not_made_up_for() -> None:
    town = Town()
    town.create()
    town.create("other", "0 0 * * *")  # so that the scheduler sleeps
    async with town.service():
        await town.pass_to(at(1))
        town.schedules.pause("orders")
        await asyncio.sleep(0)
        town.clock.advance(120)
    async with town.service():
        pass
    town.change(cron="*/2 * * * *", misfire="skip")
    assert town.schedules.get("orders").paused
    assert town.schedules.get("orders").next_fire(town.clock.now()) is None
    town.clock.advance(180)
    town.schedules.resume("orders")
    async with town.service():
        await town.pass_to(at(8))
    assert town.dues() == [at(1), at(8)]


@scenario
async def test_changes_take_effect_at_once() -> None:
    town = Town()
    town.create("other", "0 0 * * *")  # so that the scheduler sleeps
    async with town.service():
        town.create(cron="0 13 * * *")
        await town.settle()
        town.change(cron="5 12 * * *")
        await town.settle()
        await town.pass_to(at(5))
        assert town.dues() == [at(5)]
        town.change(cron="*/10 * * * *", enabled=False)
        await town.pass_to(at(25))
        town.change(cron="*/10 * * * *")
        await town.settle()
        await town.pass_to(at(30))
        assert town.dues() == [at(5), at(30)]
        town.pipelines.delete("orders")
        town.create("others", "45 12 * * *")
        await town.settle()
        await town.pass_to(at(50))
        assert (town.dues(), town.dues("others")) == ([at(5), at(30)], [at(45)])


@scenario
async def test_a_clock_that_is_set_back_repeats_no_time() -> None:
    town = Town()
    town.create()
    async with town.service():
        await town.pass_to(at(3))
        town.clock.set(at(0.5))
        await town.pass_to(at(5), step=10)
        assert town.dues() == town.started() == [at(minute) for minute in range(1, 6)]


@scenario
async def test_a_clock_that_was_a_year_ahead_misses_times_and_does_not_stop_the_schedule() -> None:
    town = Town()
    town.create()
    town.create("skipped", misfire="skip")
    async with town.service():
        town.clock.set(ahead := NOON + timedelta(days=365))
        town.clock.advance(30)
        await town.settle()
        assert (town.started(), town.started("skipped")) == ([ahead + timedelta(seconds=30)], [])
        town.clock.set(at(0.5))
        await town.pass_to(at(3), step=10)
        assert town.started()[1:] == town.started("skipped") == [at(1), at(2), at(3)]
