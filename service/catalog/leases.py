"""Leases: which start of the service executes a run, and until when that holds unless it is renewed.

A running run names its owner. The lease is written by the statements that write the run anyway, so that a run which
ends within a third of it costs no write more. Whoever takes a lost run over raises its fencing token: the attempt that
lost its lease can store nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction, naive
from service.kit import ids
from service.kit.clock import Clock, SystemClock
from service.kit.settings import LEASE_SECONDS
from service.model.lifecycle import Status

_SQL = load_sql("leases")


class Lease:
    """The lease of one start of the service on the runs that it executes. ``seconds`` after its renewal it runs out."""

    def __init__(self, store: Store, clock: Clock | None = None, seconds: float = LEASE_SECONDS) -> None:
        self.owner = ids.new("start")
        self.seconds = seconds
        self._store = store
        self._clock = clock or SystemClock()
        self.begin()

    def begin(self) -> None:
        """Count its age from now on: it is renewed regularly."""
        self._renewed = self._clock.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the lease was renewed. Once they are more than ``seconds``, others may take the runs."""
        return self._clock.monotonic() - self._renewed

    def terms(self, status: Status) -> Row:
        """The columns of a run with that status: its owner, and until when. Only running ones have an owner."""
        if status != "running":
            return {"owner": None, "leased_until": None}
        return {"owner": self.owner, "leased_until": self._end(self.seconds)}

    def renew(self, alongside: Callable[[Transaction], None] = lambda _: None) -> list[str]:
        """Renew the lease of each run whose lease is older than a third of ``seconds``. Returns their ids. Blocks.

        One that another owner has taken is not among them. ``alongside`` is committed with it.
        """
        values = self.terms("running") | {"due": self._end(self.seconds * 2 / 3)}

        def work(transaction: Transaction) -> list[str]:  # ``rows``: what is kept in memory of runs shows no lease
            alongside(transaction)
            return [row["run_id"] for row in transaction.rows(_SQL["renew"], values)]

        began = self._clock.monotonic()
        renewed = self._store.write(work)
        self._renewed = began
        return renewed

    def lost(self, transaction: Transaction, expired_at: datetime | None) -> list[Row]:
        """The values of running runs of other owners; with ``expired_at`` those whose lease had run out by then."""
        moment = naive(expired_at) if expired_at is not None else None
        return transaction.rows(_SQL["lost"], {"owner": self.owner, "expired_at": moment})

    def _end(self, seconds: float) -> datetime:
        return naive(self._clock.now() + timedelta(seconds=seconds))
