"""The files of a version, or of its quarantine, as a source for query workers."""

from __future__ import annotations

from service.model.table import QUARANTINE, Table
from service.model.version import Version
from service.sandbox.source import TableSource


def source_of(version: Version, table: str | None = None) -> TableSource:
    """The files of a version, under the name that SQL uses for it."""
    folder = f"{version.pipeline}/v{version.version:06d}"
    native = f"{folder}/{version.native.name}" if version.native is not None else None
    return TableSource(
        table=table or version.table,
        pipeline=version.pipeline,
        version=version.version,
        parts=[f"{folder}/{file.name}" for file in version.files],
        native=native,
        native_table=version.table if native is not None else None,
        rows=version.rows,
    )


def quarantine_of(version: Version, table: str | None = None) -> TableSource:
    """The files of the rows that a version refused, under the name that SQL uses for them."""
    folder = f"{version.pipeline}/v{version.version:06d}"
    return TableSource(
        table=table or version.table + QUARANTINE,
        pipeline=version.pipeline,
        version=version.version,
        parts=[f"{folder}/{file.name}" for file in version.quarantine],
        rows=version.quarantined,
        united=True,
    )


def of_table(table: Table) -> TableSource:
    """The files of a stored table, under its name."""
    return (quarantine_of if table.quarantine else source_of)(table.version, table.name)
