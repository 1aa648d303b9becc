"""The clock of an installation with several processes: that of the catalog, for leases and due times.

How far it is ahead of this machine's is measured with each look at the catalog, which costs nothing more.
"""

from __future__ import annotations

from datetime import datetime

from service.catalog.store import Store
from service.kit.clock import Clock


class SharedClock:
    """As ``own``, as far ahead as the catalog's clock."""

    def __init__(self, own: Clock, store: Store) -> None:
        self._own = own
        self._store = store

    def now(self) -> datetime:
        return self._own.now() + self._store.ahead

    def monotonic(self) -> float:
        return self._own.monotonic()

    async def sleep_until(self, moment: datetime) -> None:
        await self._own.sleep_until(moment - self._store.ahead)
