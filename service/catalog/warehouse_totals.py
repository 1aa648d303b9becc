"""What the warehouse holds in all: pipelines, versions, their rows and bytes."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from service.catalog.statements import load_sql
from service.catalog.store import Store

_SQL = load_sql("warehouse_totals")
_TABLES = ("pipelines", "versions")


class WarehouseTotals:
    """The totals, from memory until a pipeline or a version changes. May be used in any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: tuple[int, Mapping[str, int]] | None = None

    def read(self) -> Mapping[str, int]:
        """``pipelines``, ``versions``, ``rows`` and ``bytes``; parts that versions share count in each. Blocks."""
        with self._lock:
            stamp = self._store.stamp(_TABLES)
            if self._known is None or self._known[0] != stamp:
                self._known = stamp, self._store.row(_SQL["totals"]) or {}
            return self._known[1]
