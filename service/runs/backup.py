"""A backup of a data directory: a consistent copy of catalog, versions, uploads, audit and signing secret.

While no transaction can commit, the catalog is copied and every committed version gets hard links in a folder of the
staging area. From these the files are copied afterwards, so that a version that is deleted meanwhile stays readable.
The backup gets its name when its last file is flushed; until then it is a hidden folder that nothing restores.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import structlog

import service
from service.catalog import migrations
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.history import Committed, History
from service.catalog.store import Store
from service.files import disk, manifest_file, shared_uploads
from service.files.backup_directory import BackupDirectory, BackupManifest
from service.files.backup_writer import BackupWriter, Mismatch
from service.files.layout import MANIFEST, Layout
from service.files.object_store import DamagedObject, NoObject
from service.kit import errors, ids
from service.kit.clock import Clock
from service.model.version import Version
from service.runs import manifest, publication, version_objects
from service.runs.exclusive import BACKUP, exclusive
from service.steps.storage import File

PINS = "backup"
"""How the names of the folders in the staging area begin that keep versions readable for a backup."""

_log = structlog.get_logger("penstock.backup")

_Outcome = Literal["whole", "without native", "purged"]


class BackupReport(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made. ``shared_bytes`` of its ``bytes`` are shared with the backup before it."""

    directory: str
    versions: int
    files: int
    bytes: int
    shared_bytes: int


