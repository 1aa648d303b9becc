"""Connections to a PostgreSQL server: how they are made, lent, tried again, and what their errors mean.

A server that restarts or fails over closes its connections and refuses new ones for a while. Whatever surely has no
effect is tried again until ``PATIENCE`` is over; then, and when it is unknown what became of something, the caller
gets ``errors.Unavailable``.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import psycopg_pool
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict

from service.catalog.postgresql import values
from service.files import disk
from service.kit import errors

SCHEMA = "penstock"
"""The schema of our tables in the database that the URL names."""
PATIENCE = 10.0
"""Seconds for which something is tried again."""
CONNECTIONS = 10
_LEAST_VERSION = 150000
_LONGEST_PAUSE = 0.2
_TRIES = 3
_GONE = frozenset({"57P01", "57P02", "57P03", "53300", "25P03"})
"""SQLSTATE of servers that stop or start, have no connection left, or ended a transaction that stood still."""
_SETTINGS = {
    "search_path": SCHEMA,
    "timezone": "UTC",
    "datestyle": "ISO",
    "extra_float_digits": "1",
    "jit": "off",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",  # a process that stands still holds no lock for ever
}

T = TypeVar("T")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is given up when the server does not answer for ``seconds``."""

    seconds = 90.0  # longer than a statement may take

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, timeout if timeout is not None else self.seconds)
        except psycopg.errors._WaitTimeout as error:
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.seconds:g} s") from error


