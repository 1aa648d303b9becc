"""Schedules of pipelines: what they have done and whether they are paused. A fire is stored with its run.

``handled`` is the time up to which a schedule is done: later times fire. A change of what decides the times (the
expression, the zone, ``enabled``) and a resumption set it to the present, so that nothing is made up for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction, naive
from service.kit import errors
from service.kit.clock import Clock
from service.model.run import Run
from service.model.schedule import Schedule, ScheduleState

_SQL = load_sql("schedules")
_KEPT = timedelta(days=7)
"""How long fires are remembered: they keep a clock that is set back from repeating times. Runs are kept longer."""


class AlreadyFired(Exception):
    """This time of the schedule has fired, or was recorded as missed."""


class Schedules:
    """The schedules in the catalog. Methods block. ``on_change`` is called after a schedule was paused or resumed."""

    def __init__(self, store: Store, clock: Clock, on_change: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._clock = clock
        self.on_change = on_change

    def all(self) -> list[ScheduleState]:
        """The schedules of all pipelines that have one, by name."""
        return [_state(row) for row in self._store.rows(_SQL["states"], {"name": None})]

    def get(self, name: str) -> ScheduleState:
        """The schedule of a pipeline. Raises ``errors.Missing`` (NOT_FOUND) if it has none."""
        row = self._store.row(_SQL["states"], {"name": name})
        if row is None:
            raise errors.Missing(f"the pipeline '{name}' has no schedule", code="NOT_FOUND", field="name")
        return _state(row)

    def next_fire(self, pipeline_id: str, document: Mapping[str, Any]) -> datetime | None:
        """When the pipeline of that configuration runs next; None without a schedule, while paused or not enabled."""
        schedule = msgspec.convert(document.get("schedule"), Schedule | None)
        if schedule is None:
            return None
        row = self._store.kept_row("schedules", pipeline_id, _SQL["find"], {"pipeline_id": pipeline_id})
        if row is None:
            return None
        return _state({**row, "id": pipeline_id, "name": "", "schedule": schedule}).next_fire(self._clock.now())

    def has_next_fire(self, pipeline_id: str, document: Mapping[str, Any]) -> bool:
        """Whether ``next_fire`` answers from memory, without blocking."""
        return document.get("schedule") is None or self._store.keeps("schedules", pipeline_id, _SQL["find"])

    def pause(self, name: str) -> ScheduleState:
        """Stop the schedule of a pipeline until it is resumed, also over restarts and changes of the configuration.

        Raises ``errors.Missing``.
        """
        self._store.execute(_SQL["pause"], {"pipeline_id": self.get(name).pipeline_id}, urgent=True)
        self.on_change()
        return self.get(name)

    def resume(self, name: str) -> ScheduleState:
        """Let a paused schedule fire again, from now on. Raises ``errors.Missing``."""
        state = self.get(name)
        if state.paused:
            handled = naive(self._clock.now())
            self._store.execute(_SQL["resume"], {"pipeline_id": state.pipeline_id, "handled": handled})
            self.on_change()
        return self.get(name)

    def skip(self, pipeline_id: str, since: datetime, due: datetime) -> None:
        """Record that the times from ``since`` to ``due`` were missed and get no run."""

        def work(transaction: Transaction) -> None:
            try:
                record_fire(transaction, pipeline_id, since, due, None)
            except AlreadyFired:
                _handle(transaction, pipeline_id, due)

        self._store.write(work)

    def handle(self, pipeline_id: str, due: datetime) -> None:
        """Note that a schedule is done up to ``due``."""
        self._store.write(lambda transaction: _handle(transaction, pipeline_id, due))

    def sweep(self) -> None:
        """Forget fires that are older than a week."""
        self._store.execute(_SQL["sweep"], {"before": naive(self._clock.now() - _KEPT)})


def configure(transaction: Transaction, pipeline_id: str, document: Mapping[str, Any], now: datetime) -> None:
    """Note the schedule of a new revision of a pipeline. Part of the transaction that stores it."""
    schedule = msgspec.convert(document.get("schedule"), Schedule | None)
    times = schedule.times if schedule is not None else ""
    row = transaction.row(_SQL["find"], {"pipeline_id": pipeline_id})
    changed = {"pipeline_id": pipeline_id, "times": times, "handled": naive(now)}
    if row is None and schedule is not None:
        transaction.execute(_SQL["insert"], changed)
    elif row is not None and row["times"] != times:
        transaction.execute(_SQL["change"], changed)


def record_fire(transaction: Transaction, pipeline_id: str, since: datetime, due: datetime, run: Run | None) -> None:
    """Record the run of the time ``due``, which stands for all times from ``since`` on; None: they get no run.

    Part of the transaction that stores the run. Raises ``AlreadyFired``.
    """
    key = {"pipeline_id": pipeline_id, "due": naive(due)}
    if transaction.row(_SQL["fire"], key) is not None:
        raise AlreadyFired
    run_id = run.run_id if run is not None else None
    transaction.execute(_SQL["insert_fire"], {**key, "since": naive(since), "run_id": run_id})
    if run_id is not None:
        transaction.execute(_SQL["fired"], {**key, "run_id": run_id})
    else:
        _handle(transaction, pipeline_id, due)


def _handle(transaction: Transaction, pipeline_id: str, due: datetime) -> None:
    transaction.execute(_SQL["handle"], {"pipeline_id": pipeline_id, "handled": naive(due)})


def _state(row: Row) -> ScheduleState:
    written = row["schedule"]
    return ScheduleState(
        pipeline_id=row["id"], name=row["name"],
        schedule=written if isinstance(written, Schedule) else msgspec.json.decode(written, type=Schedule),
        paused=row["paused"], handled=row["handled"].replace(tzinfo=UTC),
        last_fire=row["last_fire"].replace(tzinfo=UTC) if row["last_fire"] is not None else None,
        last_run_id=row["last_run_id"],
    )  # fmt: skip
