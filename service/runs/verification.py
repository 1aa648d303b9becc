"""``penstock verify``: the catalog and the files are compared; versions that the catalog lost can be adopted."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from service.catalog.audit_heads import AuditHeads
from service.catalog.history import Committed, History
from service.catalog.pipelines import PipelineRecord, Pipelines
from service.catalog.store import Store
from service.files import audit_check, audit_file, permissions
from service.files.checksums import Checksums
from service.files.layout import CURRENT, PARTS, UNCOMMITTED, Layout, flush, linked
from service.kit import errors
from service.kit.clock import Clock, SystemClock
from service.model.run import Run, StoredForm
from service.model.version import Version
from service.runs import manifest, recovery
from service.runs.condition import Condition
from service.runs.exclusive import VERIFICATION, exclusive
from service.runs.manifest import Manifest
from service.runs.store_check import StoreCheck
from service.steps.storage import File

Kind = Literal["damaged", "tampered", "unknown", "adopted", "refused"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. ``folder`` is relative to the data directory.

    ``damaged``: files of a version in the catalog are missing or changed, or the catalog itself is lost. ``unknown``:
    a folder that the catalog does not know. ``adopted``: one that was taken back. ``refused``: one that could not be.
    ``tampered``: a file of the audit log is not as it was written.
    """

    kind: Kind
    folder: str
    message: str
    pipeline: str | None = None
    version: int | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The result: how many versions and files were compared, and the findings."""

    versions: int
    files: int
    findings: list[Finding]

    @property
    def failed(self) -> bool:
        """Whether something is damaged, the catalog is lost, or a folder could not be adopted."""
        return any(f.kind in ("damaged", "tampered", "refused") for f in self.findings)


@dataclass(frozen=True)
class Verifier:
    """Compares the catalog with the files of a data directory. Methods block."""

    store: Store
    history: History
    pipelines: Pipelines
    layout: Layout
    condition: Condition
    clock: Clock = field(default_factory=SystemClock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End a verification that is in progress, which raises ``errors.Unavailable``."""
        self._stopped.set()

    def verify(self, *, deep: bool = False, adopt: bool = False) -> Verification:
        """Compare sizes, with ``deep`` also checksums; with ``adopt`` take unknown versions back first.

        Versions may come and go meanwhile, but not with ``adopt``. Raises ``errors.PenstockError`` (DATA_CORRUPT) if
        the catalog is damaged, ``errors.Unavailable`` after ``stop``, ``errors.Conflict`` if another process verifies.
        """
        with exclusive(self.store, self.clock, VERIFICATION):
            return self._verify(deep=deep, adopt=adopt)

    def _verify(self, *, deep: bool, adopt: bool) -> Verification:
        self.store.check()
        findings = self._adopt() if adopt else []
        found, files, suspects = 0, 0, set()
        objects = self._objects()
        for committed in self.history.committed():
            if self._is_gone(committed, objects):
                continue
            found += 1
            files += len(committed.version.all_files)
            if any(self._damage(committed.version, objects, deep=deep)):
                suspects.add(committed.version.run_id)
        objects = self._objects() if suspects else objects
        for committed in self.history.committed() if suspects else ():  # without what was deleted meanwhile
            if committed.version.run_id in suspects and not self._is_gone(committed, objects):
                findings += self._damage(committed.version, objects, deep=deep)
        findings += [*self._lost_catalog(), *self._astray()]
        findings += [self._unknown(folder) for folder in self._unknown_folders()]
        if objects is not None:
            findings += [self._unknown_objects(objects, prefix) for prefix in objects.unknown(self.history)]
        findings += self._tampered() and self._tampered()  # a second time, since a chain may have begun meanwhile
        return Verification(versions=found, files=files, findings=findings)

    def _objects(self) -> StoreCheck | None:
        return StoreCheck.of(self.layout.objects) if self.layout.objects is not None else None

    def _is_gone(self, committed: Committed, objects: StoreCheck | None) -> bool:
        """Whether a version of a deleted pipeline was purged, or its name has been taken again."""
        if objects is not None and committed.version.objects is not None:
            return not committed.live and not objects.has(committed.version)
        folder = self.layout.version(committed.version.pipeline, committed.version.version)
        return not committed.live and (
            not folder.is_dir() or manifest.run_id(folder) not in ("", committed.version.run_id)
        )

    def _damage(self, version: Version, objects: StoreCheck | None, *, deep: bool) -> Iterator[Finding]:
        folder = self.layout.version(version.pipeline, version.version)
        checksums = Checksums()

        def is_here(file: File) -> bool:
            return checksums.fault(folder / file.name, file.bytes, file.sha256) is None

        faults = [*_faults(folder, self._until_stopped(version, objects), checksums, deep=deep)]
        if objects is not None and version.objects is not None:  # the folder is a cache, of this host alone
            faults += objects.faults(version, self._go_on, deep=deep, is_here=is_here)
        else:
            faults += [*_manifest_faults(folder, version), *_surplus_faults(folder, version)]
        for fault in faults:
            yield Finding(
                kind="damaged", folder=self._relative(folder), message=fault, pipeline=version.pipeline,
                version=version.version,
            )  # fmt: skip

    def _lost_catalog(self) -> Iterator[Finding]:
        """Without it nothing was compared, so that all folders are unknown and none is damaged."""
        if self.condition.catalog_is_lost:
            yield Finding(kind="damaged", folder=self._relative(self.layout.catalog), message=self.condition.report())

    def _astray(self) -> Iterator[Finding]:
        """Links that name another version than the newest; there are none in a file system without links.

        Where several processes publish, the data directory of each is a cache, whose links nobody moves.
        """
        if self.history.queue.shared:
            return
        for pipeline_id in {c.pipeline_id for c in self.history.committed() if c.live}:
            newest = self.history.newest(pipeline_id)
            if newest is None:
                continue
            folder = self.layout.version(newest.pipeline, newest.version)
            link = folder.with_name(CURRENT)
            if not folder.is_dir() or (folder / UNCOMMITTED).exists() or not link.is_symlink():
                continue
            found = str(link.readlink())
            if found != folder.name and self.history.newest(pipeline_id) == newest:  # else a run committed meanwhile
                yield Finding(
                    kind="damaged", folder=self._relative(link), pipeline=newest.pipeline, version=newest.version,
                    message=f"it names {found} instead of {folder.name}; the next start or version corrects it",
                )  # fmt: skip

    def _tampered(self) -> list[Finding]:
        """Files and rows of the audit log that differ from the heads of their chains."""
        folder = self.layout.audit
        faults = [*audit_check.faults(folder, AuditHeads.of(self.store, folder).all(), self._go_on)]
        if self.store.remote:
            from service.catalog import audit_rows

            faults += audit_rows.faults(self.store, folder, self._go_on)
        return [
            Finding(
                kind="tampered", folder=self._relative(fault.file),
                message=fault.message if fault.line is None else f"line {fault.line}: {fault.message}",
            )
            for fault in faults
        ]  # fmt: skip

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise errors.Unavailable("the service is stopping; verify the data again when it runs")

    def _until_stopped(self, version: Version, objects: StoreCheck | None) -> Iterator[File]:
        """The files that must be in the data directory."""
        for file in version.all_files:
            self._go_on()
            if objects is None or file.key is None:
                yield file

    def _unknown_folders(self) -> list[Path]:
        folders = [folder for _, folder in self.layout.version_folders()]  # first, since a run may commit meanwhile
        suspects = [folder for folder in folders if not self._is_being_committed(folder)]
        known = {self.layout.version(c.version.pipeline, c.version.version) for c in self.history.committed()}
        unknown = [folder for folder in suspects if folder not in known and folder.is_dir()]
        return [*(f for f in unknown if not self.history.was_deleted(manifest.run_id(f))), *self.layout.orphans()]

    def _is_being_committed(self, folder: Path) -> bool:
        try:
            return (folder / UNCOMMITTED).exists() and not self.history.run(manifest.run_id(folder)).ended
        except errors.Missing:
            return False

    def _unknown(self, folder: Path) -> Finding:
        found = manifest.read(folder)
        hint = "'penstock verify --adopt' takes it back" if found is not None else "it has no manifest that can be read"
        return Finding(
            kind="unknown", folder=self._relative(folder), message=f"the catalog does not know this folder; {hint}",
            pipeline=found.pipeline if found is not None else None,
            version=found.version if found is not None else None,
        )  # fmt: skip

    def _unknown_objects(self, objects: StoreCheck, prefix: str) -> Finding:
        found = objects.manifest(prefix)
        hint = "'penstock verify --adopt' takes them back" if found is not None else "there is no manifest among them"
        return Finding(
            kind="unknown", folder=objects.store.address(prefix),
            message=f"the catalog does not know these objects; {hint}",
            pipeline=found.pipeline if found is not None else None,
            version=found.version if found is not None else None,
        )  # fmt: skip

    # adoption

    def _adopt(self) -> list[Finding]:
        read = [(folder, manifest.read(folder)) for folder in self._unknown_folders()]
        if self.layout.objects is not None:  # the folder of a version with objects is a part of the cache
            read = [(folder, found) for folder, found in read if found is not None and found.objects is None]
        candidates = sorted(
            ((folder, found) for folder, found in read if found is not None),
            key=lambda c: (c[1].pipeline, c[1].version),
        )
        newest = {found.pipeline: found for _, found in candidates}
        findings = self._adopt_audit()
        for folder, found in candidates:
            try:
                self._adopt_one(folder, found, newest[found.pipeline])
                kind: Kind = "adopted"
                message = f"version {found.version} of '{found.pipeline}' is in the catalog again"
            except (errors.PenstockError, OSError) as error:
                kind, message = "refused", str(error)
            findings.append(
                Finding(
                    kind=kind, folder=self._relative(folder), message=message, pipeline=found.pipeline,
                    version=found.version,
                )
            )  # fmt: skip
        findings += self._adopt_objects()
        if self.condition.catalog_is_lost:
            for name, folder in self.layout.version_folders():
                if folder in self._unknown_folders():
                    recovery.orphan(self.layout, name, folder, "it could not be adopted")
            self.condition.accept()
        return findings

    def _adopt_objects(self) -> list[Finding]:
        """Take back versions that only the object store has."""
        objects = self._objects()
        if objects is None:
            return []
        candidates, findings = objects.candidates(self.history), []
        newest = {found.pipeline: found for _, found in candidates}
        for prefix, found in candidates:
            version = found.as_version()
            kind: Kind = "adopted"
            message = f"version {found.version} of '{found.pipeline}' is in the catalog again"
            try:
                faults = list(objects.faults(version, self._go_on, deep=False))
                if faults:
                    raise errors.Conflict(f"it is damaged: {faults[0]}")
                if self.history.version_of(found.pipeline, found.version) is not None:
                    raise errors.Conflict(f"the catalog has another version {found.version} of '{found.pipeline}'")
                self._enter(found, newest[found.pipeline], version)
            except errors.PenstockError as error:
                kind, message = "refused", str(error)
            findings.append(
                Finding(
                    kind=kind, folder=objects.store.address(prefix), message=message, pipeline=found.pipeline,
                    version=found.version,
                )
            )  # fmt: skip
        return findings

    def _enter(self, found: Manifest, newest: Manifest, version: Version) -> None:
        """Enter a version into the catalog."""
        record = self._record(found, newest)
        version = msgspec.structs.replace(version, revision=min(found.revision, record.revision))
        location = str(self.layout.version(found.pipeline, found.version).relative_to(self.layout.root))
        self.history.adopt(record.id, _run(version, location), version)

    def _adopt_audit(self) -> list[Finding]:
        """Take back chains of the audit log that only its files know."""
        heads, found = AuditHeads.of(self.store, self.layout.audit), []
        for head in audit_check.unknown(self.layout.audit, heads.all()):
            heads.put(head)
            message = f"{head.lines} lines are in the catalog again; what was changed in them before does not show"
            file = self._relative(audit_file.path(self.layout.audit, head.day))
            found.append(Finding(kind="adopted", folder=file, message=message))
        return found

    def _adopt_one(self, folder: Path, found: Manifest, newest: Manifest) -> None:
        faults = list(_faults(folder, found.as_version().base_files, Checksums(), deep=True))
        if faults:
            raise errors.Conflict(f"it is damaged: {faults[0]}")
        target, version = self.layout.version(found.pipeline, found.version), found.as_version()
        known = self.history.version_of(found.pipeline, found.version)
        if known is not None and known.run_id != found.run_id:
            raise errors.Conflict(f"the catalog has another version {found.version} of '{found.pipeline}'")
        if target != folder and target.exists():
            same = manifest.run_id(target) == found.run_id
            raise errors.Conflict(f"{self._relative(target)} {'is the same version' if same else 'exists'}")
        record = self._record(found, newest)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target != folder:
            folder.rename(target)
            flush(target.parent)
        (target / UNCOMMITTED).unlink(missing_ok=True)
        permissions.restrict(target.parent, self.layout.group, shared=0o750)
        permissions.share(target, self.layout.group)
        if known is None:
            version = self._with_native(
                msgspec.structs.replace(version, revision=min(found.revision, record.revision)), target
            )
            self.history.adopt(record.id, _run(version, str(target.relative_to(self.layout.root))), version)
        published = self.history.newest(record.id)
        if published is not None:
            self.layout.point_current(found.pipeline, published.version)

    def _record(self, found: Manifest, newest: Manifest) -> PipelineRecord:
        try:
            return self.pipelines.get(found.pipeline)
        except errors.Missing:
            document = newest.configuration or {"name": found.pipeline, "collectors": []}
            return self.pipelines.create(found.pipeline, newest.table_name, document, None)

    def _with_native(self, version: Version, folder: Path) -> Version:
        """Native forms are derived again: the manifest, written before them, has no checksum of theirs."""
        native = folder / f"{version.table}.duckdb"
        wanted = native.is_file()
        if wanted:
            native.unlink()
        return msgspec.structs.replace(version, wants_native=wanted)

    def _relative(self, folder: Path) -> str:
        return str(folder.relative_to(self.layout.root))


