"""The scheduler: queues a run when a schedule is due, one run for each time, whatever happens to the service.

The fire is committed with its run. A time that is due while its pipeline runs fires when that run ends, together with
those that follow it; a time for which the queue has no place fires as soon as there is one. Times missed while the
service was down fire once or not at all; ``misfire`` decides.

It sleeps until the next time, at most ``_LONGEST_SLEEP`` seconds, since the clock of the machine may be set. Times that
a clock leaves out when it is set forward are missed; when it is set back, times that fired do not fire again.
"""

from __future__ import annotations

import asyncio
import functools
from datetime import date, datetime, timedelta

import structlog

from service.catalog.schedules import AlreadyFired, Schedules, record_fire
from service.catalog.store import Transaction
from service.kit import errors
from service.kit.clock import Clock, rest_until
from service.model.run import Run
from service.model.schedule import ScheduleState
from service.runs.supervisor import Supervisor

REQUESTED_BY = "schedule"
_LONGEST_SLEEP = timedelta(seconds=30)
_JUMP = 60.0  # seconds by which a clock that was set differs from the time that passed
_PAUSE = timedelta(seconds=5)  # after an error, such as a full disk
_log = structlog.get_logger("penstock.schedule")


class Scheduler:
    """Fires the schedules of all pipelines. Its methods belong to the event loop, except ``reload``."""

    def __init__(self, supervisor: Supervisor, schedules: Schedules, clock: Clock) -> None:
        self._supervisor = supervisor
        self._schedules = schedules
        self._clock = clock
        self._states: dict[str, ScheduleState] = {}
        self._due: dict[str, datetime] = {}
        self._together: dict[str, datetime | None] = {}  # up to when due times are one fire; None: up to the fire
        self._delayed: set[str] = set()  # those that found no place in the queue, logged once each
        self._swept: date | None = None
        self._stale = True
        self._seen = clock.now(), clock.monotonic()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the schedules, decide about times missed until now, and begin to fire."""
        self._loop = asyncio.get_running_loop()
        self._supervisor.on_freed.append(self._woken.set)
        await self._load()
        await self._misfire(self._clock.now())
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop firing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def lag(self) -> float:
        """Seconds since the schedule was due that waits longest for its run; 0 if none does."""
        now = self._clock.now()
        return max([0.0, *((now - due).total_seconds() for due in self._due.values())])

    def reload(self) -> None:
        """Read the schedules again; after a configuration changed. May be called in any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._reload)

    def _reload(self) -> None:
        self._stale = True
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            now, jump = self._look()
            wake = now + _LONGEST_SLEEP
            try:
                if self._stale or jump:
                    await self._load()
                if jump > 0:
                    await self._misfire(now)
                await self._fire_due(now)
                await self._sweep(now)
                wake = min([wake, *(due for due in self._due.values() if due > now)])
            except Exception as error:  # the catalog cannot be read or written now
                self._stale = True
                wake = now + _PAUSE
                _log.error("schedule.not_fired", reason=str(error), exception=type(error).__name__)
            await rest_until(self._clock, wake if self._states else None, self._woken)

    async def _sweep(self, now: datetime) -> None:
        """Once a day, forget old fires."""
        if self._swept != now.date():
            self._swept = now.date()
            await asyncio.to_thread(self._schedules.sweep)

    def _look(self) -> tuple[datetime, float]:
        """The present time, and the seconds by which the clock was set since the last look; 0 if it was not."""
        (before, began), self._seen = self._seen, (self._clock.now(), self._clock.monotonic())
        now, elapsed = self._seen[0], self._seen[1] - began
        jump = (now - before).total_seconds() - elapsed
        return now, jump if abs(jump) > _JUMP or now < before else 0.0

    async def _load(self) -> None:
        self._stale = False
        states = await asyncio.to_thread(self._schedules.all)
        now = self._clock.now()
        self._states = {state.pipeline_id: state for state in states if state.active}
        self._due = {key: state.schedule.after(_done(state, now)) for key, state in self._states.items()}
        self._together = {key: until for key, until in self._together.items() if key in self._states}

    async def _misfire(self, now: datetime) -> None:
        """Skip the times missed up to now, or make them one fire."""
        for key, state in self._states.items():
            if self._due[key] > now:
                continue
            if state.schedule.misfire == "run_once":
                self._together[key] = now
                continue
            since, due = self._due[key], state.schedule.latest(self._due[key], now) or self._due[key]
            await asyncio.to_thread(self._schedules.skip, key, since, due)
            self._due[key] = state.schedule.after(due)
            _log.warning("schedule.skipped", pipeline=state.name, since=since.isoformat(), due=due.isoformat())

    async def _fire_due(self, now: datetime) -> None:
        for key in sorted((k for k in self._due if self._is_due(k, now)), key=lambda k: (self._due[k], k)):
            while self._is_due(key, now) and not self._supervisor.is_active(key):
                due = self._due[key]
                if not await self._fire(self._states[key], now):
                    return
                if self._due.get(key) == due:  # a run is going, perhaps in another process
                    break
            if self._is_due(key, now):
                self._together.setdefault(key, None)  # when the run ends, all times up to then are one fire

    def _is_due(self, key: str, now: datetime) -> bool:
        return key in self._due and self._due[key] <= now

    async def _fire(self, state: ScheduleState, now: datetime) -> bool:
        """Queue the run of a due schedule. Returns false if the queue has no place now."""
        key = state.pipeline_id
        since = due = self._due[key]
        if key in self._together:
            due = state.schedule.latest(since, self._together[key] or now) or since
        record = functools.partial(_record, key, since, due)
        try:
            run = await self._supervisor.execute(state.name, REQUESTED_BY, alongside=[record])
            _log.info("schedule.fired", pipeline=state.name, run_id=run.run_id, due=due.isoformat())
        except AlreadyFired:  # the clock was set back
            await asyncio.to_thread(self._schedules.handle, key, due)
        except errors.Unavailable as error:
            if key not in self._delayed:
                self._delayed.add(key)
                _log.warning("schedule.delayed", pipeline=state.name, due=due.isoformat(), reason=error.message)
            return False
        except errors.Conflict:  # a person was quicker
            self._together.setdefault(key, None)
            return True
        except errors.Missing:  # deleted: the change that reloads the schedules is on its way
            self._due.pop(key)
            return True
        self._together.pop(key, None)
        self._delayed.discard(key)
        self._due[key] = state.schedule.after(due)
        return True


def _done(state: ScheduleState, now: datetime) -> datetime:
    """The time up to which a schedule is done. A clock that was set back since is noticed some seconds later."""
    return state.handled if state.handled <= now else now - _LONGEST_SLEEP


def _record(pipeline_id: str, since: datetime, due: datetime, transaction: Transaction, run: Run) -> None:
    record_fire(transaction, pipeline_id, since, due, run)
