"""Retention at work: versions, runs and logs that no pipeline keeps are deleted, and records that are over forgotten.

The versions of a pipeline are looked at after each of its commits, all versions and the rest at a start and every hour.
A version that is read, as the one before the newest is until its run has ended, is looked at again seconds later.
A sweep of runs has bounded work; what is left is done by the next one. The log of a run is deleted before the run, and
the totals of deleted runs are written with their deletion, so that a service that is killed in between does the same
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

import structlog

from service.catalog.expired_runs import Expired, ExpiredRuns
from service.catalog.surplus import Surplus
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import Clock, rest_until
from service.runs.version_upkeep import VersionUpkeep

BY = "retention"
"""Who deleted a version or a run, in the log."""
_BATCH, _BATCHES = 500, 20  # runs that are deleted together, and how often in one sweep
_BREATH = 0.05  # seconds between two batches, in which others may write
_SETTLE = 1.0  # seconds after a publication, so that one sweep is for many: it costs as much as a small transaction
_HOUR, _SOON = timedelta(hours=1), timedelta(minutes=1)
_AGAIN = timedelta(seconds=5)  # after which versions that were read are looked at again
_log = structlog.get_logger("penstock.retention")


class Retention:
    """Deletes what is surplus in a task of the event loop. ``check`` may be called from any thread.

    ``forget`` are called once in an hour; they remove records that are over, and may block.
    """

    def __init__(
        self, surplus: Surplus, expired: ExpiredRuns, upkeep: VersionUpkeep, layout: Layout, clock: Clock,
        forget: Sequence[Callable[[], object]] = (),
    ) -> None:  # fmt: skip
        self._surplus = surplus
        self._expired = expired
        self._upkeep = upkeep
        self._layout = layout
        self._clock = clock
        self._forget = forget
        self._due = clock.now()
        self._published: set[str] = set()  # pipelines, until their versions were looked at
        self._read: set[str] = set()  # those with surplus versions that were read
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; what is surplus already is deleted now."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    def check(self, pipeline_id: str) -> None:
        """Look for surplus versions of the pipeline soon."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the service has stopped
                self._loop.call_soon_threadsafe(self._note, pipeline_id)

    def check_all(self) -> None:
        """Look at everything within a minute. Belongs to the event loop."""
        self._due = min(self._due, self._clock.now() + _SOON)
        self._woken.set()

    def _note(self, pipeline_id: str) -> None:
        self._published.add(pipeline_id)
        self._woken.set()

    async def close(self) -> None:
        """Stop; a deletion that has begun is finished by the next start."""
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self, pipeline_ids: Collection[str] | None = None) -> int:
        """Delete surplus versions, of some pipelines or all. Returns how many; those in use wait for the next one."""
        deleted = kept = 0
        while found := await asyncio.to_thread(self._surplus.versions, kept, pipeline_ids):
            for owner, group in itertools.groupby(found, lambda one: one[0]):
                versions = [version for _, version in group]
                refused = await self._upkeep.remove_all(owner, versions, BY)
                deleted += len(versions) - len(refused)
                in_use = [number for number, why in refused.items() if isinstance(why, errors.Conflict)]
                kept += len(in_use)  # the others were deleted meanwhile
                if any(self._upkeep.is_read(version) for version in versions if version.version in in_use):
                    self._read.add(owner)
        return deleted

    async def sweep_runs(self) -> int:
        """Delete runs that are kept no longer, with their logs. Returns how many."""
        deleted = 0
        for _ in range(_BATCHES):
            batch = await asyncio.to_thread(self._expired.next, self._clock.now(), _BATCH)
            await asyncio.to_thread(self._delete, batch)
            deleted += len(batch)
            if len(batch) < _BATCH:
                break
            await asyncio.sleep(_BREATH)
        return deleted

    def _delete(self, batch: list[Expired]) -> None:
        if not batch:
            return
        for run in batch:
            self._layout.log(run.run_id).unlink(missing_ok=True)
        self._expired.delete(batch)
        for pipeline, runs in Counter(run.pipeline for run in batch).items():
            _log.info("run.deleted", pipeline=pipeline, runs=runs, by=BY)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                if self._published:
                    await asyncio.sleep(_SETTLE)
                looked, self._published, self._read = self._published | self._read, set(), set()
                if looked:
                    await self._sweep_published(looked)
                if self._clock.now() >= self._due:
                    await self._sweep_hourly()
            except Exception as error:  # the catalog or the disk cannot be read or written now
                _log.error("retention.failed", message=str(error), exception=type(error).__name__)
            wake = min(self._due, self._clock.now() + _AGAIN) if self._read else self._due
            await rest_until(self._clock, wake, self._woken)

    async def _sweep_published(self, pipeline_ids: set[str]) -> None:
        try:
            await self.sweep(pipeline_ids)
        except Exception:
            self._published |= pipeline_ids  # they are looked at with the next ones
            raise

    async def _sweep_hourly(self) -> None:
        self._due = self._clock.now() + _HOUR  # also if the sweep fails
        await self.sweep()
        if await self.sweep_runs() >= _BATCH * _BATCHES:
            self._due = self._clock.now() + _SOON
        await asyncio.to_thread(self._expired.forget_versions, self._clock.now())
        for forget in self._forget:
            await asyncio.to_thread(forget)
