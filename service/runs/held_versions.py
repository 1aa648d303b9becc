"""Held versions: a person accepts one, which publishes it, or rejects it, which deletes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import structlog

from service.catalog.history import Alongside, History
from service.catalog.pipelines import PipelineRecord, Pipelines
from service.files.layout import Layout
from service.model import acceptance
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs import manifest
from service.runs.version_upkeep import VersionUpkeep

_log = structlog.get_logger("penstock.versions")


class Runs(Protocol):
    """The part of the supervisor that decisions need."""

    def reserved(self, record: PipelineRecord) -> AbstractContextManager[None]: ...

    def load_native(self, pipeline_id: str, version: Version) -> None: ...


class HeldVersions:
    """Accepts and rejects held versions. Its methods belong to the event loop."""

    def __init__(
        self,
        supervisor: Runs,
        history: History,
        pipelines: Pipelines,
        upkeep: VersionUpkeep,
        layout: Layout,
        integrity: Integrity,
    ) -> None:
        self._supervisor = supervisor
        self._history = history
        self._pipelines = pipelines
        self._upkeep = upkeep
        self._layout = layout
        self._integrity = integrity

    async def accept(self, name: str, number: int | str, by: str, *, alongside: Sequence[Alongside] = ()) -> Version:
        """Publish a held version with its collectors' state. ``by`` is in the log, ``alongside`` is committed with it.

        Raises ``errors.Missing``, ``errors.Conflict`` (CONFLICT if it is not held, VERSION_SUPERSEDED if a newer one
        was published since, PIPELINE_RUNNING while a run is in progress, which may have begun from the version before),
        ``errors.PenstockError`` (DATA_CORRUPT).
        """
        record = await asyncio.to_thread(self._pipelines.get, name)
        return await asyncio.shield(asyncio.create_task(self._accept(record, number, by, alongside)))

    async def _accept(
        self, record: PipelineRecord, number: int | str, by: str, alongside: Sequence[Alongside]
    ) -> Version:
        with self._supervisor.reserved(record):
            version = await asyncio.to_thread(self._publish, record, number, alongside)
        _log.info("version.accepted", pipeline=record.name, version=version.version, rows=version.rows, by=by)
        self._supervisor.load_native(record.id, version)
        return version

    def _publish(self, record: PipelineRecord, number: int | str, alongside: Sequence[Alongside]) -> Version:
        version = self._history.version(record.id, record.name, number)
        acceptance.refuse(version, self._history.newest(record.id))
        self._integrity.require(version, version.base_files)
        version = self._history.accept(record.id, version, alongside)
        # The catalog has it; a start does the rest if the service dies here.
        manifest.follow(self._layout.version(record.name, version.version), self._layout, version)
        self._layout.point_current(record.name, version.version)
        return version

    async def reject(self, name: str, number: int | str, by: str) -> None:
        """Delete a held version; its number is not used again. ``by`` is in the log.

        Raises ``errors.Missing``, ``errors.Conflict`` (CONFLICT if it is not held, VERSION_IN_USE if it is pinned,
        tagged or read).
        """
        record = await asyncio.to_thread(self._pipelines.get, name)
        version = await asyncio.to_thread(self._history.version, record.id, name, number)
        if not version.held:
            raise acceptance.not_held(version)
        await self._upkeep.remove(record.id, version, by)
