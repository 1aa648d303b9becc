"""The processes that serve an installation, each with the moment when it was seen last.

A process writes its row where it renews its leases, in the same transaction; one that did not for the time of a lease
is gone. Clocks must agree as for leases.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction, naive
from service.model.service_process import ServiceProcess

_SQL = load_sql("process_list")
_KEPT = timedelta(days=1)
"""How long the row of a process that was killed stays."""


class ProcessList:
    """The processes; one is living for ``seconds`` after it was seen. Methods block."""

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._living = timedelta(seconds=seconds)

    def write(self, process: ServiceProcess) -> None:
        """Add a process, or store its present state."""
        self._store.write(lambda transaction: self.note(transaction, process))

    def note(self, transaction: Transaction, process: ServiceProcess) -> None:
        """As ``write``, as part of a transaction."""
        value = msgspec.json.encode(process).decode()
        transaction.execute(
            _SQL["write"], {"id": process.id, "last_seen": naive(process.last_seen), "value": value}
        )  # fmt: skip

    def remove(self, process_id: str, now: datetime) -> None:
        """Remove a process that ends, and those that were killed long ago."""
        self._store.execute(_SQL["remove"], {"id": process_id, "before": naive(now - _KEPT)})

    def living(self, now: datetime) -> list[ServiceProcess]:
        """The processes that live, oldest first."""
        rows = self._store.rows(_SQL["living"], {"since": naive(now - self._living)})
        return [
            msgspec.structs.replace(msgspec.json.decode(row["value"], type=ServiceProcess), running=row["running"])
            for row in rows
        ]
