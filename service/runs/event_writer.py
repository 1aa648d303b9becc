"""Writes the events of this process's runs as rows: those of all runs that wait at the same time in one transaction.

While the catalog does not answer they wait, in bounded memory; of those that are left out then the log has the number.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Collection

import msgspec
import structlog

from service.catalog.run_events import Addition, RunEvents, Unwritten
from service.files import event_journal
from service.files.event_journal import MOST_BYTES, Event, EventKind
from service.kit import clock
from service.kit.clock import Clock
from service.telemetry import log_context

_PAUSE = 0.05
"""Seconds between two transactions, in which events gather."""
_MOST_AT_ONCE = 500
_MOST_WAITING = MOST_BYTES
"""Of this process while the catalog does not answer, before events that are not vital are left out."""
_AGAIN = 1.0
_LAST = 10.0
"""Seconds that a process which ends waits for its last events to be written."""
_FLUSH = 2.0

_log = structlog.get_logger("penstock.run")


class _Waiting:
    """The events of a run that are not written yet; ``last`` is the id of the one before them, once it is known."""

    def __init__(self, fence: Callable[[], int | None]) -> None:
        self.fence = fence
        self.events: deque[Unwritten] = deque()
        self.last: int | None = None
        self.left_out = 0
        self.closed = False


class EventWriter:
    """Writes events in a task of the event loop. ``on_written`` is called with the ids of runs that have new ones."""

    def __init__(self, rows: RunEvents, clock: Clock, on_written: Callable[[Collection[str]], None]) -> None:
        self._rows = rows
        self._clock = clock
        self._on_written = on_written
        self._runs: dict[str, _Waiting] = {}
        self._bytes = 0
        self._woken = asyncio.Event()
        self._written = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    def put(
        self, run_id: str, fence: Callable[[], int | None], kind: EventKind, data: bytes, *, vital: bool
    ) -> None:  # fmt: skip
        """Let an event be written."""
        waiting = self._runs.setdefault(run_id, _Waiting(fence))
        waiting.closed = False
        if not event_journal.has_room(self._bytes, _MOST_WAITING, kind, vital=vital):
            waiting.left_out += 1
            return
        if waiting.left_out:
            self._add(waiting, "log", self._loss(run_id, waiting.left_out))
            waiting.left_out = 0
        self._add(waiting, kind, data)
        if self._task is None and not self._closing:
            self._task = asyncio.create_task(self._run(), context=log_context.nobody())
        self._woken.set()

    def release(self, run_id: str) -> None:
        """Forget a run when its events are written."""
        waiting = self._runs.get(run_id)
        if waiting is not None:
            waiting.closed = True
            self._forget(run_id, waiting)

    async def flush(self, run_id: str) -> None:
        """Wait until the events of a run are written, but not for long."""
        try:
            async with asyncio.timeout(_FLUSH):
                while (waiting := self._runs.get(run_id)) is not None and waiting.events:
                    await self._written.wait()
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Write what waits, and stop. Safe to call again."""
        self._closing = True
        if self._task is None:
            return
        self._woken.set()
        await asyncio.wait([self._task], timeout=_LAST)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if lost := sum(len(waiting.events) for waiting in self._runs.values()):
            _log.error("events.lost", events=lost, reason="the catalog did not answer before this process ended")

    def _add(self, waiting: _Waiting, kind: EventKind, data: bytes) -> None:
        waiting.events.append((kind, data))
        self._bytes += len(data)

    def _loss(self, run_id: str, count: int) -> bytes:
        message = "the catalog did not answer for too long: events are left out here"
        line = {"time": clock.rfc3339(self._clock.now()), "level": "warning", "event": "log.incomplete"}
        return msgspec.json.encode({**line, "run_id": run_id, "lines": count, "message": message})

    async def _run(self) -> None:
        failing = False
        while True:
            if not (additions := self._next()):
                if self._closing:
                    return
                self._woken.clear()
                await self._woken.wait()
                continue
            try:
                await asyncio.to_thread(self._rows.add, additions)
            except Exception as error:  # the catalog does not answer now
                for addition in additions:
                    self._runs[addition.run_id].last = addition.last
                if not failing:
                    _log.warning("events.not_written", reason=str(error), exception=type(error).__name__)
                failing = True
                await asyncio.sleep(_AGAIN)
                continue
            failing = False
            self._note(additions)
            if not self._closing or any(addition.done < len(addition.events) for addition in additions):
                await asyncio.sleep(_PAUSE)

    def _next(self) -> list[Addition]:
        found, room = [], _MOST_AT_ONCE
        for run_id, waiting in self._runs.items():
            if waiting.events and room > 0:
                events = [*itertools.islice(waiting.events, room)]
                room -= len(events)
                found.append(Addition(run_id, waiting.fence(), waiting.last, events))
        return found

    def _note(self, additions: Collection[Addition]) -> None:
        for addition in additions:
            waiting = self._runs[addition.run_id]
            waiting.last = addition.last
            for _ in range(addition.done):
                self._bytes -= len(waiting.events.popleft()[1])
            if addition.dropped:
                _log.warning("events.dropped", run_id=addition.run_id, events=addition.dropped, reason="superseded")
            self._forget(addition.run_id, waiting)
        written, self._written = self._written, asyncio.Event()
        written.set()
        self._on_written([addition.run_id for addition in additions])

    def _forget(self, run_id: str, waiting: _Waiting) -> None:
        if waiting.closed and not waiting.events and self._runs.get(run_id) is waiting:
            del self._runs[run_id]


class RowJournal:
    """The journal of one run whose events are rows. They have their ids, and are shown, when they are written."""

    def __init__(self, writer: EventWriter, run_id: str, fence: Callable[[], int | None]) -> None:
        self.last = self.left_out = self._size = 0
        self.complete = True
        self.held = False
        self._writer = writer
        self._run_id = run_id
        self._fence = fence

    def append(self, kind: EventKind, data: bytes, *, vital: bool = False) -> Event | None:
        if not event_journal.has_room(self._size, MOST_BYTES, kind, vital=vital):
            self.left_out += 1
        else:
            self._size += len(data)
            self._writer.put(self._run_id, self._fence, kind, data, vital=vital)
        return None

    def close(self) -> None:
        self._writer.release(self._run_id)

    def read(self, after: int, place: int) -> tuple[list[Event], int]:
        return [], place