class Backups:
    """Makes backups of a data directory. Methods block."""

    def __init__(self, store: Store, history: History, layout: Layout, clock: Clock) -> None:
        self._store = store
        self._history = history
        self._layout = layout
        self._clock = clock
        self._stop = threading.Event()

    def stop(self) -> None:
        """End backups that are being made; they leave nothing that looks whole."""
        self._stop.set()

    def make(self, directory: str) -> BackupReport:
        """Make a backup in ``directory`` and return when it is whole and on disk.

        Raises ``errors.Invalid`` (field ``directory``), ``errors.Conflict``, ``errors.Unavailable`` (STORAGE_FULL),
        ``errors.PenstockError`` (DATA_CORRUPT) if a stored file is damaged and no earlier backup has it.
        """
        place = BackupDirectory.at(directory, self._layout.root)
        migrations.require_own(self._store, "a backup")
        if self._history.is_empty() and self._layout.version_folders():
            raise errors.Conflict("the catalog is missing; take the versions back with 'penstock verify --adopt' first")
        pins = self._layout.staging(ids.new(PINS))
        try:
            objects = self._layout.objects
            kept = objects.pinned() if objects is not None else contextlib.nullcontext()
            alone = exclusive(self._store, self._clock, BACKUP)
            with kept, alone, place.locked(), _removed_on_failure(place.begin()) as partial:
                return self._make(place, partial, pins, directory)
        except OSError as error:
            if disk.is_full(error):
                raise _full(directory) from error
            raise errors.PenstockError(f"the backup was not made ({error.strerror or error})") from error
        except errors.Unavailable as error:
            raise (_full(directory) if error.error_code == "STORAGE_FULL" else error) from error
        finally:
            shutil.rmtree(pins, ignore_errors=True)

    def _make(self, place: BackupDirectory, partial: Path, pins: Path, directory: str) -> BackupReport:
        before = place.backups()
        created = self._clock.now()
        versions, audit = self._snapshot(partial / self._layout.catalog.name, pins)
        writer = BackupWriter(partial, before[-1] if before else None, self._stop)
        added = [(c, self._add_version(writer, c, pins)) for c in versions]
        lost = [c for c, outcome in added if outcome == "without native"]
        count = sum(outcome != "purged" for _, outcome in added)
        self._add_others(writer, audit)
        self._finish_catalog(partial / self._layout.catalog.name, lost)
        writer.add_written(self._layout.catalog.name)
        found = BackupManifest(release=service.__version__, created=created, versions=count, files=writer.files)
        folder = place.commit(partial, found)
        report = BackupReport(
            directory=directory, versions=count, files=len(writer.files),
            bytes=sum(f.bytes for f in writer.files), shared_bytes=writer.shared_bytes,
        )  # fmt: skip
        _log.info("backup.made", folder=str(folder), **{**msgspec.to_builtins(report), "directory": str(place.path)})
        return report

    def _snapshot(self, catalog: Path, pins: Path) -> tuple[list[Committed], dict[Path, int]]:
        """Copy the catalog, and pin the versions that it has.

        They are returned, and the files of the audit log with their sizes: the catalog knows all chains in these.
        """
        pinned: list[Committed] = []
        audit: dict[Path, int] = {}

        def pin() -> None:
            audit.update((path, path.stat().st_size) for path in sorted(self._layout.audit.glob("*.ndjson")))
            for committed in self._history.committed():
                version = committed.version
                folder = self._layout.version(version.pipeline, version.version)
                there = version.objects is not None or manifest.run_id(folder) == version.run_id
                if committed.live or there:  # else it was purged
                    _pin(folder, _folder(pins, version), version)
                    pinned.append(committed)

        self._store.copy_to(catalog, pin)
        return pinned, audit

    def _add_version(self, writer: BackupWriter, committed: Committed, pins: Path) -> _Outcome:
        """Add the files of a version, without its native table if that is damaged: it can be built again.

        Nothing is added if the version was purged while it was pinned. Raises ``errors.PenstockError`` (DATA_CORRUPT).
        """
        version = committed.version
        live = self._layout.version(version.pipeline, version.version)
        sources, within = (_folder(pins, version), live), str(live.relative_to(self._layout.root))

        def place(name: str) -> Path:
            return next((f / name for f in sources if (f / name).is_file()), live / name)

        def add(file: File) -> None:
            here = place(file.name)
            with self._fetched(file, pins) if not here.is_file() else contextlib.nullcontext(here) as path:
                writer.add(path, f"{within}/{file.name}", size=file.bytes, checksum=file.sha256)

        try:
            for file in version.base_files:
                add(file)
            writer.add(self._manifest(place(MANIFEST), pins, version), f"{within}/{MANIFEST}")
        except (Mismatch, FileNotFoundError) as error:
            if not committed.live and not self._is_there(live, version):
                writer.withdraw(within)
                return "purged"
            reason = str(error) if isinstance(error, Mismatch) else f"{Path(error.filename).name} is missing"
            raise errors.PenstockError(
                f"version {version.version} of '{version.pipeline}' is damaged: {reason}; the backup was not made, and "
                "earlier ones are as they were. 'penstock verify --deep' lists what is damaged",
                code="DATA_CORRUPT", pipeline=version.pipeline, version=version.version,
            ) from error  # fmt: skip
        try:
            if version.native is not None:
                add(version.native)
        except (Mismatch, FileNotFoundError):
            writer.drop(f"{within}/{version.table}.duckdb")
            return "without native"
        return "whole"

    def _is_there(self, folder: Path, version: Version) -> bool:
        """Whether the files of a version of a deleted pipeline are still those of the version."""
        objects = self._layout.objects
        if objects is not None and version.objects is not None:
            return version_objects.exists(objects, version)
        return manifest.run_id(folder) == version.run_id

    @contextlib.contextmanager
    def _fetched(self, file: File, pins: Path) -> Iterator[Path]:
        """A file that only the object store has, for as long as it is copied. Raises ``Mismatch``."""
        if self._layout.objects is None or file.key is None:
            raise FileNotFoundError(errno.ENOENT, "missing", file.name)
        path = pins / ids.new("fetched")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with path.open("xb") as out:
                self._layout.objects.fetch(file.key, out, file.bytes, file.sha256)
            yield path
        except NoObject:
            raise FileNotFoundError(errno.ENOENT, "missing", file.name) from None
        except DamagedObject as error:
            raise Mismatch(str(error)) from error
        finally:
            path.unlink(missing_ok=True)

    def _manifest(self, path: Path, pins: Path, version: Version) -> Path:
        """The manifest of a version, made from the catalog if it is damaged: nobody could restore a backup with it."""
        if path.is_file() or version.objects is None:
            with contextlib.suppress(manifest_file.DamagedManifest):
                manifest_file.check(path.read_bytes())
                return path
        again = pins / ids.new("manifest")
        again.mkdir(mode=0o700, parents=True)
        if version.objects is not None and self._layout.objects is not None:  # it has the configuration, too
            with contextlib.suppress(NoObject):
                (again / MANIFEST).write_bytes(self._layout.objects.read(f"{version.objects}/{MANIFEST}")[0])
        manifest.write(again, version, again if version.objects is not None else path.parent)
        return again / MANIFEST

    def _add_others(self, writer: BackupWriter, audit: dict[Path, int]) -> None:
        """Add the uploads, the audit log and the signing secret."""
        shared_uploads.pull(self._layout)
        root = self._layout.root
        for path in (*sorted(self._layout.uploads.rglob("*")), *audit, self._layout.secret):
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if path.is_symlink() or not path.is_file() or hidden:
                continue
            name = str(path.relative_to(root))
            if os.fsencode(name).decode(errors="replace") != name:
                raise errors.Conflict(f"the name of the file {name!r} is not UTF-8; rename it, then try again")
            with contextlib.suppress(FileNotFoundError):  # it was deleted meanwhile
                writer.add(path, name, most=audit.get(path))

    def _finish_catalog(self, path: Path, lost: list[Committed]) -> None:
        """Let the copied catalog know native tables that are not in the backup as not built, and check it."""
        store = DuckDBStore(path)
        try:
            history = History(store)
            for committed in lost:
                publication.forget_native(history, committed.pipeline_id, committed.version, wanted=committed.live)
            store.check()
        finally:
            store.close()


def _pin(folder: Path, pins: Path, version: Version) -> None:
    """Hard links to the files of a version; without links in the file system its own folder is read."""
    native = [version.native] if version.native is not None else []
    for name in (*(file.name for file in (*version.base_files, *native)), MANIFEST):
        target = pins / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            target.hardlink_to(folder / name)


def _folder(pins: Path, version: Version) -> Path:
    return pins / version.pipeline / f"v{version.version:06d}"


@contextlib.contextmanager
def _removed_on_failure(folder: Path) -> Iterator[Path]:
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _full(directory: str) -> errors.Unavailable:
    return errors.Unavailable(
        f"the disk of {directory} is full, so the backup was not made; earlier ones are as they were. Free space (such "
        "as backups that nobody needs) or choose another directory, then try again",
        code="STORAGE_FULL",
        retry_after=60,
    )
