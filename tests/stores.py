"""Catalogs for tests that hold whatever the catalog is stored in.

``stores.new()`` is a new catalog, in memory; a module with ``pytestmark = stores.BOTH`` runs once more with PostgreSQL,
where the tests that need services run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.store import Store

KINDS = ["duckdb", pytest.param("postgresql", marks=pytest.mark.services)]
BOTH = [
    pytest.mark.parametrize("catalog_kind", KINDS, indirect=True),
    pytest.mark.usefixtures("catalog_kind"),
]


def _in_memory() -> Store:
    return DuckDBStore(None)


_make: list[Callable[[], Store]] = [_in_memory]


def new() -> Store:
    """A new catalog, which whoever made it may close."""
    return _make[-1]()


@contextmanager
def made_by(make: Callable[[], Store]) -> Iterator[None]:
    """Let ``new`` make catalogs so; those that are still open are closed at the end."""
    opened: list[Store] = []

    def kept() -> Store:
        opened.append(make())
        return opened[-1]

    _make.append(kept)
    try:
        yield
    finally:
        _make.pop()
        for store in opened:
            store.close()
