"""Retention at work: after each commit, and at a start, versions and logs that no pipeline keeps are deleted."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta

import structlog

from service.catalog.surplus import Surplus
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import Clock
from service.runs.version_upkeep import VersionUpkeep

BY = "retention"
"""Who deleted a version, in the log."""
_log = structlog.get_logger("penstock.versions")


class Retention:
    """Deletes surplus versions and logs in a task of the event loop. ``check`` may be called from any thread."""

    def __init__(self, surplus: Surplus, upkeep: VersionUpkeep, layout: Layout, clock: Clock) -> None:
        self._surplus = surplus
        self._upkeep = upkeep
        self._layout = layout
        self._clock = clock
        self._swept: datetime | None = None  # when logs were looked through
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; what is surplus already is deleted now."""
        self._loop = asyncio.get_running_loop()
        self._woken.set()
        self._task = asyncio.create_task(self._run())

    def check(self) -> None:
        """Look for surplus versions soon."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the service has stopped
                self._loop.call_soon_threadsafe(self._woken.set)

    async def close(self) -> None:
        """Stop; a deletion that has begun is finished by the next start."""
        self._loop = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> int:
        """Delete what is surplus now. Returns how many versions were deleted; those in use wait for a later commit."""
        deleted = 0
        for pipeline_id, version in await asyncio.to_thread(self._surplus.versions):
            with contextlib.suppress(errors.Conflict, errors.Missing):  # it is in use, or was deleted meanwhile
                await self._upkeep.remove(pipeline_id, version, BY)
                deleted += 1
        return deleted

    def sweep_logs(self) -> int:
        """Delete logs that are kept no longer, at most once a day. Returns how many. Blocks."""
        now = self._clock.now()
        if self._swept is not None and now - self._swept < timedelta(days=1):
            return 0
        self._swept = now
        expired = self._surplus.logs(now)
        gone = [file for file in self._layout.logs.glob("*.ndjson") if file.stem in expired]
        for file in gone:
            file.unlink(missing_ok=True)
            _log.info("log.deleted", run_id=file.stem, by=BY)
        return len(gone)

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self.sweep()
                await asyncio.to_thread(self.sweep_logs)
            except (errors.PenstockError, OSError) as error:
                _log.error("retention.failed", message=str(error))
