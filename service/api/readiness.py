"""Readiness: whether the service can work, and what is wrong if it cannot.

Anybody may ask, as often as they like: a check that is in progress is not begun a second time, so that a disk that
hangs costs one thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import structlog

from service.catalog.audit_log import AuditLog
from service.catalog.history import History
from service.catalog.store import Store
from service.files import disk
from service.files.layout import Layout
from service.kit import errors, ids

OK = "ok"
_SECONDS = 5.0  # those who ask wait no longer than they do for an answer
_LATE = 10.0  # seconds that a busy process may be late with a short lease
_FULL = "full: free space on the disk of the data directory"

_QUIET = ("data", "audit", "stopping")
"""Checks that are listed only if something is wrong."""

_log = structlog.get_logger("penstock.api")


class Draining(Protocol):
    """What begins no run any more before it ends."""

    @property
    def draining(self) -> bool: ...


class Parts(Protocol):
    """The parts of a service that are checked."""

    @property
    def layout(self) -> Layout: ...

    @property
    def store(self) -> Store: ...

    @property
    def history(self) -> History: ...

    @property
    def audit(self) -> AuditLog: ...

    @property
    def condition(self) -> Callable[[], str]: ...

    @property
    def supervisor(self) -> Draining: ...

    @property
    def workers_alive(self) -> Callable[[], Awaitable[bool]]: ...


class Readiness:
    """The checks of one service. ``checks`` belongs to the event loop."""

    def __init__(self, services: Parts, seconds: float = _SECONDS) -> None:
        root = services.layout.root
        self._seconds = seconds
        self._checks: dict[str, Callable[[], Awaitable[str]]] = {
            "catalog": lambda: asyncio.to_thread(_catalog, services.store),
            "disk": lambda: asyncio.to_thread(_disk, root),
            "workers": lambda: _workers(services.workers_alive),
            "data": lambda: asyncio.to_thread(services.condition),
            "audit": lambda: _audit(services.audit),
            "stopping": lambda: _stopping(services.supervisor),
        }
        if services.layout.objects is not None:
            check = services.layout.objects.check
            self._checks["store"] = lambda: asyncio.to_thread(_store, check)
        if services.store.shared:
            self._checks["lease"] = lambda: _lease(services.history)
        self._going: dict[str, asyncio.Task[str]] = {}

    async def checks(self) -> dict[str, str]:
        """``ok`` or what is wrong, by check. Some are listed only if something is wrong with them."""
        going = {name: self._task(name) for name in self._checks}
        await asyncio.wait(going.values(), timeout=self._seconds)
        found = {name: self._result(name, task) for name, task in going.items()}
        return {name: state for name, state in found.items() if name not in _QUIET or state != OK}

    def _task(self, name: str) -> asyncio.Task[str]:
        task = self._going.get(name)
        if task is None:
            task = self._going[name] = asyncio.ensure_future(self._checks[name]())
            task.add_done_callback(lambda _: self._going.pop(name, None))
        return task

    def _result(self, name: str, task: asyncio.Task[str]) -> str:
        if not task.done():
            return f"no answer within {self._seconds:g} s"
        error = task.exception()
        if error is None:
            return task.result()
        _log.error("readiness.failed", check=name, exc_info=error)
        if isinstance(error, errors.PenstockError):
            return f"failed: {error.message}"
        return f"failed: the log has the reason ({type(error).__name__})"


def _catalog(store: Store) -> str:
    if not store.healthy:
        return "failed: an error of the catalog that only a restart ends; the log has it"
    return OK if store.row("SELECT 1 AS one") == {"one": 1} else "failed: it does not answer"


def _store(check: Callable[[], None]) -> str:
    check()
    return OK


async def _lease(history: History) -> str:
    """Whether others see this process as living, and it sees what they do."""
    read, renewed, seconds = time.monotonic() - history.queue.read_at, history.lease.age, history.lease.seconds
    if renewed > max(seconds, _LATE):
        return (
            f"failed: the lease was renewed {renewed:.0f} s ago and holds for {seconds:g} s; others may take the runs"
        )
    if read > max(seconds, _LATE):
        return f"failed: the queue of runs was read {read:.0f} s ago"
    return OK


async def _workers(alive: Callable[[], Awaitable[bool]]) -> str:
    return OK if await alive() else "failed: the process that starts workers has died or stands still; it is replaced"


async def _stopping(supervisor: Draining) -> str:
    return "it ends soon: it begins no run any more" if supervisor.draining else OK


async def _audit(log: AuditLog) -> str:
    return OK if log.broken is None else f"failed: the audit log cannot be written ({log.broken})"


def _disk(root: Path) -> str:
    """Whether a file can be written and flushed, and there is room for more."""
    probe = root / f".{ids.new('probe')}"
    try:
        try:
            handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(handle, b"penstock")
                os.fsync(handle)
            finally:
                os.close(handle)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return _FULL if disk.is_full(error) else f"failed: the data directory cannot be written ({error.strerror})"
    return _FULL if disk.is_exhausted(root) else OK