def _run(version: Version, location: str) -> Run:
    """The run of an adopted version, as far as the manifest knows it."""
    return Run(
        run_id=version.run_id, pipeline=version.pipeline, revision=version.revision,
        status="held" if version.held_because else "completed", held_because=version.held_because, progress=100.0,
        version=version.version, storage_location=location,
        storage=[StoredForm(type="parquet", location=location, bytes=version.bytes)], rows_stored=version.rows,
        queued_at=version.created, start_time=version.created, end_time=version.created, duration=0.0,
        replay_of=version.replay_of,
    )  # fmt: skip


def _faults(folder: Path, files: Iterable[File], checksums: Checksums, *, deep: bool) -> Iterable[str]:
    if (fault := linked(folder)) is not None:
        yield fault
    for file in files:
        if not folder.is_dir():
            yield "the folder is missing"
            return
        fault = checksums.fault(folder / file.name, file.bytes, file.sha256 if deep else "")
        if fault is not None:
            yield fault


def _manifest_faults(folder: Path, version: Version) -> Iterable[str]:
    if folder.is_dir() and (fault := manifest.fault(folder, version)) is not None:
        yield fault


def _surplus_faults(folder: Path, version: Version) -> Iterable[str]:
    """Readers of the warehouse's folders take every file for a part that has the name of one."""
    known = {file.name for file in version.files}
    for path in sorted(folder.rglob(PARTS)):
        if (name := str(path.relative_to(folder))) not in known:
            yield f"{name} is not of this version, and who reads the folder takes it for a part; remove it"
