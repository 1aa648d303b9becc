"""What the catalog is stored in: rows that statements read, and transactions that change them.

``DuckDBStore`` is a file that one process opens, ``PostgreSQLStore`` a database that many processes use. SQL lives in
``sql/*.sql`` under names (``-- name: insert_run``), in what both databases understand; ``dialect`` has the rest.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from service.kit import errors

T = TypeVar("T")
Row = dict[str, Any]
Parameters = Mapping[str, Any]
NONE: Parameters = {}

ALL = "*"
"""The hint that anything may have changed."""
PROPERTY = "SELECT value FROM properties WHERE name = $name"
SET_PROPERTY = (
    "INSERT INTO properties (name, value) VALUES ($name, $value) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


class Uncertain(errors.Unavailable):
    """It is not known whether a transaction was committed: what it names must stay as it is."""


class Transaction(Protocol):
    """Statements that are committed together."""

    @abstractmethod
    def execute(self, sql: str, parameters: Parameters = NONE) -> int:
        """Execute a statement that writes. Returns how many rows it wrote."""

    @abstractmethod
    def rows(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        """All rows of a statement as dicts."""

    @abstractmethod
    def kept_row(self, table: str, key: str, sql: str, parameters: Parameters) -> Row | None:
        """As ``row``; may be answered from memory, if what is there is what the transaction would read."""

    @abstractmethod
    def keep(self, table: str, key: str, sql: str, row: Row) -> None:
        """Offer a row to ``kept_row``, which after the commit would read just that."""

    def row(self, sql: str, parameters: Parameters = NONE) -> Row | None:
        """The first row of a statement, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def claimed(self, sql: str, parameters: Parameters = NONE) -> Row | None:
        """The first row of a SELECT from one table that nobody else claims now, until the transaction ends."""
        return self.row(sql, parameters)


class Store(Protocol):
    """The catalog's database. Methods block, and may be called in any thread.

    ``created`` says that it had no schema before it was opened, ``healthy`` is false when only a restart helps.
    ``remote`` is whether it may outlive the data directory, and ``shared`` whether other processes serve the same
    installation: the events of runs and of the audit log are then rows. What they raise when the database cannot answer
    is said by the classes.
    """

    created: bool
    remote: bool = False
    shared: bool = False
    ahead: timedelta = timedelta()
    """How far the clock of the database is ahead of this machine's, where several processes go by it."""

    @property
    @abstractmethod
    def healthy(self) -> bool: ...

    @abstractmethod
    def close(self) -> None:
        """End all connections, when calls of other threads have ended."""

    @abstractmethod
    def rows(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        """All rows of a SELECT as dicts."""

    def row(self, sql: str, parameters: Parameters = NONE) -> Row | None:
        """The first row of a SELECT, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    @abstractmethod
    def kept_row(self, table: str, key: str, sql: str, parameters: Parameters) -> Row | None:
        """As ``row``, from memory while no write to ``table`` concerns the pipeline ``key``. Not to be changed."""

    @abstractmethod
    def keeps(self, table: str, key: str, sql: str) -> bool:
        """Whether ``kept_row`` answers from memory, without blocking."""

    @property
    @abstractmethod
    def changes(self) -> int:
        """A number that is another one after each commit: while it stays the same, so do the rows."""

    @abstractmethod
    def stamp(self, tables: Sequence[str], key: str | None = None) -> int:
        """A number for what is read afterwards of these tables, of one pipeline or all.

        What was read after it was asked for holds as long as it stays the same.
        """

    @abstractmethod
    def write(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        """The result of ``work`` in a transaction that nothing else can come between.

        ``work`` may be called more than once: it must read what it needs in the transaction each time, and have no
        other effect. ``urgent`` is what frees space or lets somebody in, also on a full disk. Raises what it raises;
        then nothing was stored. Only after ``Uncertain``, or when the store is not ``healthy`` any more, it may be.
        """

    def claim(self, work: Callable[[Transaction], T]) -> T:
        """As ``write``, of work that depends on nothing but a row that it has ``claimed``; others do so beside it."""
        return self.write(work)

    def append(self, work: Callable[[Transaction], T]) -> T:
        """The result of ``work`` in a transaction that adds rows, which others may add to at the same time.

        Unlike with ``write``, ``work`` may be called again although it was committed, and must find that out.
        """
        return self.write(work)

    def hints(self, call: Callable[[str], None]) -> AbstractContextManager[None]:
        """Call ``call`` in another thread soon after a commit, in the context: with the id of a run that has a new
        event, with an empty text if the status of a run changed, or with ``ALL``. Some hints may be missing; a catalog
        that one process has alone calls it with ``ALL`` after each commit.
        """
        return nullcontext()

    @abstractmethod
    def urgent(self, work: Callable[[], T]) -> T:
        """The result of ``work``, which gets slices of the reserve while it finds the disk full, and is repeated."""

    @abstractmethod
    def export(self, sql: str, parameters: Parameters, path: Path) -> None:
        """Write the rows of a SELECT to a new Parquet file. Raises ``errors.Unavailable`` (STORAGE_FULL)."""

    @abstractmethod
    def copy_to(self, path: Path, alongside: Callable[[], None]) -> None:
        """Copy the catalog to a new DuckDB file. No transaction commits between ``alongside`` and the copy.

        Raises ``errors.Unavailable`` (STORAGE_FULL).
        """

    @abstractmethod
    def check(self) -> None:
        """Read every value of every table. Raises ``errors.PenstockError`` (DATA_CORRUPT)."""

    def property(self, name: str) -> str | None:
        """The value of a property of the catalog, or None."""
        row = self.row(PROPERTY, {"name": name})
        return str(row["value"]) if row is not None else None

    def set_property(self, name: str, value: str | None) -> None:
        """Set a property of the catalog; None removes it."""
        if value is None:
            self.execute("DELETE FROM properties WHERE name = $name", {"name": name}, urgent=True)
            return
        self.execute(SET_PROPERTY, {"name": name, "value": value}, urgent=True)  # a start needs them

    def agreed(self, name: str, value: str) -> str:
        """The value of a property: ``value``, unless it has one. Whoever asks at the same time gets the same."""

        def work(transaction: Transaction) -> str:
            row = transaction.row(PROPERTY, {"name": name})
            if row is None:
                transaction.execute(SET_PROPERTY, {"name": name, "value": value})
            return str(row["value"]) if row is not None else value

        return self.write(work, urgent=True)  # a start needs it

    def execute(self, sql: str, parameters: Parameters = NONE, *, urgent: bool = False) -> None:
        """Execute and commit one statement; ``urgent`` as in ``write``."""
        self.write(lambda transaction: transaction.execute(sql, parameters), urgent=urgent)


def naive(moment: datetime) -> datetime:
    """The UTC time without its zone, as the catalog stores it."""
    return moment.astimezone(UTC).replace(tzinfo=None)
