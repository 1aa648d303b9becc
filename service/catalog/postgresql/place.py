"""A database as a place that a catalog is copied from or to (``catalog.catalog_copy``), for this process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.catalog.postgresql.rows import PostgreSQLRows
from service.catalog.postgresql.server import SCHEMA, Server
from service.catalog.postgresql.store import PostgreSQLStore
from service.catalog.postgresql.watch import Watch
from service.kit import errors


@contextmanager
def source(url: str) -> Iterator[PostgreSQLRows]:
    """The catalog in a database, in which nothing is changed. Raises ``errors.Missing``, or as ``PostgreSQLStore``."""
    server = Server(url)
    watch = Watch(server, alone=True)
    try:
        server.open()
        watch.open()
        with server.connected() as connection:
            if connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.properties"]).fetchone() == (None,):
                raise errors.Missing(f"there is no catalog in that database of {server.name}", field="from")
            yield PostgreSQLRows(connection)
    finally:
        server.close()
        watch.close()


@contextmanager
def target(url: str) -> Iterator[PostgreSQLRows]:
    """The catalog in a database, which is made if there is none. Raises as ``PostgreSQLStore``."""
    server = Server(url)
    store = PostgreSQLStore(server, alone=True)
    try:
        with server.connected() as connection:
            yield PostgreSQLRows(connection)
    finally:
        store.close()
