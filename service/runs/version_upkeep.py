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
from service.kit import errors, ids
from service.kit.clock import Clock
from service.model.version import Version
from service.query.integrity import Integrity
from service.runs import version_objects

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
        """As ``remove_all`` of one version. Raises as ``delete``."""
        for refusal in (await self.remove_all(pipeline_id, [version], by)).values():
            raise refusal

    async def remove_all(
        self, pipeline_id: str, versions: Sequence[Version], by: str
    ) -> dict[int, errors.PenstockError]:
        """Delete versions of a pipeline. Returns why some were left, by number, as ``delete`` raises.

        A crash in between leaves folders that the next start removes.
        """
        refused: dict[int, errors.PenstockError] = {
            v.version: in_use(v, "a run or a query reads it; try again later") for v in versions if self.is_read(v)
        }
        free = [version for version in versions if version.version not in refused]
        if free:
            refused |= await asyncio.to_thread(self._marks.delete_all, pipeline_id, free, self._clock.now())
        folders = []
        for version in free:
            if version.version in refused:
                continue
            _log.info(
                "version.deleted", pipeline=version.pipeline, version=version.version, rows=version.rows,
                bytes=version.bytes, held=version.held, by=by,
            )  # fmt: skip
            self._integrity.forget(version.pipeline, version.version)
            if self.is_read(version):
                _log.info(
                    "version.read", pipeline=version.pipeline, version=version.version, removed="at the next start"
                )
            else:
                folders.append(self._layout.version(version.pipeline, version.version))
        if folders:
            await asyncio.to_thread(_remove_folders, self._layout, folders)
        gone = [version for version in free if version.version not in refused]
        await asyncio.to_thread(version_objects.remove, self._layout, self._history, pipeline_id, gone)
        return refused

    def is_read(self, version: Version) -> bool:
        """Whether a run or a query reads the version, or soon will."""
        return self.reads(self._layout.version(version.pipeline, version.version))

    def reads(self, folder: Path) -> bool:
        """Whether a run or a query reads the version in ``folder``, or soon will."""
        return any(reads(folder) for reads in self._readers)


def purge(layout: Layout, history: History, name: str) -> bool:
    """Remove the stored versions of deleted pipelines of that name. Returns whether there were any. Blocks.

    Raises ``errors.Unavailable`` if the object store does not work; what is left is removed when it is repeated.
    """
    found, folder = version_objects.purge(layout, history, name), layout.pipeline(name)
    if not folder.is_dir():
        return found
    folder.replace(gone := layout.staging(ids.new("purged")))  # the next start removes what a crash leaves
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _remove_folders(layout: Layout, folders: Sequence[Path]) -> None:
    for folder in folders:
        remove_folder(layout, folder)


def remove_folder(layout: Layout, folder: Path) -> None:
    """Remove the folder of a version, first by a rename: what a crash leaves of it is known to be removed. Blocks."""
    if not folder.is_dir():
        return
    gone = layout.staging(ids.new("purged"))
    folder.replace(gone)
    flush(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)
