"""The journals of runs: where their events are kept, and who follows them.

They are files of the data directory, or rows of a catalog that outlives it (``runs.row_journals``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from service.files import event_journal
from service.files.event_journal import EventJournal, EventKind
from service.files.layout import Layout
from service.model.run import Run, public
from service.runs import event_stream
from service.runs.event_stream import Batch, Journal

if TYPE_CHECKING:
    from service.catalog.history import History
    from service.kit.clock import Clock
    from service.runs.live_run import LiveRun


class Journals:
    """The journals in the data directory, which this process has alone."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    @classmethod
    def of(cls, layout: Layout, history: History, clock: Clock) -> Journals:
        """The journals of the runs in ``history``."""
        if history.events is None:
            return Journals(layout)
        from service.runs.row_journals import RowJournals

        return RowJournals(layout, history.events, history.lease.seconds, clock)

    def start(self) -> None:
        """Begin to keep and show events."""

    async def close(self) -> None:
        """Keep what is not kept yet, and end what follows. Safe to call again."""

    def hinted(self, run_id: str | None = None) -> None:
        """Look soon for events that other processes kept, of a run or of all."""

    def journal(self, run_id: str, fence: Callable[[], int | None] = lambda: None) -> Journal:
        """The journal of a run for who executes it; ``fence`` answers the token of the present attempt."""
        return EventJournal(self._layout.log(run_id))

    def follow(self, run: Run, live: LiveRun | None, after: int, quiet: float) -> AsyncGenerator[Batch, None]:
        """The events of a run with an id above ``after`` up to its end, as ``EventStream.follow``.

        ``live`` is the run if this process has it in memory.
        """
        if live is not None:
            return live.events(after, quiet)
        state = msgspec.json.encode(public(run))
        ending: list[tuple[EventKind, bytes]] = [("status", state), ("end", state)] if run.ended else []
        return event_stream.replay(self._layout.log(run.run_id), after, ending)

    async def flush(self, run: Run) -> None:
        """Wait until what happened up to now can be read in the log of a run, if that is soon."""

    def log_lines(self, run_id: str) -> Iterator[list[bytes]]:
        """The log lines of a run so far, some at a time. Blocks."""
        return event_journal.log_lines(self._layout.log(run_id))
