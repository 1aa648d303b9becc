"""The events of runs as rows, where the catalog may outlive the data directory of who executes them.

Ids count from 1 over all attempts, whichever process makes them. An event has its id when its row is committed, and
nobody is shown it before: so whoever reads finds the same events with the same ids. Rows are added by the attempt that
has the run's token, and in the transactions that take it away from one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction
from service.files.event_journal import Event, EventKind
from service.kit import clock
from service.model.lifecycle import ENDED
from service.model.run import Run, public

_SQL = load_sql("run_events")
_PAGE = 500
Unwritten = tuple[EventKind, bytes]


class Addition:
    """Events of one run that are to be written by an attempt with the token ``fence`` (None: whatever it is).

    ``last`` is the id of the last event that was there before the first try: an earlier try that was committed is found
    behind it. ``done`` is how many of them need no further try: the end of a run is written when the catalog has it.
    ``dropped`` is how many of an attempt that has lost its run are not written, beside its states.
    """

    def __init__(self, run_id: str, fence: int | None, last: int | None, events: Sequence[Unwritten]) -> None:
        self.run_id = run_id
        self.fence = fence
        self.last = last
        self.events = events
        self.done = self.dropped = 0


class End(NamedTuple):
    """The last event of a run, and when it ended."""

    last: int
    ended: datetime | None


class RunEvents:
    """The events of the runs in ``store``. Methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, additions: Collection[Addition]) -> None:
        """Write events in one transaction, and set ``last`` to the id of the last one. Safe to repeat after an error.

        Of an attempt that has lost its run only log lines are written, and of a run that has its ``end`` already.
        """

        def work(transaction: Transaction) -> list[_Share]:
            known = _ends(transaction, [addition.run_id for addition in additions])
            shares = [_share(transaction, addition, known.get(addition.run_id)) for addition in additions]
            rows: list[tuple[str, int, EventKind, bytes]] = []
            for addition, share in zip(additions, shares, strict=True):
                rows += [(addition.run_id, id_, *event) for id_, event in enumerate(share.events, share.after + 1)]
            _insert(transaction, rows)
            return shares

        for addition, share in zip(additions, self._store.append(work), strict=True):
            addition.last, addition.done, addition.dropped = share.after + len(share.events), share.done, share.dropped

    def page(self, run_id: str, after: int) -> list[Event]:
        """Some of the events with an id above ``after``, in order; none if there are none."""
        rows = self._store.rows(_SQL["page"], {"run_id": run_id, "after": after, "limit": _PAGE})
        return [Event(row["id"], row["kind"], row["data"].encode()) for row in rows]

    def ends(self, run_ids: Collection[str]) -> dict[str, End]:
        """How far the events of these runs go; runs that are gone are left out."""
        rows = self._store.rows(_SQL["ends"], {"run_ids": [*run_ids]})
        return {row["run_id"]: End(row["last"], row["end_time"]) for row in rows}

    def end(self, run_id: str) -> int:
        """The id of the event that ends a run; 0 before."""
        row = self._store.row(_SQL["end"], {"run_id": run_id})
        return int(row["id"] or 0) if row is not None else 0

    def finish(self, run_id: str) -> None:
        """Write the end of a run that has ended, if nobody has: the process that executed it was killed before."""

        def work(transaction: Transaction) -> None:
            row = transaction.row(_SQL["ended"], {"run_id": run_id})
            if row is not None:
                append(transaction, run_id, state_of(msgspec.json.decode(row["value"], type=Run)))

        self._store.append(work)

    def pages(self, run_id: str) -> Iterator[list[Event]]:
        """All events of a run, some at a time; those of an old release's journal, with ids below 1, too."""
        after = -(1 << 62)
        while events := self.page(run_id, after):
            after = events[-1].id
            yield events

    def log_lines(self, run_id: str) -> Iterator[list[bytes]]:
        """The log lines of a run, some at a time."""
        for events in self.pages(run_id):
            yield [event.data for event in events if event.kind == "log"]


def note_taken(transaction: Transaction, run: Run, reason: str) -> None:
    """Part of the transaction that ends a run, or lets another attempt follow, in place of the process that had it."""
    ends = [run.end_time, *(attempt.end_time for attempt in run.attempts[-1:])]
    line = {
        "time": next((clock.rfc3339(end) for end in ends if end is not None), None), "level": "warning",
        "event": f"run.{run.status}", "run_id": run.run_id, "pipeline": run.pipeline, "message": reason,
    }  # fmt: skip
    append(transaction, run.run_id, [("log", msgspec.json.encode(line)), *state_of(run)])


def state_of(run: Run) -> list[Unwritten]:
    """The events that show the state of a run, and that it has ended."""
    state = msgspec.json.encode(public(run))
    return [("status", state), ("end", state)] if run.ended else [("status", state)]


def append(transaction: Transaction, run_id: str, events: Sequence[Unwritten]) -> None:
    """Add events behind those that are there."""
    row = _ends(transaction, [run_id]).get(run_id)
    first = row["last"] + 1 if row is not None else 1
    _insert(transaction, [(run_id, id_, *event) for id_, event in enumerate(events, first)])


def insert(transaction: Transaction, run_id: str, events: Sequence[Event]) -> None:
    """Add events that have their ids."""
    _insert(transaction, [(run_id, *event) for event in events])


class _Share(NamedTuple):
    """What a transaction writes of an addition, behind which id, and what it then is."""

    after: int
    events: Sequence[Unwritten]
    done: int
    dropped: int = 0


def _share(transaction: Transaction, addition: Addition, row: Row | None) -> _Share:
    every = len(addition.events)
    if row is None:  # the run was deleted
        return _Share(0, [], every, every)
    if addition.last is None:
        addition.last = row["last"]
    rest, ended = [*addition.events], False
    if row["last"] > addition.last:
        page = {"run_id": addition.run_id, "after": addition.last, "limit": 1 << 31}
        for there in transaction.rows(_SQL["page"], page):
            if rest and rest[0] == (there["kind"], there["data"].encode()):
                del rest[0]
            ended = ended or there["kind"] == "end"
    if ended or addition.fence not in (None, row["fence"]):
        lines = [event for event in rest if event[0] == "log"]
        return _Share(row["last"], lines, every, sum(kind == "progress" for kind, _ in rest))
    end = next((place for place, (kind, _) in enumerate(rest) if kind == "end"), None)
    if end is not None and row["status"] not in ENDED:  # the catalog may still refuse it
        kept = rest[: max(0, end - 1)]  # before the state, too
        return _Share(row["last"], kept, every - len(rest) + len(kept))
    return _Share(row["last"], rest, every)


def _ends(transaction: Transaction, run_ids: Sequence[str]) -> dict[str, Row]:
    return {row["run_id"]: row for row in transaction.rows(_SQL["ends"], {"run_ids": run_ids})}


def _insert(transaction: Transaction, rows: Sequence[tuple[str, int, EventKind, bytes]]) -> None:
    if rows:
        run_ids, ids, kinds, data = zip(*rows, strict=True)
        values = {"run_ids": [*run_ids], "ids": [*ids], "kinds": [*kinds], "data": [one.decode() for one in data]}
        transaction.execute(_SQL["insert"], values)
