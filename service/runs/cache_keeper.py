"""The keeper of the cache: removes the files of versions that nobody uses when they take more than their budget.

It looks when files came, at most once in some seconds. A version that a run, a query or a task reads stays, and what is
not yet in the object store does not belong to it. ``manifest.json`` and the folder stay, too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog

from service.catalog.history import History
from service.files.layout import Layout
from service.files.object_cache import ObjectCache, Wanted
from service.query.integrity import wanted
from service.runs import manifest, recovery, version_upkeep

_SECONDS = 5.0
_LONG = 60.0  # after a look that found all that is surplus in use: it costs a reading of the catalog
_log = structlog.get_logger("penstock.store")

Reads = Callable[[Path], bool]


class CacheKeeper:
    """Keeps the cache within its budget, if there is one. ``reads`` is called in the event loop."""

    def __init__(self, cache: ObjectCache | None, history: History, layout: Layout, reads: Reads) -> None:
        self._cache = cache
        self._history = history
        self._layout = layout
        self._reads = reads

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Look again and again until the end of the context."""
        if self._cache is None:
            yield
            return
        task = asyncio.create_task(self._repeat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def note(self, pipeline_id: str) -> None:
        """Note that a version of a pipeline was published here. Blocks."""
        newest = self._history.newest(pipeline_id) if self._cache is not None else None
        if self._cache is not None and newest is not None:
            self._cache.grow(newest.bytes)

    async def _repeat(self) -> None:
        assert self._cache is not None
        while True:
            try:
                if self._cache.is_full:
                    await self.sweep()
            except Exception as error:  # the catalog cannot be read now
                _log.error("cache.failed", message=str(error), exception=type(error).__name__)
            await asyncio.sleep(_LONG if self._cache.is_full else _SECONDS)

    async def sweep(self) -> int:
        """Remove what must be removed. Returns how many bytes that freed."""
        assert self._cache is not None
        for folder in await asyncio.to_thread(self._left):
            if not self._reads(folder):
                await asyncio.to_thread(version_upkeep.remove_folder, self._layout, folder)
        freed = 0
        versions = await asyncio.to_thread(self._versions)
        for cached in await asyncio.to_thread(self._cache.survey, versions):
            if not self._cache.is_full:
                break
            if self._reads(cached.folder):
                continue
            freed += await asyncio.to_thread(self._cache.evict, cached)
        if freed:
            _log.info("cache.evicted", bytes=freed)
        return freed

    def _left(self) -> list[Path]:
        """The folders of versions that were deleted, maybe by another host."""
        found = [folder for _, folder in self._layout.version_folders()]  # first, since a version may be fetched now
        known = {self._layout.version(c.version.pipeline, c.version.version) for c in self._history.committed()}
        return [
            folder
            for folder in found
            if folder not in known and (recovery.is_cache(folder) or self._history.was_deleted(manifest.run_id(folder)))
        ]

    def _versions(self) -> list[tuple[Path, list[Wanted]]]:
        """The folders of versions, and their files that the object store has."""
        found = {}
        for committed in self._history.committed():  # live ones come last: theirs is the folder
            version = committed.version
            folder = self._layout.version(version.pipeline, version.version)
            found[folder] = wanted(folder, version.all_files)
        return list(found.items())
