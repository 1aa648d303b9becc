"""Leases at work: those of this process are renewed while its runs are running, and lost runs are taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import msgspec
import structlog

from service.catalog.history import History
from service.catalog.leases import Lease
from service.catalog.store import Transaction
from service.kit.clock import Clock
from service.model.run import Run
from service.runs import attempt_records, run_errors

_log = structlog.get_logger("penstock.run")


def take_over(history: History, now: datetime, *, alone: bool) -> list[Run]:
    """Take over the running runs whose service is lost. Returns them as they are then. Blocks.

    A run that may have another attempt becomes ``retrying``, others ``interrupted``. Where this process has the catalog
    ``alone``, every other owner is gone; else those whose lease has run out.
    """
    return history.queue.take_over(lambda run: _taken_over(run, now), None if alone else now)


def give_up(history: History, now: datetime, run_ids: Collection[str]) -> None:
    """Let others go on with running runs of this process that it does not work on. Blocks."""
    history.queue.give_up(run_ids, lambda run: _taken_over(run, now))


def _taken_over(run: Run, now: datetime) -> Run:
    error = run_errors.interrupted(run)
    if attempt_records.has_more(run):
        return attempt_records.waiting(run, now, error, 0.0)
    attempts = attempt_records.closed(run, now, error)
    return msgspec.structs.replace(run, status="interrupted", end_time=now, phase=None, error=error, attempts=attempts)


class Renewal:
    """Renews a lease in a task of the event loop, each third of its time; ``alongside`` is committed with it."""

    def __init__(self, lease: Lease, clock: Clock, alongside: Callable[[Transaction], None] = lambda _: None) -> None:
        self._lease = lease
        self._clock = clock
        self._alongside = alongside
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._lease.begin()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop. Safe to call again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = timedelta(seconds=self._lease.seconds / 3)
        while True:
            await self._clock.sleep_until(self._clock.now() + pause)
            try:
                await asyncio.to_thread(self._lease.renew, self._alongside)
            except Exception as error:  # the catalog cannot be written now; the runs stay ours while nobody takes them
                _log.warning("lease.not_renewed", reason=str(error))
