"""The rows of runs as a queue that several processes take from.

What is read in a transaction holds when it commits. Who claims a run passes over those that others are claiming.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from service.catalog.leases import Lease
from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction
from service.model.lifecycle import WAITING
from service.model.run import Run

_SQL = load_sql("run_queue")
ASKED, WAITED = "another process was asked to end the run", "the run was ended while it waited"
LOST = "the process that worked on the run is lost; log lines of its last moments may be missing"


class Change(Protocol):
    """Writes a run whose status has changed, and returns its token, raised by ``begun``."""

    def __call__(self, transaction: Transaction, run: Run, fence: int | None, *, begun: int = 0) -> int: ...


class RunQueue:
    """The runs that have not ended; ``lease`` is that of this process. Methods block.

    ``on_taken_over`` are called with the runs that were taken over from other processes.
    """

    def __init__(self, store: Store, lease: Lease, change: Change) -> None:
        self.on_taken_over: list[Callable[[Sequence[Run]], None]] = []
        self._store = store
        self._lease = lease
        self._change = change
        self.read_at = time.monotonic()
        """When this process read it last."""

    @property
    def shared(self) -> bool:
        """Whether other processes take from it, too."""
        return self._store.shared

    @property
    def store(self) -> Store:
        """The catalog that it is in."""
        return self._store

    @property
    def changes(self) -> int:
        """As ``Store.changes``."""
        return self._store.changes

    def hints(self, call: Callable[[str], None]) -> AbstractContextManager[None]:
        """As ``Store.hints``."""
        return self._store.hints(call)

    def waiting(self) -> list[tuple[str, Run]]:
        """Runs that wait for an attempt to begin, oldest first, with the id of their pipeline."""
        return [(row["pipeline_id"], _run(row)) for row in self._store.rows(_SQL["waiting"])]

    def length(self) -> int:
        """How many runs wait for an attempt, of all processes."""
        return sum(int(row["total"]) for row in self._store.rows(_SQL["count_waiting"]))

    def claim(
        self, now: datetime, begun: Callable[[Run, datetime], Run], labels: Collection[str] = (), *,
        only_labelled: bool = False,
    ) -> tuple[str, Run, int] | None:  # fmt: skip
        """Begin the next attempt of the oldest run that is due: its pipeline's id, ``begun`` of it, and its token.

        Runs have one of these ``labels``, or none unless ``only_labelled``.

        Due times are compared as texts, in whole seconds: an attempt begins up to a second late, and never early.
        """

        moment = now.strftime("%Y-%m-%dT%H:%M:%S")
        due = {"now": moment, "labels": sorted(labels), "only_labelled": only_labelled}

        def work(transaction: Transaction) -> tuple[str, Run, int] | None:
            row = transaction.claimed(_SQL["due"], due)
            if row is None:
                return None
            run = begun(_run(row), now)
            return row["pipeline_id"], run, self._change(transaction, run, None, begun=1)

        return self._store.claim(work)

    def end(self, run_id: str, successor: Callable[[Run], Run]) -> None:
        """Store the end of a run, whoever works on it; one that has ended stays as it is.

        The attempt of its owner can store nothing from then on.
        """

        def work(transaction: Transaction) -> None:
            row = transaction.row(_SQL["going"], {"run_id": run_id})
            if row is not None:
                run = _run(row)
                self._take(transaction, successor(run), ASKED if run.status == "running" else WAITED)

        self._store.write(work)

    def take_over(self, successor: Callable[[Run], Run], expired_at: datetime | None = None) -> list[Run]:
        """Store the next states of the running runs of other owners, and return them; their attempts store nothing.

        With ``expired_at`` only of those whose lease had run out by then.
        """

        def work(transaction: Transaction) -> list[Run]:
            taken = [successor(_run(row)) for row in self._lease.lost(transaction, expired_at)]
            for run in taken:
                self._take(transaction, run, LOST)
            return taken

        taken = self._store.write(work, urgent=True)  # a start needs it
        for call in self.on_taken_over:
            call(taken)
        return taken

    def give_up(self, run_ids: Collection[str], successor: Callable[[Run], Run]) -> None:
        """Store the next states of running runs that belong to this process, though it does not work on them."""

        def work(transaction: Transaction) -> None:
            for row in transaction.rows(_SQL["mine"], {"owner": self._lease.owner, "run_ids": sorted(run_ids)}):
                self._take(transaction, successor(_run(row)), LOST)

        self._store.write(work)

    def show(self, runs: Collection[tuple[Run, int]]) -> None:
        """Store how far running runs of this process are, each with its token, for others to see.

        One that has ended meanwhile, or belongs to another attempt, stays as it is.
        """

        def work(transaction: Transaction) -> None:
            for run, fence in runs:
                values = {"run_id": run.run_id, "fence": fence, "value": msgspec.json.encode(run).decode()}
                transaction.execute(_SQL["show"], values)

        self._store.write(work)

    def note_waiting(self, texts: Mapping[str, str | None]) -> None:
        """Store what waiting runs wait for, by their ids, and let their followers see it.

        One that waits no more stays as it is, and so does one of which another process has stored the same.
        """

        def work(transaction: Transaction) -> None:
            for run_id, text in texts.items():
                row = transaction.row(_SQL["going"], {"run_id": run_id})
                if row is None or (run := _run(row)).status not in WAITING or run.waiting_for == text:
                    continue
                noted = msgspec.structs.replace(run, waiting_for=text)
                value = msgspec.json.encode(noted).decode()
                transaction.execute(_SQL["note"], {"run_id": run_id, "status": run.status, "value": value})
                if self._store.remote:
                    from service.catalog import run_events

                    run_events.append(transaction, run_id, run_events.state_of(noted))

        self._store.write(work)

    def owned(self) -> set[str]:
        """The ids of the running runs that belong to this process."""
        return {row["run_id"] for row in self._store.rows(_SQL["owned"], {"owner": self._lease.owner})}

    def _take(self, transaction: Transaction, run: Run, reason: str) -> None:
        """Write the next state of a run, of which its owner can store nothing any more, nor show events."""
        self._change(transaction, run, None, begun=1)
        if self._store.remote:
            from service.catalog import run_events

            run_events.note_taken(transaction, run, reason)


def active(transaction: Transaction, pipeline_id: str, *, besides: str | None = None) -> Run | None:
    """The run of a pipeline that waits or is going, other than ``besides``."""
    row = transaction.row(_SQL["active"], {"pipeline_id": pipeline_id, "besides": besides})
    return _run(row) if row is not None else None


def waiting(transaction: Transaction) -> int:
    """How many runs wait for an attempt."""
    row = transaction.row(_SQL["count_waiting"])
    return int(row["total"]) if row is not None else 0


def _run(row: Row) -> Run:
    return msgspec.json.decode(row["value"], type=Run)
