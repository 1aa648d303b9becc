"""The audit log: who did what. One thread writes it, so that nobody waits for the disk who need not.

Events that wait at the same time share one write and one fsync. ``record`` returns when an event is on disk; ``submit``
leaves it to the next write, half a second later at most. What the disk does not take is tried again until it does;
meanwhile ``admit`` refuses what should not be done without a record.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from service.catalog.audit_chain import HEAD_SECONDS, AuditChain
from service.catalog.audit_heads import AuditHeads
from service.catalog.store import Store
from service.files import disk
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.model.audit_event import AuditEvent, QueryTexts

if TYPE_CHECKING:
    from service.catalog.audit_row_chain import AuditRowChain

DELAY_SECONDS = 0.5
"""How long an event waits for others, unless somebody waits for it."""
MOST_WAITING = 10_000
"""Events that wait for a disk that does not take them; of further ones only the number is kept."""
AGAIN_SECONDS = 1.0
"""Between two tries to write what the disk did not take."""

_log = structlog.get_logger("penstock.audit")


class _Waiting(NamedTuple):
    """An event (``vital``: also on a full disk), or none; and who waits until all so far is on disk."""

    event: AuditEvent | None
    vital: bool
    done: Future[None] | None


class AuditLog:
    """The audit log in ``folder``. ``sync`` writes a file to disk. Methods may be called in any thread."""

    def __init__(
        self, folder: Path, store: Store, clock: Clock, *, days: int = 365, queries: QueryTexts = "hash",
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.queries = queries
        self._store = store
        self._clock = clock
        self._chain = _chain(folder, store, days, sync)
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._wanted = 0  # how many of them somebody waits for
        self._lost = 0
        self.broken: str | None = None
        """Why the last write failed; None if it did not."""
        self._code = "STORAGE_FULL"
        self._closing = False
        self._thread: threading.Thread | None = None

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: Settings, layout: Layout, store: Store, clock: Clock) -> AsyncIterator[AuditLog]:
        """The audit log of a data directory, started, until the end of the context."""
        log = cls(layout.audit, store, clock, days=settings.audit_days, queries=settings.audit_queries)
        await asyncio.to_thread(log.start)
        try:
            yield log
        finally:
            await asyncio.to_thread(log.close)

    def event(self, action: str, **values: Any) -> AuditEvent:
        """An event of this moment; of the service itself, unless ``values`` name somebody."""
        found = {"actor": None, "address": None, "outcome": "ok", **values}
        return AuditEvent(time=self._clock.now(), action=action, **found)

    def submit(self, event: AuditEvent) -> None:
        """Let an event be written within a second. Does not block."""
        self._put(event, vital=False)

    async def record(self, event: AuditEvent) -> None:
        """Write an event; it is on disk when this returns.

        Raises ``errors.Unavailable`` (STORAGE_FULL) if it could not be written; that is then tried again.
        """
        await asyncio.wrap_future(self._awaited(event))

    async def flush(self) -> None:
        """Return when what was submitted before is on disk. Raises as ``record``."""
        await asyncio.wrap_future(self._awaited(None))

    def page(
        self, wanted: Callable[[bytes], bool], *, limit: int, since: datetime | None = None,
        until: datetime | None = None, cursor: str | None = None,
    ) -> tuple[list[bytes], str | None]:  # fmt: skip
        """Events as JSON, newest first, as ``AuditChain.page``. Blocks."""
        return self._chain.page(wanted, limit=limit, since=since, until=until, cursor=cursor)

    def admit(self) -> None:
        """Raise ``errors.Unavailable`` (STORAGE_FULL, CATALOG_UNAVAILABLE) while events cannot be written."""
        if self.broken is not None:
            raise self._unwritable(self.broken, "nothing was done")

    def start(self) -> None:
        """Tidy up after processes that were killed, and drop files that are too old. Blocks.

        The service starts without a folder that can be written, so that its users can free space; ``admit`` says so.
        """
        try:
            mended, dropped = self._chain.start(self._clock.now().date())
        except (OSError, errors.PenstockError) as error:
            self._fail(error)
            return
        for name, count in mended.items():
            self.submit(self.event("audit.mended", object=name, details={"bytes": count}))
        self._note_dropped(dropped)

    def close(self) -> None:
        """Write what waits, and close the chain. Blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._waiting:
            _log.error("audit.not_written", reason=self.broken, events=len(self._waiting))

    # the queue

    def _awaited(self, event: AuditEvent | None) -> Future[None]:
        done: Future[None] = Future()
        self._put(event, vital=True, done=done)
        return done

    def _put(self, event: AuditEvent | None, *, vital: bool, done: Future[None] | None = None) -> None:
        with self._changed:
            if self._closing:
                _end(done, self._unwritable("the service stops", "this is not recorded"))
                return
            if len(self._waiting) >= MOST_WAITING * (2 if vital else 1):
                self._lost += 1
                _end(done, self._unwritable(self.broken or "too much waits for it", "this is not recorded"))
                return
            self._waiting.append(_Waiting(event, vital, done))
            self._wanted += done is not None
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
                self._thread.start()
            if done is not None or len(self._waiting) == 1:
                self._changed.notify_all()

    def _work(self) -> None:
        """The thread: write what waits, until the log is closed."""
        closing = False
        while not closing:
            batch, closing = self._take()
            for day, group in itertools.groupby(batch, _day):
                self._write(day, [*group])
            try:
                if closing:
                    self._chain.close()
                else:
                    self._chain.follow()
            except Exception as error:  # the next start finds the end of the chain by itself
                _log.error("audit.head_not_written", reason=str(error))

    def _take(self) -> tuple[list[_Waiting], bool]:
        """What is to be written now, and whether the log is being closed."""
        with self._changed:
            idle = HEAD_SECONDS if self._chain.has_grown else None
            self._changed.wait_for(lambda: self._waiting or self._closing, idle)
            if self._waiting:
                pause = DELAY_SECONDS if self.broken is None else AGAIN_SECONDS
                self._changed.wait_for(lambda: self._wanted or self._closing, pause)
            batch = [*self._waiting]
            self._waiting.clear()
            self._wanted = 0
            if self._lost and self.broken is None:
                batch.append(_Waiting(self.event("audit.lost", details={"events": self._lost}), True, None))
                self._lost = 0
            batch.sort(key=lambda one: one.event is None)  # a flush ends when all of it is written
            return batch, self._closing

    # the thread's work

    def _write(self, day: date | None, group: Sequence[_Waiting]) -> None:
        """Write events of one day, and tell who waits. On a full disk only vital ones, which use its reserve."""
        kept: list[_Waiting] = []
        failure: Exception | None = None
        try:
            if day is not None:
                kept = self._written(day, group)
            elif self.broken is not None:
                raise OSError(self.broken)
        except Exception as error:
            kept, failure = [one for one in group if one.event is not None], error
            self._fail(error)
        if not kept and day is not None:
            self.broken = None
        with self._changed:
            self._waiting.extendleft(one._replace(done=None) for one in reversed(kept))
        for one in group:
            _end(
                one.done, self._unwritable(str(self.broken), "this is recorded later") if failure is not None else None
            )

    def _written(self, day: date, group: Sequence[_Waiting]) -> list[_Waiting]:
        """Write the events of a group. Returns those that the disk has no room for."""
        if self._chain.turn(day):
            self._note_dropped(self._chain.drop(day))
        try:
            self._append(group)
            return []
        except errors.Unavailable as error:
            vital = [one for one in group if one.vital and one.event is not None]
            if error.error_code != "STORAGE_FULL" or not vital:
                raise
            self._store.urgent(lambda: self._append(vital))
            self._fail(error)
            return [one for one in group if not one.vital]

    def _append(self, group: Sequence[_Waiting]) -> None:
        self._chain.append([one.event.encoded(self.queries) for one in group if one.event is not None])

    def _note_dropped(self, names: Sequence[str]) -> None:
        for name in names:
            self.submit(self.event("audit.dropped", object=name))

    def _fail(self, error: Exception) -> None:
        reason = "the disk is full" if _is_full(error) else getattr(error, "strerror", None) or str(error)
        if self.broken is None:
            hint = "make room, or mend the folder audit of the data directory"
            _log.error("audit.not_written", reason=reason, hint=None if self._store.remote else hint)
        self.broken = reason
        code = getattr(error, "error_code", None)
        self._code = code if code == "CATALOG_UNAVAILABLE" else "STORAGE_FULL"

    def _unwritable(self, reason: str, outcome: str) -> errors.Unavailable:
        if self._store.remote:
            hint, seconds = "try again when the catalog answers", 5
        else:
            hint, seconds = "make room, or mend the folder audit of the data directory, then try again", 60
        message = f"the audit log cannot be written ({reason}), so {outcome}; {hint}"
        return errors.Unavailable(message, code=self._code, retry_after=seconds)


def _day(one: _Waiting) -> date | None:
    return one.event.time.astimezone(UTC).date() if one.event is not None else None


def _is_full(error: Exception) -> bool:
    return disk.is_full(error) or getattr(error, "error_code", "") == "STORAGE_FULL"


def _end(done: Future[None] | None, error: Exception | None = None) -> None:
    """Tell who waits; nobody does who was cancelled meanwhile."""
    if done is not None:
        with suppress(InvalidStateError):
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def _chain(folder: Path, store: Store, days: int, sync: Callable[[int], None]) -> AuditChain | AuditRowChain:
    """The chain of this process: rows, if the catalog may outlive the data directory."""
    if not store.remote:
        return AuditChain(folder, AuditHeads.of(store, folder), days=days, sync=sync)
    from service.catalog.audit_row_chain import AuditRowChain

    return AuditRowChain(store, folder, days=days)
