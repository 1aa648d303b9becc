"""The pace of hosts over all services of an installation: one row a host, with what each service has of it.

Only a catalog in PostgreSQL has them. The clock is the server's, so that those of the services need not agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction
from service.network import pace_shares
from service.network.pace_shares import HostPace, Loan, Wish

_SQL = load_sql("host_pace")


class HostPaces:
    """The part of the service ``name`` in the hosts of an installation. Methods block."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def exchange(self, wishes: Mapping[str, Wish]) -> tuple[float, dict[str, Loan]]:
        """What this service may lend of each of these hosts from now on, and that moment on the server's clock.

        Raises ``errors.Unavailable``: then nothing more may be lent.
        """

        def work(transaction: Transaction) -> tuple[float, dict[str, Loan]]:
            rows = {row["host"]: row["value"] for row in transaction.rows(_SQL["read"], {"hosts": sorted(wishes)})}
            now, loans = _now(transaction), {}
            for host, wish in sorted(wishes.items()):
                before = _pace(rows[host], now) if host in rows else HostPace()
                after, loans[host] = pace_shares.exchange(before, self._name, wish, now)
                if after.is_over(now):
                    transaction.execute(_SQL["remove"], {"host": host})
                else:
                    transaction.execute(_SQL["write"], {"host": host, "value": msgspec.json.encode(after).decode()})
            return now, loans

        return self._store.write(work, urgent=True)


def _now(transaction: Transaction) -> float:
    row = transaction.row(_SQL["now"])
    assert row is not None
    return float(row["now"])


def _pace(value: str, now: float) -> HostPace:
    """The stored state of a host; where no release like this one wrote it, others may start requests for a while."""
    try:
        return msgspec.json.decode(value, type=HostPace)
    except msgspec.ValidationError:
        return HostPace(last=now + pace_shares.OPEN_SECONDS)
