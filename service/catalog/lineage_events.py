"""Events of runs that wait to be sent to an OpenLineage service, in the order in which they happened.

They are stored in the transactions that begin and end runs, and removed when they are sent. The catalog has the facts;
the event itself is made when it is sent. The queue is bounded in number and age.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from service.catalog import version_rows
from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction, naive
from service.kit.clock import Clock
from service.model import openlineage
from service.model.openlineage import EventType
from service.model.run import Run
from service.model.version import Version

_SQL = load_sql("lineage_events")
_MOST = 10_000
_PATIENCE = timedelta(hours=24)
_ACCEPTED = "ACCEPTED"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An event to send: what happened to a run and when, its configuration, and the version that it has.

    ``due`` is the time of the schedule that started the run, None for others. ``accepted``: the run was held, and its
    version is published now, with which it is complete once more.
    """

    sequence: int
    event: EventType
    time: datetime
    run: Run
    document: dict[str, Any]
    version: Version | None
    due: datetime | None
    accepted: bool = False


class LineageEvents:
    """The queue in the catalog. Methods block."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def next(self, limit: int) -> list[Waiting]:
        """The events that wait longest, in order."""
        return [_waiting(row) for row in self._store.rows(_SQL["next"], {"limit": limit})]

    def started_by(self, names: Sequence[str], run: Run) -> tuple[str, str] | None:
        """The run, and its pipeline, that committed the last version of ``names`` before ``run`` was queued."""
        assert run.queued_at is not None
        row = self._store.row(_SQL["started_by"], {"names": list(names), "queued_at": naive(run.queued_at)})
        return (row["run_id"], row["name"]) if row is not None else None

    def remove(self, last: int) -> None:
        """Remove the events up to one that was sent."""
        self._store.write(lambda transaction: transaction.execute(_SQL["remove"], {"sequence": last}))

    def trim(self) -> int:
        """Remove the oldest events above 10 000, and those older than 24 hours. Returns how many."""
        values = {"most": _MOST, "before": naive(self._clock.now() - _PATIENCE)}
        row = self._store.row(_SQL["surplus"], values)
        if row is None or not row["surplus"]:
            return 0
        self.remove(row["sequence"])
        return int(row["surplus"])

    def sweep(self) -> None:
        """Remove old events that nobody sends, since no service is configured any more."""
        self.trim()


def note(transaction: Transaction, run: Run, pipeline_id: str | None = None) -> None:
    """Store the event of the present status of a run, if it has one. Part of the transaction that stores the status.

    ``pipeline_id`` is that of a new run. A run that ends before it started has no events.
    """
    event = openlineage.event_type(run.status, run.attempt)
    time = run.end_time if run.ended else run.start_time
    if event is None or time is None or run.start_time is None:
        return
    values = {"run_id": run.run_id, "event": event, "time": naive(time)}
    if pipeline_id is None:
        transaction.execute(_SQL["insert_of_run"], values)
    else:
        transaction.execute(_SQL["insert"], values | {"pipeline_id": pipeline_id})


def note_accepted(transaction: Transaction, run: Run, at: datetime) -> None:
    """Store that the version of a held run is published. Part of the transaction that publishes it."""
    transaction.execute(_SQL["insert_of_run"], {"run_id": run.run_id, "event": _ACCEPTED, "time": naive(at)})


def _waiting(row: Row) -> Waiting:
    accepted = row["event"] == _ACCEPTED
    return Waiting(
        sequence=row["sequence"], event="COMPLETE" if accepted else cast(EventType, row["event"]), accepted=accepted,
        time=row["time"].replace(tzinfo=UTC),
        run=msgspec.json.decode(row["run"], type=Run), document=msgspec.json.decode(row["document"]),
        version=version_rows.read(row["version"]) if row["version"] is not None else None,
        due=row["due"].replace(tzinfo=UTC) if row["due"] is not None else None,
    )  # fmt: skip
