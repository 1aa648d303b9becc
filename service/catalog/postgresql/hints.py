"""Hints that something was committed (NOTIFY), as one connection of its own hears them.

They save waiting, and nothing depends on them: while the connection is lost none come, and whoever waits looks now and
then by himself. The database sends them by triggers (``sql/postgresql.sql``), whichever release wrote.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import structlog

from service.catalog.postgresql.server import Connection, Server
from service.catalog.store import ALL

_CHANNEL = "penstock"
_AGAIN_SECONDS = 1.0
_TURN_SECONDS = 0.25
"""The end of the context is seen so late."""
_TRY_SECONDS = 5.0
"""How often a connection on which nothing comes is tried."""

_log = structlog.get_logger("penstock.catalog")


@contextmanager
def listening(server: Server, call: Callable[[str], None]) -> Iterator[None]:
    """Call ``call`` with each hint, in a thread, until the end of the context."""
    stopping = threading.Event()
    thread = threading.Thread(target=_run, args=(server, call, stopping), name="hints", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(4 * _TURN_SECONDS)  # one that is about to connect ends later


def _run(server: Server, call: Callable[[str], None], stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            with server.connect(connect_timeout=2) as connection:
                _listen(connection, call, stopping)
        except (psycopg.Error, OSError) as error:
            _log.warning("catalog.hints_lost", reason=str(error).strip())
        stopping.wait(_AGAIN_SECONDS)


def _listen(connection: Connection, call: Callable[[str], None], stopping: threading.Event) -> None:
    connection.execute(f"LISTEN {_CHANNEL}")
    call(ALL)  # what was committed before it listened
    tried = time.monotonic()
    while not stopping.is_set():
        for hint in connection.notifies(timeout=_TURN_SECONDS):
            call(hint.payload)
            tried = time.monotonic()
        if time.monotonic() - tried >= _TRY_SECONDS:
            tried = time.monotonic()
            connection.execute("SELECT 1")
