"""Log-ins of all processes of an installation, counted by account and address: attempts in a minute, and failures.

Only a catalog in PostgreSQL has them. Keys are stored as hashes: people type passwords into the wrong field.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction

_SQL = load_sql("log_in_counts")


class LogInCounts:
    """The counts. Methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, key: str, per_minute: int, wait: Callable[[int, float], float] = lambda *_: 0.0) -> float:
        """Count an attempt of ``key``, and return 0; or the seconds to wait, and it is not counted.

        ``wait`` gets the number of failures and the seconds since the last, and answers the seconds to wait.
        """
        hashed = _hash(key)

        def work(transaction: Transaction) -> float:
            row = transaction.row(_SQL["find"], {"key": hashed})
            if row is not None and row["failures"] and (seconds := wait(row["failures"], row["failed"])) > 0:
                return seconds
            left = _left(row, per_minute)
            if left < 1:
                return (1 - left) * 60 / per_minute
            transaction.execute(_SQL["count"], {"key": hashed, "left_over": left - 1})
            return 0.0

        return self._store.write(work, urgent=True)

    def failed(self, key: str, forgotten: float) -> None:
        """Note a failure of ``key``; earlier ones count if the last was less than ``forgotten`` seconds ago."""
        self._store.execute(_SQL["failed"], {"key": _hash(key), "forgotten": forgotten}, urgent=True)

    def succeeded(self, key: str) -> None:
        """Forget the failures of ``key``."""
        self._store.execute(_SQL["succeeded"], {"key": _hash(key)}, urgent=True)

    def sweep(self) -> None:
        """Remove counts that say nothing any more."""
        self._store.execute(_SQL["sweep"])


def _left(row: Row | None, per_minute: int) -> float:
    """How many attempts are left now."""
    return float(per_minute) if row is None else min(per_minute, row["left_over"] + row["counted"] * per_minute / 60)


def _hash(key: str) -> str:
    return hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).hexdigest()
