"""The integrity of versions: their files are compared with the catalog whenever a version is opened.

A file that an object store has is fetched from there if it is not in the data directory, or is not as it was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path

import msgspec
import structlog

from service.files.checksums import Checksums
from service.files.layout import Layout, linked
from service.files.object_cache import ObjectCache, Wanted
from service.files.object_store import DamagedObject, NoObject
from service.kit import errors
from service.model.version import Version
from service.steps.storage import File

_FEW = 16  # files
_log = structlog.get_logger("penstock.integrity")


def _nothing(_: Version) -> None:
    return None


def _as_it_is(version: Version) -> Version:
    return version


class Integrity:
    """Checks versions, and remembers which were damaged. Methods block; threads may share it.

    ``on_damaged_native`` is called with a version whose native file is damaged, each time that it is opened.
    ``present`` answers a version as the catalog has it now, None if it was deleted: its files went after it.
    ``cache`` has files of the object store, if there is one, in at most ``cache_bytes``.
    """

    def __init__(
        self, layout: Layout, present: Callable[[Version], Version | None] = _as_it_is, cache_bytes: int = 0
    ) -> None:
        self.on_damaged_native: Callable[[Version], None] = _nothing
        self._present = present
        self._layout = layout
        self._warehouse = str(layout.warehouse)
        self._checksums = Checksums()
        self._damaged: dict[tuple[str, int], Version] = {}
        self.cache: ObjectCache | None = None
        if layout.objects is not None:
            self.cache = ObjectCache(layout, layout.objects, cache_bytes, self._checksums.remember)

    def close(self) -> None:
        """Remove what was being fetched."""
        if self.cache is not None:
            self.cache.close()

    def checked(self, version: Version) -> Version:
        """The version, for a reader of its rows; without its native file if that file is damaged.

        Raises ``errors.PenstockError`` (DATA_CORRUPT) if a Parquet file is damaged, ``errors.Unavailable`` if one must
        be fetched and the object store does not work.
        """
        self.require(version, version.files)
        if version.native is None:
            return version
        fault = self._fault(version, [version.native])
        if fault is None:
            return version
        present = self._present(version)
        if present is None or present.native != version.native:  # it was removed or built again meanwhile
            return msgspec.structs.replace(version, native=None)
        _log.error("native.damaged", pipeline=version.pipeline, version=version.version, fault=fault, read="parquet")
        self.on_damaged_native(version)
        return msgspec.structs.replace(version, native=None)

    def is_intact(self, version: Version) -> bool:
        """Whether ``checked`` would answer this version, after a look at a few files; False: it must be called."""
        files = [*version.files, version.native] if version.native is not None else version.files
        if len(files) > _FEW:
            return False
        if self.cache is not None:
            self.cache.touch(self._layout.version(version.pipeline, version.version))
        folder = f"{self._warehouse}/{version.pipeline}/v{version.version:06d}"  # as Layout.version, at a tenth of it
        return all(self._checksums.is_known(f"{folder}/{file.name}", file.bytes, file.sha256) for file in files)

    def require(self, version: Version, files: Iterable[File]) -> None:
        """Check some files of a version.

        Raises ``errors.PenstockError`` (DATA_CORRUPT), ``errors.Missing`` (VERSION_NOT_FOUND) if it was deleted since,
        ``errors.Unavailable`` as ``checked``.
        """
        fault = self._fault(version, list(files))
        if fault is None:
            return
        if self._present(version) is None:
            raise errors.Missing(
                f"the pipeline '{version.pipeline}' has no version {version.version}", code="VERSION_NOT_FOUND",
                field="version",
            )  # fmt: skip
        self._note(version, fault)
        raise errors.PenstockError(
            f"version {version.version} of '{version.pipeline}' is damaged: {fault}; restore the file from a backup, "
            "or execute the pipeline again",
            code="DATA_CORRUPT",
            pipeline=version.pipeline,
            version=version.version,
        )

    def has(self, version: Version, files: Iterable[File]) -> bool:
        """Whether files are here; whether they are as they were written is not looked at."""
        folder = self._layout.version(version.pipeline, version.version)
        return all((folder / file.name).is_file() for file in files)

    def begin(self, version: Version, files: Sequence[File]) -> list[Future[None]]:
        """Begin to fetch those files that are not here, in this order."""
        return [future for future in self.begin_each(version, files) if future is not None]

    def begin_each(self, version: Version, files: Sequence[File]) -> list[Future[None] | None]:
        """As ``begin``, with None for each file that is here."""
        if self.cache is None:
            return [None for _ in files]
        folder = self._layout.version(version.pipeline, version.version)
        self.cache.touch(folder)
        found: list[Future[None] | None] = []
        for file in files:
            missing = wanted(folder, [file]) if not (folder / file.name).is_file() else []
            found.append(self.cache.begin(missing)[0] if missing else None)
        return found

    @staticmethod
    async def arrival(coming: Iterable[Future[None]]) -> None:
        """Wait for what is on its way, without a thread that waits.

        Raises ``errors.Unavailable``; other faults are found by ``require``, which must follow.
        """
        waiting = [asyncio.shield(asyncio.wrap_future(future)) for future in coming]
        for found in await asyncio.gather(*waiting, return_exceptions=True):
            if isinstance(found, errors.Unavailable):
                raise found

    def remember(self, handle: int, size: int, checksum: str) -> None:
        """Note the checksum of an open file whose ``size`` bytes were read; later checks compare this one."""
        self._checksums.remember(handle, size, checksum)

    def compare_sizes(self, version: Version) -> None:
        """Compare the sizes of the files of a version; remember it as damaged if one is missing or differs.

        A cached file that differs is removed, so that it is fetched again.
        """
        folder = self._layout.version(version.pipeline, version.version)
        files = version.base_files
        if self.cache is not None:
            for path, size in ((folder / f.name, f.bytes) for f in files if f.key is not None):
                if path.exists() and self._checksums.fault(path, size, "") is not None:
                    path.unlink()
            files = [f for f in files if f.key is None]
        fault = self._first_fault(folder, [msgspec.structs.replace(file, sha256="") for file in files])
        if fault is not None:
            self._note(version, fault)

    def _note(self, version: Version, fault: str) -> None:
        self._damaged[version.pipeline, version.version] = version
        _log.error("version.damaged", pipeline=version.pipeline, version=version.version, fault=fault)

    def damaged(self) -> list[str]:
        """The versions that were found damaged and still are, as ``orders@3``."""
        for key, version in list(self._damaged.items()):
            folder = self._layout.version(version.pipeline, version.version)
            if self._first_fault(folder, version.base_files) is None:
                self._damaged.pop(key, None)
        return [f"{name}@{number}" for name, number in sorted(self._damaged)]

    def forget(self, pipeline: str, version: int | None = None) -> None:
        """Forget the damage of a version that was deleted; by default of all versions of a deleted pipeline."""
        for key in [key for key in self._damaged if key[0] == pipeline and version in (None, key[1])]:
            self._damaged.pop(key, None)

    def _fault(self, version: Version, files: Sequence[File]) -> str | None:
        """What is wrong with the files, after those that must be fetched were fetched."""
        folder = self._layout.version(version.pipeline, version.version)
        if self.cache is None:
            return self._first_fault(folder, files)
        self.cache.touch(folder)
        fault = self._first_fault(folder, files)
        if fault is None or linked(folder) is not None:
            return fault
        try:
            self.cache.fill(wanted(folder, (f for f in files if self._file_fault(folder, f) is not None)))
        except NoObject as error:
            return f"the object store has no '{error}'"
        except DamagedObject as error:
            return f"the object store has another object than was written: {error}"
        return self._first_fault(folder, files)

    def _first_fault(self, folder: Path, files: Iterable[File]) -> str | None:
        if (fault := linked(folder)) is not None:
            return fault
        return next((fault for file in files if (fault := self._file_fault(folder, file)) is not None), None)

    def _file_fault(self, folder: Path, file: File) -> str | None:
        return self._checksums.fault(folder / file.name, file.bytes, file.sha256)


def wanted(folder: Path, files: Iterable[File]) -> list[Wanted]:
    """The files of the version in ``folder`` that an object store has."""
    return [Wanted(folder, f.name, f.key, f.bytes, f.sha256) for f in files if f.key is not None]
