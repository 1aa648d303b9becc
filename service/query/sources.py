"""Table sources: the files of a version or of its quarantine, as a query worker reads them."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol

import msgspec

from service.kit import errors
from service.model.rights import Readable
from service.model.table import QUARANTINE, Table
from service.model.version import Version
from service.query.integrity import Integrity
from service.query.messages import Resolved
from service.sandbox.source import TableSource
from service.steps.storage import File

_LOGICAL = re.compile(r"Duration|\bArray\b|\bTime\b|Categorical|Enum|Int128|time_unit='ms'|time_zone='(?!UTC')")
"""Polars types, as text, that DuckDB does not read from Parquet as they were written."""
_MOST_MADE = 1_024


class Tables(Protocol):
    """The stored tables, by name. Methods block."""

    def tables(self) -> list[Table]: ...

    def table(self, name: str) -> Table | None: ...

    def has_table(self, name: str) -> bool: ...

    def table_names(self) -> list[str]: ...


class SystemTables(Protocol):
    """What the service knows of itself, as tables of SQL. ``snapshot`` blocks."""

    @property
    def names(self) -> Sequence[str]: ...

    def snapshot(self, name: str, readable: Readable = None) -> bytes: ...


class Sources:
    """The sources of stored tables and versions. Their files are checked before a worker may open them."""

    def __init__(self, tables: Tables, integrity: Integrity, system: SystemTables) -> None:
        self._tables = tables
        self._integrity = integrity
        self._system = system
        self._made: dict[str, tuple[Version, TableSource]] = {}  # of newest versions, by the name in a statement

    async def resolve(self, names: list[str] | None, readable: Readable = None) -> Resolved:
        """The sources of the names in a statement (None: of all tables, whose files are then not checked).

        Tables of pipelines that are not ``readable`` do not exist. Raises ``errors.PenstockError`` (DATA_CORRUPT).
        """
        if names is None:
            return await asyncio.to_thread(self._all, readable)
        found = list(map(self._newest, names))
        sources = [s for s in found if s is not None and (readable is None or s.pipeline in readable)]
        if len(sources) == len(names):
            return Resolved(sources)
        if self._integrity.cache is not None:
            await self._integrity.arrival(await asyncio.to_thread(self._begun, names, readable))
        return await asyncio.to_thread(self._named, names, readable)

    def _newest(self, name: str) -> TableSource | None:
        """The source of the newest version of a table, if nothing must be read to find and to check it."""
        if not self._tables.has_table(name):
            return None
        table = self._tables.table(name)
        if table is None or not self._integrity.is_intact(table.version):
            return None
        known = self._made.get(name)
        if known is not None and known[0] is table.version:
            return known[1]
        if len(self._made) >= _MOST_MADE:
            self._made.clear()
        self._made[name] = table.version, of_table(table)
        return self._made[name][1]

    async def of_version(self, version: Version) -> TableSource:
        """The source of a version's rows. Raises ``errors.PenstockError`` (DATA_CORRUPT)."""
        if self._integrity.is_intact(version):
            return source_of(version)
        await self._arrive(version, _read(version))
        return source_of(await asyncio.to_thread(self._integrity.checked, version))

    async def has_parts(self, version: Version) -> bool:
        """Whether the parts of a version are here."""
        return self._integrity.is_intact(version) or await asyncio.to_thread(
            self._integrity.has, version, version.files
        )

    async def of_parts(self, version: Version, first: int, least: int) -> tuple[TableSource, int]:
        """The source of the parts of a version from number ``first`` on, and the number of the part that follows.

        It waits for those below ``least``, and takes what is here of the others, which are being fetched. Raises as
        ``of_version``.
        """
        coming = await asyncio.to_thread(self._integrity.begin_each, version, version.files[first:])
        await self._integrity.arrival(future for future in coming[: least - first] if future is not None)
        here = itertools.takewhile(lambda future: future is None or future.done(), coming)
        end = max(least, first + sum(1 for _ in here))
        await asyncio.to_thread(self._integrity.require, version, version.files[first:end])
        whole = source_of(version)
        return msgspec.structs.replace(whole, parts=whole.parts[first:end], native=None, native_table=None), end

    async def of_quarantine(self, version: Version) -> TableSource:
        """The source of a version's quarantined rows. Raises ``errors.PenstockError`` (DATA_CORRUPT)."""
        await self._arrive(version, version.quarantine)
        await asyncio.to_thread(self._integrity.require, version, version.quarantine)
        return quarantine_of(version)

    async def _arrive(self, version: Version, files: Sequence[File]) -> None:
        """Wait until files of the object store are here."""
        if self._integrity.cache is not None:
            await self._integrity.arrival(await asyncio.to_thread(self._integrity.begin, version, files))

    def _begun(self, names: list[str], readable: Readable) -> list[Future[None]]:
        """What is on its way of the tables with these names."""
        tables = seen((table for name in names if (table := self._tables.table(name)) is not None), readable)
        return [
            future
            for table in tables
            for future in self._integrity.begin(
                table.version, table.version.quarantine if table.quarantine else _read(table.version)
            )
        ]

    def of_name(self, name: str) -> TableSource:
        """The source of the table with that name. Blocks.

        Raises ``errors.Missing`` (NO_DATA), ``errors.PenstockError`` (DATA_CORRUPT).
        """
        table = self._tables.table(name)
        if table is None:
            raise errors.Missing(f"there is no stored table '{name}'", code="NO_DATA")
        return self._checked(table)

    def _all(self, readable: Readable) -> Resolved:
        return Resolved([of_table(t) for t in seen(self._tables.tables(), readable)])

    def _named(self, names: list[str], readable: Readable) -> Resolved:
        system = [name.casefold() for name in names if name.casefold() in self._system.names]
        found = {name: self._tables.table(name) for name in names if name.casefold() not in system}
        tables = {n: t for n, t in found.items() if t is not None and seen([t], readable)}
        sources = [self._checked(table) for table in tables.values()]
        missing = [name for name in found if name not in tables]
        known = [*self._names(readable), *self._system.names] if missing else []
        return Resolved(sources, missing, known, {name: self._system.snapshot(name, readable) for name in system})

    def _names(self, readable: Readable) -> list[str]:
        if readable is None:
            return self._tables.table_names()
        return [table.name for table in seen(self._tables.tables(), readable)]

    def _checked(self, table: Table) -> TableSource:
        if table.quarantine:
            self._integrity.require(table.version, table.version.quarantine)
            return of_table(table)
        return source_of(self._integrity.checked(table.version), table.name)


def _read(version: Version) -> list[File]:
    """The files that queries of a version read."""
    return [*version.files, *([version.native] if version.native is not None else [])]


def seen(tables: Iterable[Table], readable: Readable) -> list[Table]:
    """The tables of pipelines that a caller sees."""
    return [table for table in tables if readable is None or table.version.pipeline in readable]


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
        run=version.run_id,
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
        run=version.run_id,
    )


def of_table(table: Table) -> TableSource:
    """The files of a stored table, under its name."""
    return (quarantine_of if table.quarantine else source_of)(table.version, table.name)
