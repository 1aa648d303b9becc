"""The catalog's DuckDB file, which one process opens.

Every call uses a separate cursor (threads that share a connection get wrong rows), one writer works at a time, and SQL
lives in ``sql/*.sql`` under names (``-- name: insert_run``).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from service.catalog import migrations
from service.catalog.group_commit import GroupCommit
from service.files import disk
from service.kit import errors

_HOLDER = re.compile(r"PID (\d+)")

T = TypeVar("T")
Row = dict[str, Any]
Parameters = Mapping[str, Any] | Sequence[Any]


class Store:
    """The catalog file. With ``path`` None it is in memory, for tests.

    ``created`` says that the file had no schema yet. Raises ``errors.Conflict`` (DATA_DIR_IN_USE, or CONFLICT if a
    newer release wrote the file), ``errors.Unavailable``.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            self._connection = duckdb.connect(
                str(path) if path is not None else ":memory:",
                config={
                    "threads": 1,  # the catalog is small; the cores belong to the runs
                    "memory_limit": "512MB",
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                    "python_enable_replacements": False,
                },
            )
        except duckdb.IOException as error:
            raise _in_use(path, error) from error
        self._writing = threading.Lock()
        self._group = GroupCommit(self._writing, self._open)
        self.healthy = True
        try:
            self.created = migrations.migrate(self._connection)
        except BaseException:
            self._connection.close()
            raise
        if path is not None:
            path.chmod(0o600)

    def close(self) -> None:
        """Checkpoint the write-ahead log into the file and close it."""
        with self._writing:
            self._connection.close()

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a SELECT as dicts."""
        cursor = self._connection.cursor()
        try:
            return _fetch(cursor.execute(sql, parameters))
        finally:
            cursor.close()

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of a SELECT, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def write(self, work: Callable[[Transaction], T]) -> T:
        """The result of ``work`` in a transaction that writes of other threads may share (``catalog.group_commit``).

        ``work`` may be called more than once. Raises what it raises; ``errors.Unavailable`` (STORAGE_FULL).
        """
        return self._group.write(work)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction, one writer at a time: its statements are committed together or not at all.

        Raises ``errors.Unavailable`` (STORAGE_FULL) if the disk is full.
        """
        with self._writing, self._open() as transaction:
            yield transaction

    @contextmanager
    def _open(self) -> Iterator[Transaction]:
        cursor = self._connection.cursor()
        try:
            cursor.begin()
            yield Transaction(cursor)
            cursor.commit()
        except duckdb.FatalException:
            self.healthy = False  # the instance is unusable until it is opened again; readiness reports it
            raise
        except BaseException as error:
            with suppress(duckdb.Error):  # a commit that failed has rolled back already
                cursor.rollback()
            if isinstance(error, duckdb.Error) and disk.is_full(error):
                raise disk.storage_full() from error
            raise
        finally:
            cursor.close()

    def property(self, name: str) -> str | None:
        """The value of a property of the catalog, or None."""
        row = self.row("SELECT value FROM properties WHERE name = $name", {"name": name})
        return str(row["value"]) if row is not None else None

    def set_property(self, name: str, value: str | None) -> None:
        """Set a property of the catalog; None removes it."""
        if value is None:
            self.execute("DELETE FROM properties WHERE name = $name", {"name": name})
            return
        self.execute(
            "INSERT OR REPLACE INTO properties (name, value) VALUES ($name, $value)", {"name": name, "value": value}
        )

    def execute(self, sql: str, parameters: Parameters = ()) -> None:
        """Execute and commit one statement."""
        with self.transaction() as transaction:
            transaction.execute(sql, parameters)


class Transaction:
    """Statements that are committed together. ``changed`` is whether one of them may have changed something."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self.changed = False

    def execute(self, sql: str, parameters: Parameters = ()) -> None:
        self.changed = True
        self._cursor.execute(sql, parameters)

    def returned(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row that a changing statement with ``RETURNING`` answers, or None."""
        self.changed = True
        return self.row(sql, parameters)

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        return _fetch(self._cursor.execute(sql, parameters))

    def row(self, sql: str, parameters: Parameters = ()) -> Row | None:
        found = self.rows(sql, parameters)
        return found[0] if found else None


def _fetch(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _in_use(path: Path | None, error: Exception) -> errors.PenstockError:
    if "lock" not in str(error).lower():
        return errors.Unavailable(f"the catalog cannot be opened: {type(error).__name__}; is its disk writable?")
    holder = _HOLDER.search(str(error))
    who = f" (process {holder[1]})" if holder else ""
    return errors.Conflict(
        f"the data directory {path.parent if path else ''} is in use by another penstock{who}; stop it first, "
        "choose another --data-dir, or ask the running service over HTTP",
        code="DATA_DIR_IN_USE",
    )


def naive(moment: datetime) -> datetime:
    """The UTC time without its zone, as the catalog stores it."""
    return moment.astimezone(UTC).replace(tzinfo=None)
