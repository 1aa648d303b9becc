"""The schema in PostgreSQL: made and migrated as in DuckDB, then given the functions and indexes that it needs here."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import psycopg

from service.catalog import migrations
from service.catalog.postgresql import dialect, values
from service.catalog.postgresql.server import SCHEMA, Server
from service.catalog.statements import load_sql
from service.catalog.store import Parameters
from service.kit import errors

_LOCK = 7_369_276_012
"""The advisory lock of whoever creates or migrates the schema, so that any number of processes may start at once."""
_WAIT, _PATIENCE = 1.0, 60.0  # seconds for a lock, and until it is given up
_EXISTS = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = %s"


def prepare(server: Server) -> bool:
    """Create or migrate the schema. Returns whether it was created. Raises as ``migrations.migrate``.

    A change of a table waits for transactions that use it, and later ones wait for the change: after a short wait it
    is tried again, so that processes that serve are not held up. Raises ``errors.Unavailable`` if that never works.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _prepared(server)
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > deadline:
                raise errors.Unavailable(
                    f"the schema of the catalog in {server.name} cannot be changed: others use its tables all the "
                    "time; try again when fewer runs are going",
                    code="CATALOG_UNAVAILABLE",
                ) from None
            time.sleep(_WAIT)


def _prepared(server: Server) -> bool:
    with server.connect() as connection:
        connection.execute("SET statement_timeout = 0")  # a migration takes as long as it takes, and so others wait
        connection.execute("BEGIN")
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        connection.execute(f"SET LOCAL lock_timeout = '{_WAIT:g}s'")
        found = connection.execute(_EXISTS, [SCHEMA]).fetchone()
        if found is None:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")

        def execute(sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
            statement = dialect.translated(sql)
            sent = values.parameters(parameters, statement.json) if parameters else None
            cursor = connection.execute(statement.text.encode(), sent)
            return cursor.fetchall() if cursor.description else []

        created = migrations.migrate(execute, {name for (name,) in connection.execute(_TABLES, [SCHEMA])})
        extras = load_sql("postgresql")
        ours = hashlib.sha256("".join(extras.values()).encode()).hexdigest()
        newer = migrations.stored_version(execute) > migrations.SCHEMA_VERSION
        if found != (ours,) and not newer:  # a newer release has put its own there
            for statement in extras.values():
                execute(statement, {})
            execute(f"COMMENT ON SCHEMA {SCHEMA} IS '{ours}'", {})
        connection.execute("COMMIT")
    return created
