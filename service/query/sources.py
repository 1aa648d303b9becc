"""Table sources: the files of a version or of its quarantine, as a query worker reads them."""

from __future__ import annotations

import asyncio
import re
from typing import Protocol

from service.model.table import QUARANTINE, Table
from service.model.version import Version
from service.query.engine import Resolve
from service.query.messages import Resolved
from service.sandbox.source import TableSource

_LOGICAL = re.compile(r"Duration|\bTime\b|Categorical|Enum|Int128|time_unit='ms'|time_zone='(?!UTC')")
"""Polars types, as text, that DuckDB does not read from Parquet as they were written."""


class Tables(Protocol):
    """The stored tables, by name. Methods block."""

    def tables(self) -> list[Table]: ...

    def table(self, name: str) -> Table | None: ...

    def table_names(self) -> list[str]: ...


def resolver(tables: Tables) -> Resolve:
    """The function by which an engine finds the sources of the names in a statement (None: of all tables)."""

    def everything() -> Resolved:
        return Resolved([of_table(t) for t in tables.tables()])

    def named(names: list[str]) -> Resolved:
        found = {name: tables.table(name) for name in names}
        sources = [of_table(table) for table in found.values() if table is not None]
        missing = [name for name, table in found.items() if table is None]
        return Resolved(sources, missing, tables.table_names() if missing else [])

    async def resolve(names: list[str] | None) -> Resolved:
        return await (asyncio.to_thread(everything) if names is None else asyncio.to_thread(named, names))

    return resolve


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
        logical=[column.name for column in version.columns if _LOGICAL.search(column.type)],
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
