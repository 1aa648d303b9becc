"""The secret that signs access tokens, where several processes serve an installation and none is configured."""

from __future__ import annotations

from collections.abc import Callable

from service.catalog.store import PROPERTY, SET_PROPERTY, Store, Transaction

_NAME = "signing_secret"


def of(store: Store, own: Callable[[], str]) -> str:
    """The secret of all processes: that which is in the catalog, or ``own`` from now on. Blocks."""
    mine = own()
    if not store.shared:
        return mine

    def work(transaction: Transaction) -> str:
        row = transaction.row(PROPERTY, {"name": _NAME})
        if row is None:
            transaction.execute(SET_PROPERTY, {"name": _NAME, "value": mine})
            return mine
        return str(row["value"])

    return store.write(work, urgent=True)