class Server:
    """The server that ``url`` names, and a pool of connections to it. Nothing is connected before it is used."""

    def __init__(self, url: str, patience: float = PATIENCE, connections: int = CONNECTIONS) -> None:
        self.patience = patience
        self._url = url
        self._arguments = _arguments(url)
        self.name = _name(self._arguments)
        self._most = connections
        self._lent = 0
        self.on_connect: Callable[[], None] = lambda: None
        """Called before a new connection is lent; it is not if that raises."""
        self._counting = threading.Lock()
        self._pool = psycopg_pool.ConnectionPool(
            connection_class=Connection, kwargs=self._arguments, configure=self._configure, open=False, num_workers=1,
            min_size=0, max_size=connections, max_lifetime=3600, reconnect_timeout=patience / 3,
        )  # fmt: skip

    def open(self) -> None:
        """Begin to lend connections. Raises ``errors.Invalid`` if the server cannot be used, ``errors.Unavailable``."""
        self.until_it_answers(self._check)
        self._pool.open()

    def close(self) -> None:
        self._pool.close()

    def connect(self, kind: type[Connection] = Connection, **arguments: Any) -> Connection:
        """A connection that belongs to the caller. Raises ``psycopg.OperationalError``."""
        connection = kind.connect(**{**self._arguments, **arguments})
        values.register(connection)
        return connection

    def _configure(self, connection: Connection) -> None:
        values.register(connection)
        self.on_connect()

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection for statements that take long. Errors are raised as those of the service."""
        connection = self.until_it_answers(self.connect)
        try:
            connection.execute("SET statement_timeout = 0")
            yield connection
        except psycopg.Error as error:
            raise self.translated(error) from error
        finally:
            connection.close()

    def _check(self) -> None:
        with self.connect() as connection:
            if connection.info.server_version < _LEAST_VERSION:
                release = connection.info.server_version // 10000
                raise errors.Invalid(f"PENSTOCK_CATALOG_URL: {self.name} has release {release}, and 15 is needed")
            encoding = connection.execute("SHOW server_encoding").fetchone()
            if encoding != ("UTF8",):
                raise errors.Invalid("PENSTOCK_CATALOG_URL: the database must have the encoding UTF8")

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """A connection for a while; one that is broken is not lent again. Raises ``psycopg.OperationalError``."""
        connection = self._pool.getconn(timeout=self.patience / 4)
        with self._counting:
            self._lent += 1
        try:
            yield connection
        finally:
            with self._counting:
                self._lent -= 1
            broken = connection.closed
            self._pool.putconn(connection)
            if broken:
                self._pool.check()  # others that were made before the server went away are broken, too

    def until_it_answers(self, work: Callable[[], T]) -> T:
        """The result of ``work``, which is repeated while the server does not answer or others were in its way.

        ``work`` has no effect when it raises ``psycopg.Error``. Raises ``errors.Unavailable``, and other errors of the
        server as those of the service.
        """
        deadline, tries = time.monotonic() + self.patience, 0
        while True:
            try:
                return work()
            except psycopg.Error as error:
                again = _is_gone(error) or _is_conflict(error) or (_exists(error) and tries < _TRIES)
                if not again or time.monotonic() > deadline:
                    raise self.translated(error) from error
            tries += 1
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.002 * 2**tries)))  # noqa: S311 - not a secret

    def translated(self, error: psycopg.Error) -> errors.PenstockError:
        """An error of the server or the driver as one of the service."""
        if isinstance(error, psycopg_pool.PoolTimeout) and self._lent >= self._most:
            return _unavailable(f"all {self._most} connections to {self.name} are in use")
        if _is_gone(error):
            return _unavailable(f"{self.name} does not answer ({_reason(error)})")
        if _is_conflict(error):
            return _unavailable(f"others write to {self.name} all the time")
        if isinstance(error, psycopg.errors.DiskFull):
            return disk.storage_full()
        if isinstance(error, psycopg.errors.QueryCanceled | psycopg.errors.ReadOnlySqlTransaction):
            return _unavailable(f"{self.name} refused it ({_reason(error)})")
        if isinstance(error, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
            reason = f"the catalog in {self.name} is damaged ({_reason(error)})"
            return errors.PenstockError(reason, code="DATA_CORRUPT")
        return errors.PenstockError(f"the catalog in {self.name} refused a statement ({_reason(error)})")


def _arguments(url: str) -> dict[str, Any]:
    """The arguments of a connection. Raises ``errors.Invalid``, without the URL, which may have a password."""
    before, _, after = url.partition("://")[2].partition("?")[0].partition("/")
    if before.count("@") > 1 or "@" in after:  # libpq would take a part of the password for the host or the port
        raise _not_a_url("has an '@' or a '/' in user or password; write %40 for @ and %2F for /")
    try:
        found = dict(conninfo_to_dict(url))
    except psycopg.Error:
        raise _not_a_url("is not a URL of PostgreSQL (postgresql://user:password@host:5432/database)") from None
    settings = (str(found.pop("options", None) or ""), *(f"-c {name}={value}" for name, value in _SETTINGS.items()))
    ours = {"options": " ".join(settings), "client_encoding": "UTF8", "autocommit": True}
    defaults = {
        "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": 20_000, "application_name": "penstock",
    }  # fmt: skip
    return {**defaults, **found, **ours}


def _not_a_url(what: str) -> errors.Invalid:
    return errors.Invalid(f"PENSTOCK_CATALOG_URL {what}", field="PENSTOCK_CATALOG_URL")


def _name(arguments: dict[str, Any]) -> str:
    """The server for error messages, without anything that is a secret."""
    host, port = arguments.get("host") or "the local socket", arguments.get("port") or 5432
    return f"PostgreSQL at {host}:{port}"


def _is_gone(error: psycopg.Error) -> bool:
    """Whether the connection, and with it every transaction that was not being committed, is lost."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    return state.startswith("08") or state in _GONE


def _is_conflict(error: psycopg.Error) -> bool:
    """Whether a transaction was rolled back since others wrote at the same time."""
    return isinstance(error, psycopg.errors.SerializationFailure | psycopg.errors.DeadlockDetected)


def _exists(error: psycopg.Error) -> bool:
    """Whether a row exists already: it may be one that another has just inserted, which the next try then reads."""
    return isinstance(error, psycopg.errors.UniqueViolation)


def _unavailable(reason: str) -> errors.Unavailable:
    return errors.Unavailable(f"the catalog is not available: {reason}; try again", code="CATALOG_UNAVAILABLE")


def _reason(error: psycopg.Error) -> str:
    """What the server said, without the details, which may have values of rows."""
    text = error.diag.message_primary or next(iter(str(error).splitlines()), "") or type(error).__name__
    return text.strip()
