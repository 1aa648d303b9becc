"""Journals of runs that are rows of the catalog: any process shows the same events of any run, with the same ids.

The rows are the truth, for the process that executes a run, too. A hint, a commit of this process or the next look
shows that there are more of them; they are then read once, however many follow the run here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from contextlib import aclosing
from datetime import timedelta

import structlog

from service.catalog.run_events import End, RunEvents
from service.catalog.store import naive
from service.files.event_journal import Event, EventKind
from service.files.layout import Layout
from service.kit.clock import Clock
from service.model.run import Run
from service.runs.event_stream import Batch, EventStream, Journal
from service.runs.event_writer import EventWriter, RowJournal
from service.runs.journals import Journals
from service.runs.live_run import LiveRun
from service.telemetry import log_context

_LOOK = 0.5
_TRIES, _PAUSE = 20, 0.05
_log = structlog.get_logger("penstock.run")


class RowJournals(Journals):
    """The journals of all runs. Belongs to the event loop, except ``log_lines``.

    A run that has ended for longer than a lease without its last event gets it from who follows it.
    """

    def __init__(self, layout: Layout, rows: RunEvents, lease_seconds: float, clock: Clock) -> None:
        super().__init__(layout)
        self._rows = rows
        self._clock = clock
        self._patience = timedelta(seconds=lease_seconds)
        self._writer = EventWriter(rows, clock, self._note)
        self._tails: dict[str, _Tail] = {}
        self._hinted: set[str] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        await self._writer.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for tail in self._tails.values():
            tail.stream.suspend()

    def hinted(self, run_id: str | None = None) -> None:
        self._note(self._tails if run_id is None else [run_id])

    def journal(self, run_id: str, fence: Callable[[], int | None] = lambda: None) -> Journal:
        return RowJournal(self._writer, run_id, fence)

    async def follow(
        self, run: Run, live: LiveRun | None, after: int, quiet: float
    ) -> AsyncGenerator[Batch, None]:  # fmt: skip
        tail = self._tails.get(run.run_id)
        if tail is None:
            end = (await asyncio.to_thread(self._rows.ends, [run.run_id])).get(run.run_id, End(0, None))
            over = await asyncio.to_thread(self._rows.end, run.run_id)
            tail = self._tails.setdefault(run.run_id, _Tail(self._rows, run, end.last, over))
        tail.run = run
        tail.followers += 1
        self._note([run.run_id])  # what was written since
        if self._task is None:
            self._task = asyncio.create_task(self._look(), context=log_context.nobody())
        try:
            async with aclosing(tail.stream.follow(after, quiet)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            tail.followers -= 1
            if not tail.followers and self._tails.get(run.run_id) is tail:
                del self._tails[run.run_id]

    async def flush(self, run: Run) -> None:
        await self._writer.flush(run.run_id)
        for _ in range(_TRIES):  # until who executed it, elsewhere, has written the end
            end = await asyncio.to_thread(self._rows.end, run.run_id) if run.ended else 1
            if end or run.end_time is None or run.end_time + self._patience < self._clock.now():
                return
            await asyncio.sleep(_PAUSE)

    def log_lines(self, run_id: str) -> Iterator[list[bytes]]:
        return self._rows.log_lines(run_id)

    def _note(self, run_ids: Collection[str]) -> None:
        if found := self._tails.keys() & run_ids:
            self._hinted |= found
            self._woken.set()

    async def _look(self) -> None:
        while True:
            self._woken.clear()
            run_ids, self._hinted = self._hinted, set()
            try:
                await self._show(run_ids or {*self._tails})
            except Exception as error:  # the catalog does not answer now
                _log.warning("events.not_read", reason=str(error), exception=type(error).__name__)
            try:
                async with asyncio.timeout(_LOOK if self._tails else None):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _show(self, run_ids: Collection[str]) -> None:
        """Let followers have what was written of these runs since the last look."""
        tails = [tail for run_id in run_ids if (tail := self._tails.get(run_id)) is not None and not tail.ended]
        if not tails:
            return
        ends = await asyncio.to_thread(self._rows.ends, [tail.run.run_id for tail in tails])
        for tail in tails:
            end = ends.get(tail.run.run_id)
            if end is None:  # it was deleted
                tail.stream.suspend()
                continue
            if (
                tail.last >= end.last
                and end.ended is not None
                and end.ended + self._patience < naive(self._clock.now())
            ):
                await asyncio.to_thread(self._rows.finish, tail.run.run_id)
            while events := await asyncio.to_thread(self._rows.page, tail.run.run_id, tail.last):
                tail.show(events)


class _Tail:
    """The newest events of a run that somebody follows in this process."""

    left_out = 0
    complete = True
    held = False

    def __init__(self, rows: RunEvents, run: Run, last: int, end: int) -> None:
        self.run = run
        self.last = last
        self.ended = end > 0
        self.followers = 0
        self._rows = rows
        self.stream = EventStream(self, end)

    def show(self, events: Collection[Event]) -> None:
        for event in events:
            self.last = event.id
            self.ended = self.ended or event.kind == "end"
            self.stream.show(event)

    def append(self, kind: EventKind, data: bytes, *, vital: bool = False) -> Event | None:
        return None  # who executes the run writes

    def close(self) -> None:
        pass

    def read(self, after: int, place: int) -> tuple[list[Event], int]:
        events = self._rows.page(self.run.run_id, max(after, place))
        return events, events[-1].id if events else place
