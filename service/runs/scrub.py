"""The nightly scrub: every stored file is read at a bounded rate and compared with its checksum.

A flipped bit changes neither size nor time of a file, so that readers do not notice it by themselves. What the scrub
finds is known to them at once, logged, and reported by readiness; a damaged native table is built again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import structlog

from service.catalog.history import History
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import Clock
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs.store_check import StoreCheck

HOUR = 2
"""The hour (UTC) at which a scrub begins."""
_BLOCK = 1 << 20
_LATE = 1.0  # seconds that may be made up for

_log = structlog.get_logger("penstock.integrity")


class Scrub:
    """Reads the stored files once a night at ``mib_per_second``; with 0, never.

    A file that several versions share is read once.
    """

    def __init__(
        self, history: History, layout: Layout, integrity: Integrity, clock: Clock, mib_per_second: float
    ) -> None:
        self._history = history
        self._layout = layout
        self._integrity = integrity
        self._clock = clock
        self._rate = mib_per_second * (1 << 20)

    @contextlib.asynccontextmanager
    async def nightly(self) -> AsyncIterator[None]:
        """Scrub every night until the end of the context."""
        task = asyncio.create_task(self._repeat()) if self._rate > 0 else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _repeat(self) -> None:
        while True:
            await self._clock.sleep_until(next_night(self._clock.now()))
            try:
                await self.sweep()
            except Exception as error:  # a fault of one night must not end the others
                _log.error("scrub.failed", error=str(error), exc_info=error)

    async def sweep(self) -> list[str]:
        """Read all committed versions once. Returns the damaged ones, as ``orders@3``."""
        versions = [c.version for c in await asyncio.to_thread(self._history.committed) if c.live]
        size, done = 0, set[tuple[int, int]]()
        objects = await asyncio.to_thread(self._objects)
        for version in versions:
            size += await self._read(version, done)
            await asyncio.to_thread(self._compare, version, objects)
        damaged = await asyncio.to_thread(self._integrity.damaged)
        _log.info("scrub.ended", versions=len(versions), bytes=size, damaged=damaged)
        return damaged

    async def _read(self, version: Version, done: set[tuple[int, int]]) -> int:
        """Read the files of a version and remember their checksums. Returns the number of bytes.

        ``done`` are the devices and inodes that were read already.
        """
        native = [version.native] if version.native is not None else []
        size = 0
        for file in (*version.base_files, *native):
            path = self._layout.version(version.pipeline, version.version) / file.name
            with contextlib.suppress(OSError):  # the comparison reports it
                size += await self._read_file(path, done)
        return size

    async def _read_file(self, path: Path, done: set[tuple[int, int]]) -> int:
        digest, size, began = hashlib.sha256(), 0, self._clock.monotonic()
        with path.open("rb", buffering=0) as handle:
            status = os.fstat(handle.fileno())
            if (inode := (status.st_dev, status.st_ino)) in done:
                return 0
            done.add(inode)
            written = os.fstat(handle.fileno()).st_mtime_ns
            while block := await asyncio.to_thread(handle.read, _BLOCK):
                await asyncio.to_thread(digest.update, block)
                size += len(block)
                ahead = size / self._rate - (self._clock.monotonic() - began)
                if ahead < -_LATE:  # the disk or the machine stood still, which no haste makes good
                    began -= ahead
                elif ahead > 0:
                    await self._clock.sleep_until(self._clock.now() + timedelta(seconds=ahead))
            if os.fstat(handle.fileno()).st_mtime_ns == written:  # else a newer version has taken a native file over
                self._integrity.remember(handle.fileno(), size, digest.hexdigest())
        return size

    def _objects(self) -> StoreCheck | None:
        """What the object store has; None without one, or if it does not work now."""
        try:
            return StoreCheck.of(self._layout.objects) if self._layout.objects is not None else None
        except errors.Unavailable as error:
            _log.warning("scrub.without_objects", reason=error.message)
            return None

    def _compare(self, version: Version, objects: StoreCheck | None) -> None:
        """Compare the files of a version that are here, and whether the object store has the others."""
        folder = self._layout.version(version.pipeline, version.version)
        if not folder.is_dir() and self._history.version_of(version.pipeline, version.version) is None:
            return  # it was deleted meanwhile
        with contextlib.suppress(errors.PenstockError):  # it is known as damaged from now on
            if self._layout.objects is None:
                self._integrity.require(version, version.base_files)
                self._integrity.checked(version)
                return
            here = [f for f in version.all_files if f.key is None or (folder / f.name).exists()]
            self._integrity.require(version, here)  # what is not as it was written is fetched again
        faults = objects.faults(version, lambda: None, deep=False) if objects is not None else ()
        for fault in faults:
            _log.error("object.missing", pipeline=version.pipeline, version=version.version, fault=fault)


def next_night(now: datetime) -> datetime:
    """The next moment at which a scrub begins."""
    tonight = datetime.combine(now.astimezone(UTC).date(), time(HOUR), UTC)
    return tonight if tonight > now else tonight + timedelta(days=1)
