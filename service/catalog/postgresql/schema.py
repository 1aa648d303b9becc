"""The schema in PostgreSQL: made and migrated as in DuckDB, then given the functions and indexes that it needs here."""

from __future__ import annotations

import hashlib
from typing import Any

from service.catalog import migrations
from service.catalog.postgresql import dialect, values
from service.catalog.postgresql.server import SCHEMA, Server
from service.catalog.statements import load_sql
from service.catalog.store import Parameters

_LOCK = 7_369_276_012
"""The advisory lock of whoever creates or migrates the schema, so that any number of processes may start at once."""
_EXISTS = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = %s"


def prepare(server: Server) -> bool:
    """Create or migrate the schema. Returns whether it was created. Raises as ``migrations.migrate``."""
    with server.connect() as connection:
        connection.execute("SET statement_timeout = 0")  # a migration takes as long as it takes, and so others wait
        connection.execute("BEGIN")
        connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
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
        if found != (ours,):
            for statement in extras.values():
                execute(statement, {})
            execute(f"COMMENT ON SCHEMA {SCHEMA} IS '{ours}'", {})
        connection.execute("COMMIT")
    return created
