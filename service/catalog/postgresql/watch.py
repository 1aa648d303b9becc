"""What happens in the database, as one connection of its own sees it: whether others wrote, and who uses it."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta

import psycopg
import structlog

from service.catalog.postgresql.server import Connection, Server
from service.kit import errors

IN_USE = 7_369_276_011  # any number, the same in every release
"""The advisory lock of whoever has opened the installation."""
COUNTED = {
    "pipelines": ("pipelines", "revisions"), "api_keys": ("api_keys",), "users": ("users",),
    "revoked_tokens": ("revoked_tokens",),
}  # fmt: skip
"""Tables whose changes are counted by triggers: they change rarely, and every request asks whether they did. The tables
that are read together with each."""
_TOLERANCE = 0.25  # seconds: clocks that are kept agree better
_AGAIN_SECONDS = 1.0
_WAIT_SECONDS = 0.2
"""How long somebody who asks for a number waits for others that use the connection."""
_LEAVING_SECONDS = 3.0
"""How long the server may need to notice that a process which had the installation was killed."""

_log = structlog.get_logger("penstock.catalog")


class _Quick(Connection):
    """A connection for those who cannot wait long."""

    seconds = 2.0


class Watch:
    """The connection that watches ``server``, and holds the installation: ``alone``, or beside others.

    A start of the server ends it, and it is made again, before any other connection is used. If somebody else has taken
    the installation by then, ``taken`` is true from then on. Methods may be called in any thread.
    """

    def __init__(self, server: Server, *, alone: bool) -> None:
        self._server = server
        self._alone = alone
        self.taken = False
        self.ahead = timedelta()
        server.on_connect = self._confirm
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        self._closed = False
        self._tried = 0.0
        self._unknown = itertools.count(1 << 64)

    def open(self) -> None:
        """Hold the installation. Raises ``errors.Conflict`` (DATA_DIR_IN_USE), ``errors.Unavailable``."""
        deadline = time.monotonic() + _LEAVING_SECONDS
        with self._lock:
            while self._connection is None:
                try:
                    self._connection = self._server.until_it_answers(self._connected)
                except errors.Conflict:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                with suppress(psycopg.Error):
                    self._connection.execute("SELECT pg_advisory_unlock_all()")  # the server ends it a little later
                self._connection.close()
            self._connection = None

    def snapshot(self) -> int:
        """A number that is another one after each commit; one that was never there if the server does not answer.

        It is made of the transactions that a statement now would see, so that commits of any process change it, at
        once. It costs a round trip, and never waits for a server that restarts. It compares the clocks, too.
        """
        return self._number("SELECT pg_current_snapshot()::text || ' ' || extract(epoch FROM clock_timestamp())")

    def changes(self, tables: Collection[str]) -> int:
        """As ``snapshot``, of commits that wrote to these tables; some of ``COUNTED``."""
        names = ", ".join(f"'{name}'" for table in sorted(tables) for name in COUNTED[table])
        return self._number(
            "SELECT coalesce(string_agg(name || changes, ',' ORDER BY name), '') FROM table_changes "  # noqa: S608
            f"WHERE name IN ({names})"  # - names of ours
        )

    def _number(self, sql: str) -> int:
        """The hash of an answer. It waits for nobody who connects: the event loop asks."""
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            return next(self._unknown)
        try:
            if self._connection is None:
                raise psycopg.OperationalError("not connected")
            began = time.time()
            found, _, clock = _answer(self._connection, sql).partition(" ")
            if clock:
                self._compare(float(clock), began, time.time())
        except psycopg.Error:
            self._drop()
            self._connect_soon()
            return next(self._unknown)
        finally:
            self._lock.release()
        return int.from_bytes(hashlib.blake2b(found.encode(), digest_size=8).digest())

    def _connect_soon(self) -> None:
        """Let a thread connect again, unless one did so a moment ago."""
        if not self._connecting.locked() and time.monotonic() - self._tried >= _AGAIN_SECONDS:
            self._tried = time.monotonic()
            threading.Thread(target=self._connect, name="catalog-watch", daemon=True).start()

    def _connect(self) -> None:
        with suppress(psycopg.Error, errors.Conflict):
            self._confirm()

    def _compare(self, clock: float, began: float, ended: float) -> None:
        """Note how far the server's clock is ahead; a difference that the round trip can explain is none."""
        ahead = clock - (began + ended) / 2
        if abs(ahead - self.ahead.total_seconds()) > _TOLERANCE + (ended - began):
            before, self.ahead = self.ahead, timedelta(seconds=ahead if abs(ahead) > _TOLERANCE else 0)
            _log.warning("clock.differs", seconds=round(ahead, 3), before=round(before.total_seconds(), 3))

    def _confirm(self) -> None:
        """Hold the installation still, or again. Raises ``psycopg.Error``, ``errors.Conflict``."""
        with self._connecting:
            with self._lock, suppress(psycopg.Error):
                if self._connection is not None:
                    _answer(self._connection, "SELECT ''")
                    return
            try:
                made = self._connected()
            except errors.Conflict:
                self.taken = True
                _log.error("catalog.taken", hint="another penstock has opened the installation; stop one of them")
                raise
            with self._lock:
                self._drop()
                self._connection = made
                if self._closed:
                    self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Connection:
        connection = self._server.connect(_Quick, connect_timeout=2)
        try:
            kind = "" if self._alone else "_shared"
            row = connection.execute(f"SELECT pg_try_advisory_lock{kind}({IN_USE})").fetchone()
            if row != (True,):
                raise errors.Conflict(
                    f"the catalog in {self._server.name} is in use by another penstock; stop it first",
                    code="DATA_DIR_IN_USE",
                )
        except BaseException:
            with suppress(psycopg.Error):
                connection.close()
            raise
        return connection


def _answer(connection: Connection, sql: str) -> str:
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return str(row[0])
