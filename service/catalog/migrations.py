"""The schema version of the catalog, and the migrations from older versions.

Where several processes serve an installation, those of two releases work side by side while it is upgraded: migrations
only add tables, and columns with defaults or without values, and a property has the oldest schema whose release may
work beside the newest. A release that is older than the schema, and not too old, changes nothing of it.

``sql/schema.sql`` creates the newest schema. A catalog of an older release gets the migrations that it lacks, in
one transaction. Version 0 is the schema of releases that stored no version. Both databases get the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import structlog

from service.catalog.statements import load_sql
from service.catalog.store import PROPERTY, SET_PROPERTY, Parameters, Store
from service.kit import errors

SCHEMA_VERSION = 6
"""The version that this release reads and writes: the highest number in ``sql/migrations.sql`` (``to_1``, …)."""
OLDEST_BESIDE = 5
"""The oldest schema version whose release may work with a catalog of ``SCHEMA_VERSION``. It becomes that version where
the meaning of something stored changes."""
_NAME, _OLDEST = "schema_version", "oldest_schema_version"

Execute = Callable[[str, Parameters], list[tuple[Any, ...]]]
"""Executes statements, and returns the rows of the last one."""


def migrate(execute: Execute, tables: Collection[str]) -> bool:
    """Create or migrate the schema of a database that has these tables. Returns whether it was created.

    It is called in a transaction, which the caller commits. Raises ``errors.Conflict`` if a newer release or another
    program wrote the catalog; the caller rolls back.
    """
    before = _version(execute, tables)
    if before is not None and before > SCHEMA_VERSION:
        if not _may_work(execute, before):
            raise errors.Conflict(
                f"the catalog has schema version {before} and this release knows versions up to {SCHEMA_VERSION}: a "
                "newer penstock wrote it; install that release or a later one, or restore a backup"
            )
        structlog.get_logger("penstock.catalog").warning("catalog.newer", schema=before, known=SCHEMA_VERSION)
        return False
    if before == SCHEMA_VERSION:
        return False
    if before is None:
        for statement in load_sql("schema").values():
            execute(statement, {})
    else:
        steps = load_sql("migrations")
        for number in range(before + 1, SCHEMA_VERSION + 1):
            execute(steps[f"to_{number}"], {})
    execute(SET_PROPERTY, {"name": _NAME, "value": str(SCHEMA_VERSION)})
    execute(SET_PROPERTY, {"name": _OLDEST, "value": str(OLDEST_BESIDE)})
    if before is not None:
        structlog.get_logger("penstock.catalog").info("catalog.migrated", before=before, after=SCHEMA_VERSION)
    return before is None


def _version(execute: Execute, tables: Collection[str]) -> int | None:
    """The stored version; None for an empty database."""
    if tables and not {"pipelines", "runs", "versions"} <= set(tables):
        raise errors.Conflict(
            "the catalog is a database of another program; choose another one (--data-dir, PENSTOCK_CATALOG_URL), or "
            "put the catalog back"
        )
    if "properties" not in tables:
        return 0 if tables else None
    rows = execute(PROPERTY, {"name": _NAME})
    if not rows or not str(rows[0][0]).isdecimal():
        raise errors.Conflict("the catalog has a schema version that no release writes; put a backup of it back")
    return int(rows[0][0])


def stored_version(execute: Execute) -> int:
    """The version of a schema that was created."""
    return int(execute(PROPERTY, {"name": _NAME})[0][0])


def _may_work(execute: Execute, version: int) -> bool:
    """Whether the release that wrote a newer schema lets this one work beside it."""
    rows = execute(PROPERTY, {"name": _OLDEST})
    return bool(rows) and str(rows[0][0]).isdecimal() and int(rows[0][0]) <= SCHEMA_VERSION < version


def require_own(store: Store, what: str) -> None:
    """Raise ``errors.Conflict`` if a newer release has added to the catalog: this one would leave that out."""
    found = store.property(_NAME)
    if found != str(SCHEMA_VERSION):
        raise errors.Conflict(
            f"a newer penstock has added to the catalog (schema version {found}, this release has {SCHEMA_VERSION}), "
            f"so that {what} would lack that; do this with the newer release"
        )
