"""Runs that ended longer ago than their pipeline keeps them, and the totals that stay of them.

Totals are written in the transaction that deletes the runs, so that the statistics of a pipeline are the same before
and after, whatever happens to the service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction, naive
from service.model.lifecycle import ENDED
from service.model.retention import DEFAULT_DAYS

_SQL = load_sql("expired_runs")
_MOST_DURATIONS = 10_000
"""Beyond that many durations of deleted runs, a pipeline's are kept with three digits, which bounds their number."""
_REMEMBERED = timedelta(days=DEFAULT_DAYS)
"""How long it is remembered which versions were deleted. A start that finds their folder later moves it aside."""


class Expired(msgspec.Struct, frozen=True):
    """A run that is kept no longer; ``sequence`` is its place among all runs."""

    run_id: str
    pipeline: str
    sequence: int


class ExpiredRuns:
    """Finds and deletes runs whose time is over. Methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def next(self, now: datetime, limit: int) -> list[Expired]:
        """Runs to delete, oldest first.

        Those whose version is there stay, and so do the newest run and the newest failed one of each pipeline, which
        its status and its statistics show.
        """
        values = {"now": naive(now), "default_days": DEFAULT_DAYS, "ended": sorted(ENDED), "limit": limit}
        return [
            Expired(row["run_id"], row["pipeline"], row["sequence"]) for row in self._store.rows(_SQL["next"], values)
        ]

    def delete(self, runs: Sequence[Expired]) -> None:
        """Delete runs and add them to the totals of their pipelines. Those that are gone already do not count again."""
        places = [run.sequence for run in runs]  # they bound what is read: the values of all runs are large
        values = {"run_ids": [run.run_id for run in runs], "first": min(places), "last": max(places)}

        def work(transaction: Transaction) -> None:
            for statement in ("total", "durations", "delete"):
                transaction.execute(_SQL[statement], values)
            if self._store.remote:  # else they are in files
                transaction.execute(_SQL["delete_events"], {"run_ids": values["run_ids"]})
            for row in transaction.rows(_SQL["crowded"], {"most": _MOST_DURATIONS}):
                _round(transaction, row["pipeline_id"])

        self._store.write(work, urgent=True)

    def forget_versions(self, now: datetime) -> None:
        """Forget versions that were deleted long ago, except the highest number of each pipeline."""
        values = {"before": naive(now - _REMEMBERED)}
        self._store.write(lambda transaction: transaction.execute(_SQL["forget_deleted_versions"], values))


def _round(transaction: Transaction, pipeline_id: str) -> None:
    key = {"pipeline_id": pipeline_id}
    kept: Counter[int] = Counter()
    for row in transaction.rows(_SQL["of"], key):
        unit = 10 ** max(0, len(str(row["microseconds"])) - 3)
        kept[(row["microseconds"] + unit // 2) // unit * unit] += row["runs"]
    transaction.execute(_SQL["forget_durations"], key)
    transaction.execute(_SQL["insert_durations"], key | {"rounded": [*kept], "runs": [*kept.values()]})
