"""Objects that no version names any more, each with the moment when that was noted.

Where several processes share an installation, one of them may have found a version before it was deleted and fetch its
objects now. Only a catalog in PostgreSQL has these rows; the clock is the server's.
"""

from __future__ import annotations

from collections.abc import Collection

from service.catalog.statements import load_sql
from service.catalog.store import Store, Transaction

_SQL = load_sql("retired_objects")


def due(store: Store, keys: Collection[str], seconds: float) -> list[str]:
    """Which of the objects that no version names were noted as such ``seconds`` ago; the others are noted. Blocks."""

    def work(transaction: Transaction) -> list[str]:
        named = {"keys": sorted(keys)}
        transaction.execute(_SQL["forget"], named)
        transaction.execute(_SQL["note"], named)
        return [row["key"] for row in transaction.rows(_SQL["due"], {"seconds": seconds})]

    return store.write(work, urgent=True)
