"""Copies a catalog from one place to another, and compares the two: a data directory, or a PostgreSQL database.

Nobody else may have either open. The source is only read; the target must be empty, and gets all rows in one
transaction. Afterwards every table of both has the same number of rows and the same hash of their values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import duckdb
import msgspec

from service.catalog import audit_files, data_directory, journal_files, transfer
from service.catalog.duckdb_store import DuckDBStore, not_opened
from service.catalog.migrations import SCHEMA_VERSION
from service.catalog.transfer import DuckDBRows, Rows, Table
from service.files.layout import Layout
from service.kit import errors

_SCHEMES = ("postgresql://", "postgres://")
_VERSION = "schema_version"


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a table are in both places now, and the hash of their values."""

    table: str
    rows: int
    hash: str


def copy(source: str, target: str) -> list[Copied]:
    """Copy the catalog of ``source`` to ``target``: paths of data directories, or URLs. Blocks.

    Raises ``errors.Missing`` (no catalog there), ``errors.Conflict`` (DATA_DIR_IN_USE; CONFLICT if the target is not
    empty or the source has another schema version), ``errors.Invalid``, ``errors.Unavailable``,
    ``errors.PenstockError`` (DATA_CORRUPT if what was written is not what was read).
    """
    for place, field in ((source, "from"), (target, "to")):
        if "://" in place and not place.startswith(_SCHEMES):  # with a typing error it would be a folder of that name
            raise errors.Invalid(f"{field.upper()} is neither a directory nor a postgresql:// URL", field=field)
    with _source(source) as reading, _target(target) as writing:
        reading.begin()
        writing.begin()
        _refuse_version(reading)
        _refuse_rows(writing, target)
        read = transfer.copy(reading, writing)
        writing.begin()
        written = transfer.digests(writing)
        wrong = [name for name, digest in read.items() if written[name] != digest]
        if wrong:
            raise errors.PenstockError(
                f"the copy is not what was read ({', '.join(wrong)}); the source is as it was, do not use the target",
                code="DATA_CORRUPT",
            )
    if not target.startswith(_SCHEMES):
        Layout(Path(target)).catalog_elsewhere.unlink(missing_ok=True)
    return [Copied(table=name, rows=digest.rows, hash=digest.hash) for name, digest in read.items()]


def give_back(target: str) -> None:
    """Let the data directory that a catalog was copied to have in files what is rows elsewhere. Blocks."""
    if target.startswith(_SCHEMES):
        return
    layout = Layout(Path(target).absolute())
    store = DuckDBStore(layout.catalog)
    try:
        journal_files.give_back(store, layout)
        audit_files.give_back(store, layout.audit)
    finally:
        store.close()


def _databases() -> ModuleType:
    with data_directory.extra():
        from service.catalog.postgresql import place
    return place


@contextmanager
def _source(place: str) -> Iterator[Rows]:
    if place.startswith(_SCHEMES):
        with _databases().source(place) as rows:
            yield rows
        return
    path = Layout(Path(place).absolute()).catalog
    if not path.exists():
        raise errors.Missing(f"there is no catalog in {place}", field="from")
    try:
        connection = duckdb.connect(str(path), read_only=True, config=transfer.CONFIG)
    except duckdb.Error as error:
        raise not_opened(path, error) from error
    with connection:
        yield DuckDBRows(connection)


@contextmanager
def _target(place: str) -> Iterator[Rows]:
    if place.startswith(_SCHEMES):
        with _databases().target(place) as rows:
            yield rows
        return
    layout = Layout(Path(place).absolute())
    layout.open()
    store = DuckDBStore(layout.catalog)
    try:
        yield DuckDBRows(store.cursor())
    finally:
        store.close()


def _refuse_version(source: Rows) -> None:
    found = {row[0]: row[1] for batch in source.read(_table("properties")) for row in batch}.get(_VERSION)
    if found != str(SCHEMA_VERSION):
        raise errors.Conflict(
            f"the catalog to copy has schema version {found}, and this release copies version {SCHEMA_VERSION}; start "
            "the service of this release on it once, stop it, then try again",
            field="from",
        )


def _refuse_rows(target: Rows, place: str) -> None:
    for table in transfer.tables():
        if any(transfer.moved(target, table)):
            shown = "the database" if place.startswith(_SCHEMES) else place
            raise errors.Conflict(
                f"{shown} has a catalog with rows in '{table.name}'; copy to an empty one", field="to"
            )


def _table(name: str) -> Table:
    return next(table for table in transfer.tables() if table.name == name)
