"""The schema version of the catalog, and the migrations from older versions.

``sql/schema.sql`` creates the newest schema. A catalog of an older release gets the migrations that it lacks, in
one transaction. Version 0 is the schema of releases that stored no version.
"""

from __future__ import annotations

import duckdb
import structlog

from service.catalog.statements import load_sql
from service.kit import errors

SCHEMA_VERSION = 4
"""The version that this release reads and writes: the highest number in ``sql/migrations.sql`` (``to_1``, …)."""


def migrate(connection: duckdb.DuckDBPyConnection) -> bool:
    """Create or migrate the schema. Returns whether it was created.

    Raises ``errors.Conflict`` if a newer release or another program wrote the catalog; the file is then left as it is.
    """
    before = _version(connection)
    if before is not None and before > SCHEMA_VERSION:
        raise errors.Conflict(
            f"the catalog has schema version {before} and this release knows versions up to {SCHEMA_VERSION}: a newer "
            "penstock wrote it; install that release or a later one, or restore a backup"
        )
    if before == SCHEMA_VERSION:
        return False
    connection.begin()
    try:
        if before is None:
            for statement in load_sql("schema").values():
                connection.execute(statement)
        else:
            steps = load_sql("migrations")
            for number in range(before + 1, SCHEMA_VERSION + 1):
                connection.execute(steps[f"to_{number}"])
        connection.execute(
            "INSERT OR REPLACE INTO properties (name, value) VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)]
        )
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    if before is not None:
        structlog.get_logger("penstock.catalog").info("catalog.migrated", before=before, after=SCHEMA_VERSION)
    return before is None


def _version(connection: duckdb.DuckDBPyConnection) -> int | None:
    """The stored version; None for an empty file."""
    tables = {
        row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
    }
    if tables and not {"pipelines", "runs", "versions"} <= tables:
        raise errors.Conflict(
            "the catalog is a DuckDB file of another program; choose another --data-dir, or put the catalog back"
        )
    if "properties" not in tables:
        return 0 if tables else None
    row = connection.execute("SELECT value FROM properties WHERE name = 'schema_version'").fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise errors.Conflict("the catalog has a schema version that no release writes; put a backup of it back")
    return int(row[0])
