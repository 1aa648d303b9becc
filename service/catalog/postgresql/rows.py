"""The rows of a catalog in PostgreSQL, read and written in batches (``catalog.transfer``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import ServerCursor

from service.catalog.postgresql import dialect, values
from service.catalog.postgresql.server import Connection
from service.catalog.store import Parameters
from service.catalog.transfer import BATCH, Batches, Table, Values

_TYPES = {
    "bool": "BOOLEAN", "int2": "INTEGER", "int4": "INTEGER", "int8": "BIGINT", "float8": "DOUBLE", "text": "VARCHAR",
    "varchar": "VARCHAR", "json": "JSON", "bytea": "BLOB", "date": "DATE", "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE", "_text": "VARCHAR[]", "_varchar": "VARCHAR[]",
}  # fmt: skip
"""The types of PostgreSQL in DuckDB."""


class PostgreSQLRows:
    """The rows that ``connection`` sees, which belongs to the caller."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._connection.execute("SELECT 1 FROM properties LIMIT 1")  # the first statement fixes what is seen

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def read(self, table: Table) -> Batches:
        with self._connection.cursor(name=table.name) as cursor:
            _execute(cursor, table.select, {})
            yield from _batches(cursor)

    def write(self, table: Table, batches: Batches) -> None:
        json = [kind == "JSON" for kind in table.types]
        statement = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for batch in batches:
                for row in batch:
                    copy.write_row([values.stored(one, json=is_json) for one, is_json in zip(row, json, strict=True)])

    @contextmanager
    def answer(self, sql: str, parameters: Parameters) -> Iterator[tuple[Table, Batches]]:
        """The rows of a SELECT, as a table with the types that DuckDB has for them; in a transaction."""
        with self._connection.cursor(name="answer") as cursor:
            _execute(cursor, sql, parameters)
            described = cursor.description or []
            types = tuple(_TYPES[_name(self._connection, column.type_code)] for column in described)
            yield Table("answer", tuple(column.name for column in described), types), _batches(cursor)


def _batches(cursor: ServerCursor[Values]) -> Batches:
    return iter(lambda: cursor.fetchmany(BATCH), [])


def _execute(cursor: ServerCursor[Values], sql: str, parameters: Parameters) -> None:
    statement = dialect.translated(sql)
    cursor.execute(statement.text.encode(), values.parameters(parameters, statement.json) if parameters else None)


def _name(connection: Connection, code: int) -> str:
    found = connection.adapters.types[code]
    return f"_{found.name}" if found.array_oid == code else found.name
