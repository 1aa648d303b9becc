"""The events of a run and who follows them.

An event is encoded once and written to the journal once, however many follow. A follower has nothing but a position:
what it has not received yet comes from the newest events in memory, or, if it is slower than they are, from the
journal. The more follow, the more events they get at once, so that all together cost a bounded share of a core.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from service.files import event_journal
from service.files.event_journal import Event, EventJournal, EventKind

_NEWEST, _NEWEST_BYTES = 500, 256 * 1024  # kept in memory while a run is in progress
_FEW = 20  # followers that get each event at once
_SENDS = 1000  # batches a second that all followers get together
_LONGEST_WAIT = 1.0  # seconds

Batch = Sequence[Event]


class Journal(Protocol):
    """Keeps the events of one run; ``last`` is the id of the newest one, ``left_out`` the number of those that it had
    no room for, and ``complete`` whether it has every other one."""

    last: int
    left_out: int
    complete: bool
    held: bool

    def append(self, kind: EventKind, data: bytes, *, vital: bool = False) -> Event | None:
        """Keep an event. None if it is left out, or has no id yet."""

    def close(self) -> None:
        """Let go of what is open; the next event opens it again."""

    def read(self, after: int, place: int) -> tuple[list[Event], int]:
        """Some of the events behind ``place`` (0, or where the call before ended), none of those after ``after``
        missing, and the place behind them. Blocks; raises ``OSError``, ``errors.PenstockError``."""


_finishing = threading.Lock()


class EventStream:
    """The events of one run in this process. Used in the event loop only."""

    def __init__(self, journal: Journal, end: int = 0) -> None:
        self.followers = 0
        self._journal = journal
        self._newest: deque[Event] = deque()
        self._bytes = 0
        self._end = end  # the id of the event that ends the stream
        self._suspended = False
        self._changed = asyncio.Event()
        self._waking: asyncio.TimerHandle | None = None

    def emit(self, kind: EventKind, data: bytes, *, vital: bool = False) -> None:
        """Add an event, a JSON object. One that is not ``vital`` may be left out of a long journal."""
        event = self._journal.append(kind, data, vital=vital)
        if event is not None:
            self.show(event)

    def show(self, event: Event) -> None:
        """Let followers have the next event, which the journal has."""
        self._newest.append(event)
        self._bytes += len(event.data)
        while len(self._newest) > 1 and (len(self._newest) > _NEWEST or self._bytes > _NEWEST_BYTES):
            self._bytes -= len(self._newest.popleft().data)
        if event.kind == "end" and not self._end:
            self._end = event.id
        self._wake()

    def suspend(self) -> None:
        """End the stream although the run has not ended: another process goes on."""
        self._suspended = True
        self._wake()

    def close(self) -> None:
        """Forget the events in memory that the journal has."""
        self._journal.close()
        if self._journal.complete:
            self._newest.clear()
            self._bytes = 0

    async def follow(self, after: int, quiet_seconds: float) -> AsyncGenerator[Batch, None]:
        """Events with an id above ``after``, as they happen, up to the ``end`` event.

        An empty batch means that nothing happened for ``quiet_seconds``. An id that no event has yet belongs to a
        journal that was deleted: the stream then begins at the first event.
        """
        if after > self._journal.last:
            after = 0
        offset = 0
        self.followers += 1
        try:
            while not 0 < self._end <= after:
                changed = self._changed  # before the look, so that nothing is missed
                batch = self._in_memory(after)
                if batch is None:
                    batch, offset = await self._from_journal(after, offset)
                if batch:
                    yield batch
                    after = batch[-1].id
                elif self._suspended or self._end:
                    return
                else:
                    try:
                        async with asyncio.timeout(quiet_seconds):
                            await changed.wait()
                    except TimeoutError:
                        yield ()
        finally:
            self.followers -= 1

    def _in_memory(self, after: int) -> Batch | None:
        """The newest events above ``after``; None if there are earlier ones that only the journal has."""
        if after >= self._journal.last:
            return ()
        if not self._newest or self._newest[0].id > after + 1:
            return None
        return _after(self._newest, after)

    async def _from_journal(self, after: int, offset: int) -> tuple[Batch, int]:
        while True:
            try:
                events, offset = await asyncio.to_thread(self._journal.read, after, offset)
            except OSError:
                break
            if batch := _after(events, after):
                return batch, offset
            if not events:
                break
        return _after(self._newest, after), offset  # what is between them is lost

    def _wake(self) -> None:
        if self.followers and self._waking is None:
            wait = 0.0 if self.followers <= _FEW else min(_LONGEST_WAIT, self.followers / _SENDS)
            self._waking = asyncio.get_running_loop().call_later(wait, self._notify)

    def _notify(self) -> None:
        self._waking = None
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def replay(path: Path, after: int, ending: Sequence[tuple[EventKind, bytes]]) -> AsyncGenerator[Batch, None]:
    """The events above ``after`` in the journal of a run that no process works on.

    ``ending`` are the events that end the journal of a run that has ended; a service that died did not write them.
    """
    if ending:
        await asyncio.to_thread(_finish, path, ending)
    offset = last = end = 0
    while True:
        events, offset = await _read(path, offset)
        if not events:
            break
        last = events[-1].id
        if not end:
            end = next((event.id for event in events if event.kind == "end"), 0)
            if not 0 < end <= after and (batch := _after(events, after)):
                yield batch
            if after < end:
                return
    unwritten = [] if end else [Event(number, kind, data) for number, (kind, data) in enumerate(ending, last + 1)]
    if after > last + len(unwritten):  # of a journal that was deleted
        async for batch in replay(path, 0, ending):
            yield batch
    elif batch := _after(unwritten, after):
        yield batch


async def _read(path: Path, offset: int) -> tuple[list[Event], int]:
    try:
        return await asyncio.to_thread(event_journal.read, path, offset)
    except OSError:
        return [], offset


def _finish(path: Path, ending: Sequence[tuple[EventKind, bytes]]) -> None:
    """Write the end of a journal that lacks it."""
    offset = 0
    with contextlib.suppress(OSError), _finishing:
        while path.exists():
            events, offset = event_journal.read(path, offset)
            if any(event.kind == "end" for event in events):
                return
            if not events:
                break
        journal = EventJournal(path)
        for kind, data in ending:
            journal.append(kind, data)


def _after(events: Iterable[Event], after: int) -> Batch:
    """The events with higher ids, up to the one that ends the stream."""
    found: list[Event] = []
    for event in events:
        if event.id > after:
            found.append(event)
            if event.kind == "end":
                break
    return found
