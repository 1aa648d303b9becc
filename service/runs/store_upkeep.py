"""The upkeep of an object store, once an hour: what is missing there is written, and what nobody names is deleted.

A version that was made without an object store, came from a backup, or lost an object has its files here: they are
written, so that an installation moves to an object store by its setting alone. What belongs to runs that have ended and
that no version names is deleted; what the catalog does not know is left, and ``penstock verify`` lists it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

import msgspec
import structlog

from service.catalog import object_keys
from service.catalog.history import Committed, History
from service.catalog.store import Store
from service.files import shared_uploads
from service.files.checksums import Checksums
from service.files.layout import MANIFEST, UNCOMMITTED, Layout
from service.files.object_store import DamagedObject, ObjectStore
from service.kit import errors
from service.kit.clock import Clock, SystemClock
from service.model.lifecycle import ENDED, STORED
from service.model.version import Version
from service.runs import manifest, version_objects
from service.runs.exclusive import BACKUP, is_at_work
from service.runs.version_objects import COMMITTED
from service.steps.storage import File

ATTEMPT = re.compile(r"(?P<prefix>(?P<pipeline>[^/]+)/v\d{6,}-(?P<run>run_\w+)-\d+)/")
"""How the keys of an attempt begin."""
_HOUR = _GRACE = 3600.0
_log = structlog.get_logger("penstock.store")


class StoreUpkeep:
    """Looks after the objects of an installation. Its methods block.

    A query of another process that takes ``query_seconds`` finds the objects of a version that is deleted meanwhile.
    """

    def __init__(
        self, store: Store, history: History, layout: Layout, clock: Clock | None = None, query_seconds: float = 0.0
    ) -> None:  # fmt: skip
        self._catalog = store
        self._clock = clock or SystemClock()
        self._grace = max(_GRACE, 2 * query_seconds)
        self._history = history
        self._layout = layout
        self._stopped = threading.Event()

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Sweep now and every hour until the end of the context."""
        task = asyncio.create_task(self._repeat()) if self._layout.objects is not None else None
        try:
            yield
        finally:
            self._stopped.set()
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _repeat(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except Exception as error:  # the store or the catalog does not work now
                _log.error("store.not_swept", message=str(error), exception=type(error).__name__)
            await asyncio.sleep(_HOUR)

    def sweep(self) -> None:
        """Write what is missing, correct ``current``, delete what is surplus. Raises ``errors.Unavailable``."""
        store = self._layout.objects
        if store is None:
            return
        there = {one.key: one.bytes for one in store.list()}
        self._delete_surplus(store, there)
        shared_uploads.push(self._layout)
        live = [committed for committed in self._history.committed() if committed.live]
        incomplete = 0
        for committed in live:
            if self._stopped.is_set():
                return
            incomplete += not self.complete(store, committed, there)
            if committed.version.objects and f"{committed.version.objects}/{COMMITTED}" not in there:
                store.put(f"{committed.version.objects}/{COMMITTED}", b"")
        for pipeline_id in {committed.pipeline_id for committed in live}:
            if (newest := self._history.newest(pipeline_id)) is not None:
                version_objects.point_current(self._layout, pipeline_id, newest)
        _log.info("store.swept", versions=len(live), incomplete=incomplete)

    def complete(self, store: ObjectStore, committed: Committed, there: Mapping[str, int]) -> bool:
        """Write those objects of a version that are not ``there`` and whose files are here, as they were written.

        Answers whether the store has all of it then.
        """
        version = committed.version
        folder, checksums = self._layout.version(version.pipeline, version.version), Checksums()
        if (folder / UNCOMMITTED).exists():
            return False
        prefix = version.objects or f"{version.pipeline}/v{version.version:06d}-{version.run_id}-0"
        missing = {
            file: file.key or version_objects.key_of(prefix, file)
            for file in version.all_files
            if (file.key is None or there.get(file.key) != file.bytes) and _is_here(folder, file, checksums)
        }
        try:
            store.side_by_side(
                functools.partial(store.put_file, key, folder / file.name, file.bytes, file.sha256)
                for file, key in missing.items()
            )
            keyed = _keyed(version, prefix, missing)
            if f"{prefix}/{MANIFEST}" not in there and all(file.key is not None for file in keyed.all_files):
                manifest.rewrite(folder, self._layout, keyed)
                store.put(f"{prefix}/{MANIFEST}", (folder / MANIFEST).read_bytes())
            elif version.objects is None:  # not all of it is here, so that it stays as it is
                return False
            if keyed != version:
                object_keys.note(self._catalog, committed.pipeline_id, version, prefix, missing)
        except (errors.Unavailable, DamagedObject, OSError) as error:
            _log.warning("objects.missing", pipeline=version.pipeline, version=version.version, reason=str(error))
            return False
        if missing:
            _log.info("objects.written", pipeline=version.pipeline, version=version.version, objects=len(missing))
        return all(file in missing or there.get(file.key or "") == file.bytes for file in version.all_files)

    def _delete_surplus(self, store: ObjectStore, there: Iterable[str]) -> None:
        """Delete the objects of runs that have ended which no version names.

        They were listed before the runs and the versions are read: what is written or committed meanwhile stays.
        """
        if store.is_pinned or is_at_work(self._catalog, self._clock, BACKUP):
            return
        by_run: dict[str, list[str]] = {}
        for key in there:
            if (found := ATTEMPT.match(key)) is not None:
                by_run.setdefault(found["run"], []).append(key)
        over = [keys for run_id, keys in by_run.items() if self._is_over(run_id, keys)]
        kept = [c.version for c in self._history.committed() if c.live or f"{c.version.objects}/{MANIFEST}" in there]
        named = {key for version in kept for key in version_objects.named_by(version)}
        surplus = [key for keys in over for key in keys if key not in named]
        if self._catalog.shared:
            from service.catalog import retired_objects  # only where processes share an installation

            surplus = retired_objects.due(self._catalog, surplus, self._grace)
        if surplus:
            store.delete(surplus)
            _log.info("objects.removed", objects=len(surplus))

    def _is_over(self, run_id: str, keys: Iterable[str]) -> bool:
        """Whether a run has ended, so that no more than versions name of its objects is needed.

        An older copy of the catalog may know a run as unfinished that committed since: its objects have the mark.
        """
        status = self._history.status(run_id)
        if status is None:
            return self._history.was_deleted(run_id)
        return status in STORED or (status in ENDED and not any(key.endswith(f"/{COMMITTED}") for key in keys))


def _is_here(folder: Path, file: File, checksums: Checksums) -> bool:
    return checksums.fault(folder / file.name, file.bytes, file.sha256) is None


def _keyed(version: Version, prefix: str, keys: Mapping[File, str]) -> Version:
    return msgspec.structs.replace(version, objects=prefix).each(
        lambda file: msgspec.structs.replace(file, key=keys.get(file, file.key))
    )
