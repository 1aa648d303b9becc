"""The data directory of a process: its layout and its catalog, which belong to this process alone.

The catalog is a file in it, or a PostgreSQL database. In that case a file tells so, with the number that the database
has been given: a start without the database's URL, or with another one's, would work with a catalog that is not the
directory's.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.store import Store
from service.files import object_store, permissions
from service.files.layout import Layout
from service.files.reserve import Reserve
from service.kit import errors, ids, struct_types
from service.kit.clock import Clock, SystemClock
from service.kit.settings import Settings

if TYPE_CHECKING:
    from service.catalog.postgresql.store import PostgreSQLStore

URL = "PENSTOCK_CATALOG_URL"
_INSTALLATION = "installation"


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Layout, Store]]:
    """Open the data directory for this process alone, and the object store that its versions are in, if there is one.

    Raises ``errors.Conflict`` (DATA_DIR_IN_USE, CONFLICT), ``errors.Unavailable`` (CATALOG_UNAVAILABLE),
    ``errors.Invalid``.
    """
    struct_types.prepare()
    layout = Layout(settings.root, permissions.group_id(settings.data_group))
    with permissions.private_umask():
        layout.open()
        several, lock = settings.warehouse_url is not None, ExitStack()
        store = await asyncio.to_thread(_store, layout, settings.catalog_url, lock, several=several)
        try:
            with (
                lock,
                object_store.opened(settings.warehouse_url, settings.warehouse_timeout_seconds, layout.root) as objects,
            ):
                yield replace(layout, objects=objects), store
        finally:
            await asyncio.to_thread(store.close)


def clock_of(store: Store, clock: Clock | None) -> Clock:
    """The clock that all processes go by which serve the installation; ``clock``, or the machine's, is their own."""
    clock = clock or SystemClock()
    if not store.shared:
        return clock
    from service.catalog.shared_clock import SharedClock

    return SharedClock(clock, store)


def _store(layout: Layout, url: str | None, lock: ExitStack, *, several: bool) -> Store:
    """The catalog. With versions in an object store ``several`` processes may serve one in PostgreSQL."""
    if url is not None:
        store = _postgresql(url, Reserve(layout.reserve), several=several)
        try:
            _claim(layout, store)
            if several:
                lock.enter_context(_held(layout))
        except BaseException:
            store.close()
            raise
        return store
    if layout.catalog_elsewhere.exists():
        raise errors.Conflict(
            f"the catalog of {layout.root} is in PostgreSQL; set {URL}, or take it back with 'penstock catalog copy'",
            field=URL,
        )
    return DuckDBStore(layout.catalog, Reserve(layout.reserve))


def _postgresql(url: str, reserve: Reserve, *, several: bool) -> PostgreSQLStore:
    with extra():
        from service.catalog.postgresql.server import Server
        from service.catalog.postgresql.store import PostgreSQLStore
    return PostgreSQLStore(Server(url), reserve, alone=not several, shared=several)


@contextmanager
def extra() -> Iterator[None]:
    """Import what the extra ``cluster`` brings. Raises ``errors.Invalid`` without it."""
    try:
        yield
    except ImportError as error:
        raise errors.Invalid(
            f"a catalog in PostgreSQL needs the extra 'cluster' ({error}): pip install 'penstock[cluster]'", field=URL
        ) from error


@contextmanager
def _held(layout: Layout) -> Iterator[None]:
    """Let no other process of this host use the directory. Raises ``errors.Conflict`` (DATA_DIR_IN_USE)."""
    with layout.catalog_elsewhere.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise errors.Conflict(
                f"{layout.root} is in use by another penstock; each process needs a data directory of its own",
                code="DATA_DIR_IN_USE",
            ) from None
        yield


def _claim(layout: Layout, store: PostgreSQLStore) -> None:
    """Let the directory and the database belong to each other. Raises ``errors.Conflict`` if one has another one."""
    known = store.property(_INSTALLATION)
    path = layout.catalog_elsewhere
    if path.exists():
        if path.read_text().strip() != known:
            raise errors.Conflict(
                f"the catalog of {layout.root} is in another database than {URL} names; if it was moved to that one, "
                f"remove {path}",
                field=URL,
            )
        return
    if layout.catalog.exists() and store.is_new:
        raise errors.Conflict(
            f"the catalog of {layout.root} is in {layout.catalog.name}, and the database that {URL} names is empty; "
            "copy it with 'penstock catalog copy'",
            field=URL,
        )
    path.write_text(f"{store.agreed(_INSTALLATION, ids.new('inst'))}\n")
