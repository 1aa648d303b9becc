"""Named leases: work that one process of an installation does at a time, and another one when that is gone.

The holder renews its lease; one that runs out is free for others. Their clocks must agree within a part of ``seconds``.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from service.catalog.store import PROPERTY, SET_PROPERTY, Store, Transaction
from service.kit.clock import Clock


class NamedLease:
    """The lease ``name``, wanted by ``owner``. Methods block."""

    def __init__(self, store: Store, clock: Clock, name: str, owner: str, seconds: float) -> None:
        self.seconds = seconds
        self._store = store
        self._clock = clock
        self._property = f"lease.{name}"
        self._owner = owner

    def hold(self) -> bool:
        """Take or renew the lease. Returns whether it is held for ``seconds`` from now on."""

        def work(transaction: Transaction) -> bool:
            now = self._clock.now()
            owner, until = self._present(transaction)
            if owner != self._owner and until is not None and until > now:
                return False
            end = (now + timedelta(seconds=self.seconds)).isoformat()
            transaction.execute(SET_PROPERTY, {"name": self._property, "value": f"{self._owner} {end}"})
            return True

        return self._store.write(work, urgent=True)

    def is_held(self) -> bool:
        """Whether anybody has the lease now."""
        value = self._store.property(self._property)
        return value is not None and _parts(value)[1] > self._clock.now()

    def release(self) -> None:
        """Let others have the lease at once, if it is held."""

        def work(transaction: Transaction) -> None:
            if self._present(transaction)[0] == self._owner:
                transaction.execute("DELETE FROM properties WHERE name = $name", {"name": self._property})

        self._store.write(work, urgent=True)

    def _present(self, transaction: Transaction) -> tuple[str | None, datetime | None]:
        row = transaction.row(PROPERTY, {"name": self._property})
        return (None, None) if row is None else _parts(str(row["value"]))


def _parts(value: str) -> tuple[str, datetime]:
    owner, _, until = value.partition(" ")
    return owner, datetime.fromisoformat(until)
