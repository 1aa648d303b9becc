"""The catalog as a DuckDB file, which one process opens.

Every call uses a separate cursor (threads that share a connection get wrong rows), and one writer works at a time.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import structlog

from service.catalog import checkpoints, migrations
from service.catalog.group_commit import GroupCommit
from service.catalog.kept_rows import KeptRows, Touched, concerns, touched
from service.catalog.store import ALL, NONE, Parameters, Row, Store, Transaction
from service.files import disk
from service.files.reserve import Reserve
from service.kit import errors

_HOLDER = re.compile(r"PID (\d+)")
_CLOSING_SECONDS = 5.0
_COPY = "penstock_copy"
_PATHS = re.compile(r'"(/[^"]*)"')
_LOCKED = re.compile(r"Could not set lock|Conflicting lock", re.IGNORECASE)
_CORRUPT = re.compile(
    r"Corrupt|checksum|not a valid DuckDB|Extension .* not found|Could not read (enough bytes )?from file"
    r"|deserializ|WAL replay|This WAL",
    re.IGNORECASE,
)

_log = structlog.get_logger("penstock.catalog")

T = TypeVar("T")


class DuckDBStore(Store):
    """The catalog file. With ``path`` None it is in memory, for tests.

    Urgent writes may use the ``reserve`` of the disk. Writes of several threads may share a transaction
    (``catalog.group_commit``), and raise ``errors.Unavailable`` (STORAGE_FULL) if the disk is full.

    Raises ``errors.Conflict`` (DATA_DIR_IN_USE, or CONFLICT if a
    newer release wrote the file), ``errors.Unavailable``, and ``errors.PenstockError`` (DATA_CORRUPT) if the file is
    damaged; reads and transactions raise that, too.
    """

    def __init__(self, path: Path | None, reserve: Reserve | None = None) -> None:
        self._path = path
        self._reserve = reserve
        if path is not None:
            _put_log_aside(path)
        try:
            self._connection = duckdb.connect(
                str(path) if path is not None else ":memory:",
                config={
                    "threads": 1,  # the catalog is small; the cores belong to the runs
                    "memory_limit": "2GB",  # it takes some MB, unless versions have large parameters
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                    "python_enable_replacements": False,
                    "checkpoint_threshold": checkpoints.NEVER,
                },
            )
        except duckdb.Error as error:
            raise not_opened(path, error) from error
        self._writing = threading.Lock()
        self._group = GroupCommit(self._writing, self._open)
        self._kept = KeptRows()
        self._checkpoints = checkpoints.Checkpoints(path)
        self._hinted: set[Callable[[str], None]] = set()
        self._healthy = True
        try:
            self.created = self.urgent(self._migrate)
        except BaseException:
            self._connection.close()
            raise
        if path is not None:
            path.chmod(0o600)

    def _migrate(self) -> bool:
        with self._watched(), disk.noticed(duckdb.Error):
            tables = "SELECT table_name FROM duckdb_tables() WHERE NOT internal"
            self._connection.begin()
            try:
                created = migrations.migrate(self._execute, {name for (name,) in self._execute(tables, NONE)})
                self._connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # a commit that failed has rolled back already
                    self._connection.rollback()
                raise
        return created

    def _execute(self, sql: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Checkpoint the write-ahead log into the file and close it, when calls of other threads have ended.

        A thread outlives the task that waited for it, if Ctrl-C cancels that.
        """
        deadline = time.monotonic() + _CLOSING_SECONDS
        with self._writing:
            while True:
                try:
                    return self._connection.close()
                except duckdb.ResourceInUseException:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)

    def rows(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        with self._watched(), closing(self._connection.cursor()) as cursor:
            return _fetch(cursor.execute(sql, parameters))

    def export(self, sql: str, parameters: Parameters, path: Path) -> None:
        target = str(path).replace("'", "''")
        with disk.noticed(duckdb.Error), self._watched(), closing(self._connection.cursor()) as cursor:
            cursor.execute(f"COPY ({sql}) TO '{target}' (FORMAT parquet)", parameters)

    @property
    def healthy(self) -> bool:
        return self._healthy

    @property
    def changes(self) -> int:
        return self._kept.changes

    def stamp(self, tables: Sequence[str], key: str | None = None) -> int:
        return self._kept.stamp(tables, key)

    def kept_row(self, table: str, key: str, sql: str, parameters: Parameters) -> Row | None:
        return self._kept.get(table, key, sql, lambda: self.row(sql, parameters))

    def keeps(self, table: str, key: str, sql: str) -> bool:
        return self._kept.has(table, key, sql)

    def write(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        return self.urgent(lambda: self._group.write(work)) if urgent else self._group.write(work)

    @contextmanager
    def hints(self, call: Callable[[str], None]) -> Iterator[None]:
        self._hinted.add(call)
        try:
            yield
        finally:
            self._hinted.discard(call)

    def urgent(self, work: Callable[[], T]) -> T:
        return work() if self._reserve is None else self._reserve.spend(work)

    @contextmanager
    def _open(self) -> Iterator[DuckDBTransaction]:
        with self._watched():
            cursor = self._connection.cursor()
            transaction, written = DuckDBTransaction(cursor, self._kept), {}
            try:
                self._checkpoints.follow(cursor)
                cursor.begin()
                yield transaction
                cursor.commit()
                written = transaction.written
                if self._reserve is not None:
                    self._reserve.take()
            except duckdb.FatalException:
                raise
            except BaseException as error:
                with suppress(duckdb.Error):  # a commit that failed has rolled back already
                    cursor.rollback()
                if isinstance(error, duckdb.Error) and disk.is_full(error):
                    raise disk.storage_full() from error
                raise
            finally:
                self._kept.forget(transaction.touched)
                for place, row in written.items():
                    self._kept.put(*place, row)
                cursor.close()
                for call in [*self._hinted] if transaction.touched else ():
                    call(ALL)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Notice that the file is damaged or the instance unusable until it is opened again; readiness reports it."""
        try:
            yield
        except duckdb.Error as error:
            corrupt = _CORRUPT.search(str(error)) is not None
            if corrupt or isinstance(error, duckdb.FatalException):
                self._healthy = False
            if corrupt:
                raise _damaged(self._path, error) from error
            raise

    def copy_to(self, path: Path, alongside: Callable[[], None]) -> None:
        """As ``Store.copy_to``. The file itself is not read: closing it would give up its lock."""
        text = str(path).replace("'", "''")
        with self._writing, self._watched():
            alongside()
            with disk.noticed(duckdb.Error), closing(self._connection.cursor()) as cursor:
                name = cursor.execute("SELECT current_database()").fetchall()[0][0]
                cursor.execute(f"ATTACH '{text}' AS {_COPY}")
                try:
                    cursor.execute(f'COPY FROM DATABASE "{name}" TO {_COPY}')
                finally:
                    cursor.execute(f"DETACH {_COPY}")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of the caller's, for copying: nobody else reads or writes meanwhile."""
        return self._connection.cursor()

    def check(self) -> None:
        for table in self.rows(
            "SELECT table_name AS name FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()"
        ):
            self.rows(f'SELECT bit_xor(hash(COLUMNS(*))) FROM "{table["name"]}"')  # noqa: S608 - a name of our schema


class DuckDBTransaction(Transaction):
    """A transaction of the file. ``changed`` is whether one of them may have changed something."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, kept: KeptRows) -> None:
        self._cursor = cursor
        self._kept = kept
        self.changed = False
        self.touched: set[Touched] = set()
        self.written: dict[tuple[str, str, str], Row] = {}

    def execute(self, sql: str, parameters: Parameters = NONE) -> int:
        self.changed = True
        new = touched(sql, parameters)
        self.touched |= new
        self.written = {place: row for place, row in self.written.items() if not concerns(new, *place[:2])}
        counted = self._cursor.execute(sql, parameters).fetchone()
        return int(counted[0]) if counted is not None else 0

    def rows(self, sql: str, parameters: Parameters = NONE) -> list[Row]:
        return _fetch(self._cursor.execute(sql, parameters))

    def kept_row(self, table: str, key: str, sql: str, parameters: Parameters) -> Row | None:
        """As ``row``, from memory as ``Store.kept_row`` while the transaction has not written what concerns it.

        No other transaction commits meanwhile, so what is in memory holds. What ``keep`` got in it holds, too.
        """
        if (table, key, sql) in self.written:
            return self.written[table, key, sql]
        if concerns(self.touched, table, key):
            return self.row(sql, parameters)
        return self._kept.get(table, key, sql, lambda: self.row(sql, parameters))

    def keep(self, table: str, key: str, sql: str, row: Row) -> None:
        self.written[table, key, sql] = row


def _fetch(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _put_log_aside(path: Path) -> None:
    """Rename a write-ahead log without its catalog, which DuckDB would delete: who puts the catalog back needs it."""
    log, number = Path(f"{path}.wal"), 1
    if path.exists() or not log.exists():
        return
    while (aside := log.with_name(f"{log.name}.{number}")).exists():
        number += 1
    log.rename(aside)
    _log.error(
        "catalog.log_put_aside", moved_to=aside.name,
        hint=f"there is no {path.name}; who puts it back renames {aside.name} to {log.name} before",
    )  # fmt: skip


def not_opened(path: Path | None, error: duckdb.Error) -> errors.PenstockError:
    """The reason why a catalog file cannot be opened."""
    text = str(error)
    if disk.is_full(error):
        return disk.storage_full()
    if _CORRUPT.search(text):
        return _damaged(path, error)
    if not _LOCKED.search(text):
        return errors.Invalid(f"the catalog cannot be opened ({_reason(error)}); is it writable?", field="data_dir")
    holder = _HOLDER.search(text)
    who = f" (process {holder[1]})" if holder else ""
    return errors.Conflict(
        f"the data directory {path.parent if path else ''} is in use by another penstock{who}; stop it first, "
        "choose another --data-dir, or ask the running service over HTTP",
        code="DATA_DIR_IN_USE",
    )


def _damaged(path: Path | None, error: duckdb.Error) -> errors.PenstockError:
    name = path.name if path is not None else "file"
    return errors.PenstockError(
        f"the catalog {name} is damaged ({_reason(error)}); no data was touched. Put a backup of it back, or move "
        f"{name} and {name}.wal to another folder and take the versions back with 'penstock verify --adopt'",
        code="DATA_CORRUPT",
    )


def _reason(error: duckdb.Error) -> str:
    """The first line of an error of DuckDB without the paths of this machine."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return _PATHS.sub(lambda found: f"'{Path(found[1]).name}'", line)
