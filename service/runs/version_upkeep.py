"""The deletion of versions: the catalog first, then the folder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.version_marks import VersionMarks, in_use
from service.files.layout import Layout, flush
from service.kit import ids
from service.kit.clock import Clock
from service.model.version import Version
from service.query.integrity import Integrity

_log = structlog.get_logger("penstock.versions")

Reads = Callable[[Path], bool]
"""Whether a reader has files of the folder of a version open, or is about to open them. Called in the event loop."""


class VersionUpkeep:
    """Deletes versions that neither users nor readers need."""

    def __init__(
        self,
        history: History,
        pipelines: Pipelines,
        marks: VersionMarks,
        layout: Layout,
        clock: Clock,
        integrity: Integrity,
        readers: Sequence[Reads] = (),
    ) -> None:
        self._history = history
        self._pipelines = pipelines
        self._marks = marks
        self._layout = layout
        self._clock = clock
        self._integrity = integrity
        self._readers = readers

    async def delete(self, name: str, number: int | str, by: str) -> None:
        """Delete a version of a pipeline. ``by`` is in the log.

        Raises ``errors.Missing``, ``errors.Conflict`` (VERSION_IN_USE) if it is the newest, pinned, tagged or read.
        """
        record = await asyncio.to_thread(self._pipelines.get, name)
        version = await asyncio.to_thread(self._history.version, record.id, name, number)
        await self.remove(record.id, version, by)

    async def remove(self, pipeline_id: str, version: Version, by: str) -> None:
        """Delete a version. A crash in between leaves a folder that the next start removes. Raises as ``delete``."""
        folder = self._layout.version(version.pipeline, version.version)
        if self.is_read(version):
            raise in_use(version, "a run or a query reads it; try again later")
        await asyncio.to_thread(self._marks.delete, pipeline_id, version, self._clock.now())
        _log.info(
            "version.deleted", pipeline=version.pipeline, version=version.version, rows=version.rows,
            bytes=version.bytes, held=version.held, by=by,
        )  # fmt: skip
        self._integrity.forget(version.pipeline, version.version)
        if self.is_read(version):
            _log.info("version.read", pipeline=version.pipeline, version=version.version, removed="at the next start")
            return
        await asyncio.to_thread(remove_folder, self._layout, folder)

    def is_read(self, version: Version) -> bool:
        """Whether a run or a query reads the version, or soon will."""
        folder = self._layout.version(version.pipeline, version.version)
        return any(reads(folder) for reads in self._readers)


def remove_folder(layout: Layout, folder: Path) -> None:
    """Remove the folder of a version, first by a rename: what a crash leaves of it is known to be removed. Blocks."""
    if not folder.is_dir():
        return
    gone = layout.staging(ids.new("purged"))
    folder.replace(gone)
    flush(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)
