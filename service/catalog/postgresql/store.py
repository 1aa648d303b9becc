"""The catalog in a PostgreSQL database. Other processes may read and write it at the same time.

Nothing is answered from memory. A write is one SERIALIZABLE transaction, which is repeated when it and others could
not have happened one after the other; only who claims a row waits for nobody, and repeats nothing. If the connection is
lost while it commits, the server is asked what became of it, so that nothing is done twice and nothing that was done is
reported as failed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from service.catalog import transfer
from service.catalog.group_commit import GroupCommit
from service.catalog.postgresql import dialect, hints, schema, values
from service.catalog.postgresql.rows import PostgreSQLRows
from service.catalog.postgresql.server import Connection, Server
from service.catalog.postgresql.watch import COUNTED, Watch
from service.catalog.store import NONE, Parameters, Row, Store, Transaction, Uncertain
from service.files.reserve import Reserve
from service.kit import errors, ids

T = TypeVar("T")
_SIGN = (
    "INSERT INTO writers (name, token, used) VALUES (%s, %s, now()) "
    "ON CONFLICT (name) DO UPDATE SET token = excluded.token, used = excluded.used"
)


class PostgreSQLStore(Store):
    """The catalog in the database of ``server``. Urgent work on local files may use the ``reserve`` of the disk.

    Raises ``errors.Invalid`` (not a URL, or a server that cannot be used), ``errors.Conflict`` (a newer release or
    another program wrote it; in use, if it is opened ``alone`` or another has opened it so), ``errors.Unavailable``
    (CATALOG_UNAVAILABLE: the server does not answer), which reads and writes raise, too.
    """

    def __init__(
        self, server: Server, reserve: Reserve | None = None, *, alone: bool = False, shared: bool = False
    ) -> None:
        self._server = server
        self.remote, self.shared = True, shared
        self._reserve = reserve
        self._watch = Watch(self._server, alone=alone)
        self._writing = threading.Lock()
        self._group = _Group(self._writing, self._open)
        self._writer = ids.new("writer")
        try:
            self._server.open()
            self._watch.open()
            self._watch.snapshot()  # which compares the clocks
            self.created = self._server.until_it_answers(lambda: schema.prepare(self._server))
            self._server.until_it_answers(self._sign_in)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._server.close()
        self._watch.close()

    @property
    def healthy(self) -> bool:
        return not self._watch.taken

    @property
    def ahead(self) -> timedelta:  # type: ignore[override]
        return self._watch.ahead if self.shared else timedelta()

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever stored in it: there is no account and no pipeline."""
        sql = "SELECT NOT EXISTS (SELECT 1 FROM users) AND NOT EXISTS (SELECT 1 FROM pipelines) AS new"
        return self.row(sql) == {"new": True}

    def rows(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        def work() -> list[Row]:
            with self._server.lent() as connection:
                return _rows(_executed(connection, sql, parameters))

        return self._server.until_it_answers(work)

    def kept_row(self, table: str, key: str, sql: str, parameters: Parameters) -> Row | None:
        return self.row(sql, parameters)

    def keeps(self, table: str, key: str, sql: str) -> bool:
        return False

    @property
    def changes(self) -> int:
        return self._watch.snapshot()

    def stamp(self, tables: Sequence[str], key: str | None = None) -> int:
        return self._watch.changes(tables) if COUNTED.keys() >= set(tables) else self._watch.snapshot()

    def write(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        return self._written(lambda: self._group.write(work))

    def claim(self, work: Callable[[Transaction], T]) -> T:
        def once() -> T:
            with self._writing, self._open("READ COMMITTED") as transaction:
                return work(transaction)

        return self._written(once)

    def _written(self, write: Callable[[], T]) -> T:
        self._refuse_taken()
        result = self._server.until_it_answers(write)
        if self._reserve is not None:
            self._reserve.take()
        return result

    def append(self, work: Callable[[Transaction], T]) -> T:
        def once() -> T:
            with self._server.lent() as connection, connection.transaction():
                return work(PostgreSQLTransaction(connection))

        self._refuse_taken()
        return self._server.until_it_answers(once)

    def hints(self, call: Callable[[str], None]) -> AbstractContextManager[None]:
        return hints.listening(self._server, call)

    def _refuse_taken(self) -> None:
        if not self.healthy:
            raise errors.Unavailable(
                "another penstock has opened the catalog; stop one of them", code="CATALOG_UNAVAILABLE"
            )

    def _sign_in(self) -> None:
        """Make the row that the transactions of this process sign; rows of processes that ended go."""
        with self._server.lent() as connection:
            connection.execute("DELETE FROM writers WHERE used < now() - INTERVAL '30 days'")
            connection.execute(_SIGN, [self._writer, ""])

    @contextmanager
    def _open(self, isolation: str = "SERIALIZABLE") -> Iterator[PostgreSQLTransaction]:
        """A transaction. Raises ``psycopg.Error`` if it was surely rolled back, or ``Uncertain``."""
        token = ids.new("commit")
        with self._server.lent() as connection:
            connection.execute(f"BEGIN ISOLATION LEVEL {isolation}".encode())
            transaction = PostgreSQLTransaction(connection)
            try:
                yield transaction
                if transaction.wrote:
                    connection.execute(_SIGN, [self._writer, token])
            except BaseException:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")
                raise
            try:
                return self._commit(connection)
            except psycopg.OperationalError as error:
                if isinstance(error, psycopg.errors.SerializationFailure) or not transaction.wrote:
                    raise
                lost = error
        if not self._was_committed(token):
            raise lost

    def _commit(self, connection: Connection) -> None:
        connection.execute("COMMIT")

    def _was_committed(self, token: str) -> bool:
        """What became of a transaction whose connection was lost while it committed. Raises ``Uncertain``.

        It has signed the row of this process, so that the row tells it; who locks it waits for a server that is still
        at it. (The number of a transaction would not do: after a crash another one may get it.)
        """
        with suppress(errors.Unavailable):
            found = self.row("SELECT token FROM writers WHERE name = $name FOR UPDATE", {"name": self._writer})
            if found is not None:
                return bool(found["token"] == token)
        raise Uncertain(
            f"{self._server.name} went away while it stored this, and it is not known whether it did; look before you "
            "try again",
            code="CATALOG_UNAVAILABLE",
        )

    def urgent(self, work: Callable[[], T]) -> T:
        return work() if self._reserve is None else self._reserve.spend(work)

    def export(self, sql: str, parameters: Parameters, path: Path) -> None:
        def work() -> None:
            with self._server.lent() as connection:
                rows = PostgreSQLRows(connection)
                rows.begin()
                try:
                    with rows.answer(sql, parameters) as (table, batches):
                        transfer.to_parquet(table, batches, path)
                finally:
                    with suppress(psycopg.Error):
                        rows.commit()

        self._server.until_it_answers(work)

    def copy_to(self, path: Path, alongside: Callable[[], None]) -> None:
        """As ``Store.copy_to``. Writers wait only until ``alongside`` has returned and the state to copy is fixed."""
        with self._server.connected() as reader:
            with self._server.connected() as connection:
                self._server.until_it_answers(lambda: _lock(connection))
                alongside()
                rows = PostgreSQLRows(reader)
                rows.begin()
                connection.execute("COMMIT")
            transfer.to_new_file(rows, path)

    def check(self) -> None:
        for table in transfer.tables():
            self.rows(f"SELECT sum(hashtext(t::text)) FROM {table.name} t")  # noqa: S608 - a name of our schema


class PostgreSQLTransaction(Transaction):
    """A transaction of ``connection``. Its methods raise ``psycopg.Error``, with which it is over.

    ``changed`` is whether it has changed something, or is over; ``wrote`` whether it may have.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed = self.wrote = False

    def execute(self, sql: str, parameters: Parameters = NONE) -> int:
        self.changed = self.wrote = True
        return max(0, _executed(self._connection, sql, parameters).rowcount)

    def rows(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        before, self.changed = self.changed, True
        self.wrote = self.wrote or not sql.startswith("SELECT")
        found = _rows(_executed(self._connection, sql, parameters))
        self.changed = before
        return found

    def claimed(self, sql: str, parameters: Parameters = NONE) -> Row | None:
        return self.row(f"{sql} FOR UPDATE SKIP LOCKED", parameters)

    def kept_row(self, table: str, key: str, sql: str, parameters: Parameters) -> Row | None:
        return self.row(sql, parameters)

    def keep(self, table: str, key: str, sql: str, row: Row) -> None:
        pass


class _Group(GroupCommit[PostgreSQLTransaction]):
    """Writes of this process share transactions: at the same time, they would be in each other's way."""

    def _is_everyones(self, error: Exception) -> bool:
        return isinstance(error, psycopg.OperationalError | Uncertain)


def _executed(connection: Connection, sql: str, parameters: Parameters) -> psycopg.Cursor[tuple[Any, ...]]:
    statement = dialect.translated(sql)
    sent = values.parameters(parameters, statement.json) if parameters else None
    return connection.execute(statement.text.encode(), sent)


def _rows(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[Row]:
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []


def _lock(connection: Connection) -> None:
    """Let nobody write until the transaction ends."""
    names = ", ".join(table.name for table in transfer.tables())
    try:
        connection.execute("BEGIN")
        connection.execute(f"LOCK TABLE {names} IN SHARE MODE")
    except psycopg.Error:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
