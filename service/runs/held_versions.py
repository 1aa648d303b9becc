"""Held versions: a person accepts one, which publishes it, or rejects it, which deletes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol
from weakref import WeakValueDictionary

import structlog

from service.catalog.history import Alongside, History
from service.catalog.pipelines import PipelineRecord, Pipelines
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import Clock
from service.model import acceptance
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs import manifest, shared_runs, version_objects
from service.runs.version_upkeep import VersionUpkeep

_log = structlog.get_logger("penstock.versions")


class Runs(Protocol):
    """The part of the supervisor that decisions need."""

    def reserved(self, record: PipelineRecord) -> AbstractContextManager[None]: ...

    def load_native(self, pipeline_id: str, version: Version) -> None: ...


class HeldVersions:
    """Accepts and rejects held versions, one decision about a pipeline at a time. Its methods belong to the event loop.

    A decision that comes while another one is being carried out waits for it, and is refused by what it did.
    """

    def __init__(
        self,
        supervisor: Runs,
        history: History,
        pipelines: Pipelines,
        upkeep: VersionUpkeep,
        layout: Layout,
        integrity: Integrity,
        clock: Clock,
    ) -> None:
        self._supervisor = supervisor
        self._history = history
        self._pipelines = pipelines
        self._upkeep = upkeep
        self._layout = layout
        self._integrity = integrity
        self._clock = clock
        self._deciding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by pipeline

    async def accept(self, name: str, number: int | str, by: str, *, alongside: Sequence[Alongside] = ()) -> Version:
        """Publish a held version with its collectors' state. ``by`` is in the log, ``alongside`` is committed with it.

        Raises ``errors.Missing``, ``errors.Conflict`` (CONFLICT if it is not held, VERSION_SUPERSEDED if a newer one
        was published since, PIPELINE_RUNNING while a run is in progress, which may have begun from the version before),
        ``errors.PenstockError`` (DATA_CORRUPT).
        """
        record, version = await self._find(name, number)
        return await asyncio.shield(asyncio.create_task(self._accept(record, version, by, alongside)))

    async def _accept(
        self, record: PipelineRecord, wanted: Version, by: str, alongside: Sequence[Alongside]
    ) -> Version:
        async with self._turn(record):
            held = await self._still_held(record, wanted)
            with self._supervisor.reserved(record):
                version = await asyncio.to_thread(self._publish, record, held, alongside)
        _log.info("version.accepted", pipeline=record.name, version=version.version, rows=version.rows, by=by)
        self._supervisor.load_native(record.id, version)
        return version

    def _publish(self, record: PipelineRecord, version: Version, alongside: Sequence[Alongside]) -> Version:
        acceptance.refuse(version, self._history.newest(record.id))
        self._integrity.require(version, version.base_files)
        idle = shared_runs.idle(self._history.queue, record.id)
        version = self._history.accept(record.id, version, self._clock.now(), [idle, *alongside])
        # The catalog has it; a start does the rest if the service dies here.
        manifest.follow(self._layout.version(record.name, version.version), self._layout, version)
        version_objects.follow(self._layout, version)
        self._layout.point_current(record.name, version.version)
        version_objects.point_current(self._layout, record.id, version)
        return version

    async def reject(self, name: str, number: int | str, by: str) -> None:
        """Delete a held version; its number is not used again. ``by`` is in the log.

        Raises ``errors.Missing``, ``errors.Conflict`` (CONFLICT if it is not held, VERSION_IN_USE if it is pinned,
        tagged or read).
        """
        record, version = await self._find(name, number)
        async with self._turn(record):
            await self._upkeep.remove(record.id, await self._still_held(record, version), by)

    async def _find(self, name: str, number: int | str) -> tuple[PipelineRecord, Version]:
        record = await asyncio.to_thread(self._pipelines.get, name)
        return record, await asyncio.to_thread(self._history.version, record.id, name, number)

    def _turn(self, record: PipelineRecord) -> asyncio.Lock:
        return self._deciding.setdefault(record.id, asyncio.Lock())

    async def _still_held(self, record: PipelineRecord, version: Version) -> Version:
        """The version as it is now. Raises ``errors.Conflict`` with what became of it since the request came."""
        try:
            found = await asyncio.to_thread(self._history.version, record.id, record.name, version.version)
        except errors.Missing:
            raise acceptance.removed(version) from None
        if not found.held:
            raise acceptance.not_held(found)
        return found
