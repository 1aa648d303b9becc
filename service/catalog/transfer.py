"""The rows of a catalog on their way from one database to another: read, written and compared.

Tables and their columns are those of ``sql/schema.sql``, as DuckDB understands it. Rows go in batches, so that memory
does not grow with the catalog.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import duckdb

from service.catalog.statements import load_sql
from service.files import disk

Values = tuple[Any, ...]
Batches = Iterable[Sequence[Values]]
BATCH = 256
OWN_PROPERTIES = ("schema_version", "oldest_schema_version", "installation")
"""Properties of the database and not of what it holds: they stay where they are."""
CONFIG: dict[str, Any] = {
    "threads": 1, "memory_limit": "2GB", "autoinstall_known_extensions": False, "autoload_known_extensions": False,
    "python_enable_replacements": False,
}  # fmt: skip


class Table(NamedTuple):
    """A table, its columns, and their types in DuckDB."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def select(self) -> str:
        return f"SELECT {', '.join(self.columns)} FROM {self.name}"  # noqa: S608 - names of our schema


class Digest(NamedTuple):
    """How many rows a table has, and a hash of their values in which their order does not matter."""

    rows: int
    hash: str


class Rows(Protocol):
    """The rows of one database, in the state in which ``begin`` found it."""

    def begin(self) -> None: ...

    def read(self, table: Table) -> Batches: ...

    def write(self, table: Table, batches: Batches) -> None: ...

    def commit(self) -> None: ...


@functools.cache
def tables() -> tuple[Table, ...]:
    """The tables of the schema, in its order."""
    with duckdb.connect(config=CONFIG) as connection:
        for statement in load_sql("schema").values():
            connection.execute(statement)
        found = connection.execute(
            "SELECT table_name, list(column_name ORDER BY column_index), list(data_type ORDER BY column_index) "
            "FROM duckdb_columns() WHERE NOT internal GROUP BY ALL ORDER BY min(table_oid)"
        )
        return tuple(Table(name, tuple(columns), tuple(types)) for name, columns, types in found.fetchall())


def copy(source: Rows, target: Rows) -> dict[str, Digest]:
    """Copy all rows and commit the target. Returns what was read of each table."""
    found = {}
    for table in tables():
        tally = _Tally()
        target.write(table, tally.counted(moved(source, table)))
        found[table.name] = tally.digest
    target.commit()
    return found


def moved(rows: Rows, table: Table) -> Batches:
    """The rows of a table but those that belong to the database itself."""
    batches = iter(rows.read(table))
    if table.name != "properties":
        return batches
    own = ([row for row in batch if row[0] not in OWN_PROPERTIES] for batch in batches)
    return (batch for batch in own if batch)


def digests(rows: Rows) -> dict[str, Digest]:
    """What a database has of each table."""
    found = {}
    for table in tables():
        tally = _Tally()
        for _ in tally.counted(moved(rows, table)):
            pass
        found[table.name] = tally.digest
    return found


class _Tally:
    def __init__(self) -> None:
        self._rows = 0
        self._sum = 0

    def counted(self, batches: Batches) -> Batches:
        for batch in batches:
            self._rows += len(batch)
            for row in batch:
                self._sum += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest())
            yield batch

    @property
    def digest(self) -> Digest:
        return Digest(self._rows, f"{self._sum % (1 << 128):032x}")


class DuckDBRows:
    """The rows of a catalog file that is open; ``commit`` ends what ``begin`` began."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def begin(self) -> None:
        self._connection.begin()

    def commit(self) -> None:
        self._connection.commit()

    def read(self, table: Table) -> Batches:
        cursor = self._connection.execute(table.select)
        return iter(lambda: cursor.fetchmany(BATCH), [])

    def write(self, table: Table, batches: Batches) -> None:
        for batch in batches:
            _insert(self._connection, table, batch)


def to_new_file(source: Rows, path: Path) -> None:
    """Copy rows that ``source`` has begun to read to a new file. Raises ``errors.Unavailable`` (STORAGE_FULL)."""
    with disk.noticed(duckdb.Error), duckdb.connect(str(path), config=CONFIG) as connection:
        path.chmod(0o600)
        connection.begin()
        for statement in load_sql("schema").values():
            connection.execute(statement)
        target = DuckDBRows(connection)
        for table in tables():
            target.write(table, source.read(table))
        connection.commit()


def to_parquet(table: Table, batches: Batches, path: Path) -> None:
    """Write rows to a new Parquet file. Raises ``errors.Unavailable`` (STORAGE_FULL)."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in zip(table.columns, table.types, strict=True))
    target = str(path).replace("'", "''")
    with disk.noticed(duckdb.Error), duckdb.connect(config=CONFIG) as connection:
        connection.execute(f'CREATE TABLE "{table.name}" ({columns})')
        for batch in batches:
            _insert(connection, table, batch)
        connection.execute(f"COPY \"{table.name}\" TO '{target}' (FORMAT parquet)")


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, batch: Sequence[Values]) -> None:
    """Insert rows by lists of the values of each column, which is many times faster than row by row."""
    lists = dict(zip((f"c{place}" for place in range(len(table.columns))), zip(*batch, strict=True), strict=True))
    selected = ", ".join(
        f"unnest(${name}::{_sent(kind)}[])" for name, kind in zip(lists, table.types, strict=True)
    )  # the cast of a text to JSON would cost a second look at it
    connection.execute(f'INSERT INTO "{table.name}" SELECT {selected}', {name: [*one] for name, one in lists.items()})


def _sent(kind: str) -> str:
    return "VARCHAR" if kind == "JSON" else kind
