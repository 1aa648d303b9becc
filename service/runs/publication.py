"""Publication of a version: staging becomes its folder. The catalog's commit decides; until then all can be undone.

A version that breaks a bound of ``publish_if`` is committed as held: it has its number and its folder, and everything
that looks for the newest version passes it over.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from service.catalog.history import History
from service.catalog.store import Uncertain
from service.files import permissions
from service.files.layout import UNCOMMITTED, Layout, children, flush
from service.jobs.messages import Loaded, Order, Prepared
from service.kit import errors, ids
from service.model import publication_bounds
from service.model.breach import Breach
from service.model.pipeline import Pipeline
from service.model.run import Run, StoredForm
from service.model.version import Version
from service.runs import attempt_records, manifest, recovery, version_objects, version_upkeep
from service.steps.report import StepWarning

_LOOKS = 16
"""One version of a pipeline in that number looks for all native files that are not kept."""


def publish(
    history: History,
    layout: Layout,
    pipeline: Pipeline,
    order: Order,
    prepared: Prepared,
    run: Run,
    ended: datetime,
    duration: float,
    fence: int | None = None,
) -> tuple[Run, Version]:
    """Write the objects, rename staging to the version's folder, flush, commit the catalog. Blocks.

    ``run`` is the run in its present state, ``fence`` the token of its attempt. Returns the completed or held run and
    the version. When it raises, no reader sees anything: the folder is removed. An attempt that was cancelled or
    superseded raises ``lifecycle.IllegalTransition`` or ``lifecycle.Superseded``.
    """
    folder = layout.version(pipeline.name, order.version)
    broken, warnings = _measure(pipeline, history, order, prepared)
    make_room(history, layout, pipeline.name, order.version)
    size = sum(f.bytes for f in prepared.files)
    location = str(folder.relative_to(layout.root))
    stored = [StoredForm(type="parquet", location=location, bytes=size)]
    stored += [
        StoredForm(type=kind, location=f"{location}/{pipeline.table}.{kind}", bytes=0, state="loading")
        for kind in prepared.deferred
        if not broken  # those of a held version are loaded when it is accepted
    ]
    version = Version(
        pipeline=pipeline.name, version=order.version, run_id=order.run_id, revision=order.revision,
        table=pipeline.table, rows=prepared.rows, bytes=size, columns=prepared.columns, files=prepared.files,
        sources=prepared.sources, created=ended, wants_native="duckdb" in prepared.deferred,
        profiles=prepared.profiles, fitted=prepared.fitted, quarantine=prepared.quarantine.files,
        refusals=prepared.quarantine.refusals, quarantine_columns=prepared.quarantine.columns,
        replay_of=order.replay.version if order.replay is not None else None, fit_record=prepared.fit_record,
        state=prepared.state, layout=prepared.layout, held=bool(broken), held_because=broken,
        continues=_continued(pipeline, order),
    )  # fmt: skip
    completed = msgspec.structs.replace(
        run, status="held" if broken else "completed", held_because=broken, phase=None, step=None, progress=100.0,
        version=order.version, storage_location=location, storage=stored, rows_collected=prepared.rows_collected,
        rows_stored=prepared.rows, rows_rejected=prepared.rows_rejected, steps=prepared.steps,
        warnings=[*prepared.warnings, *warnings], end_time=ended,
        duration=duration, peak_memory_bytes=prepared.peak_memory_bytes, attempts=attempt_records.closed(run, ended),
    )  # fmt: skip
    for loaded in prepared.loaded:
        if broken:
            _discard(Path(order.grants.folder), loaded)
        else:
            completed, version = _with_form(completed, version, loaded)
    keep = pipeline.native_versions
    surplus = _replaced_native(history, order, keep) if version.native is not None and keep else []
    carry(order, prepared)
    if broken:
        manifest.amend(Path(order.grants.folder), layout, held=True, held_because=broken, continues=version.continues)
    newest = history.newest(order.pipeline_id) if layout.objects is not None else None
    version = commit(
        history, layout, order.pipeline_id, Path(order.grants.folder), completed, version, fence, surplus,
        [newest] if newest is not None else [],
    )  # fmt: skip
    return completed, version


def commit(
    history: History,
    layout: Layout,
    pipeline_id: str,
    staging: Path,
    run: Run,
    version: Version,
    fence: int | None = None,
    surplus_native: Sequence[Version] = (),
    known: Sequence[Version] = (),
) -> Version:
    """Turn ``staging`` into the folder of the version, and commit the catalog. Blocks. Raises as ``publish``.

    The native files of ``surplus_native`` are removed. Returns the version with the keys of its objects, if there is an
    object store; it has the files of ``known`` versions already.
    """
    folder = layout.version(version.pipeline, version.version)
    try:
        version = version_objects.upload(layout, staging, version, run, known)
        permissions.share(staging, layout.group)
        (staging / UNCOMMITTED).touch()
        staging.replace(folder)
        try:
            flush(folder.parent)
            history.publish(pipeline_id, run, version, fence, [_without_native(history, v) for v in surplus_native])
        except BaseException as error:
            # Else it is not known whether the commit is on disk. The next start, or the next run, decides.
            if history.healthy and not isinstance(error, Uncertain):
                with contextlib.suppress(OSError):  # the next start removes what carries the mark
                    version_upkeep.remove_folder(layout, folder)
            raise
    except BaseException as error:
        if history.healthy and not isinstance(error, errors.Unavailable):  # with the store it would fail again
            version_objects.discard(layout, version_objects.prefix_of(version, run))
        raise
    if not version.held:
        layout.point_current(version.pipeline, version.version)
    version_objects.mark(layout, pipeline_id, version)
    (folder / UNCOMMITTED).unlink(missing_ok=True)
    for old in surplus_native:
        _remove_native(history, layout, pipeline_id, old)
    return version


def _measure(
    pipeline: Pipeline, history: History, order: Order, prepared: Prepared
) -> tuple[list[Breach], list[StepWarning]]:
    """The bounds that the version breaks, and warnings about those that could not be measured."""
    bounds = pipeline.publish_if
    newest = history.newest(order.pipeline_id) if bounds is not None else None
    if bounds is None or newest is None:
        return [], []
    return publication_bounds.breaches(bounds, newest, prepared), publication_bounds.warnings(bounds, newest)


def _continued(pipeline: Pipeline, order: Order) -> int | None:
    """The number of the version whose rows the new one has, too."""
    if order.replay is not None:
        return order.replay.base.version
    return order.base.version.version if order.base is not None and pipeline.mode.mode != "replace" else None


def carry(order: Order, prepared: Prepared) -> None:
    """Carry unchanged parts and state files of collectors over: hard links, or copies where links do not work."""
    staging = Path(order.grants.folder)
    wanted = {name: Path(path) for name, path in prepared.links.items()}
    if order.remembered is not None:
        wanted |= {name: Path(order.remembered.folder) / name for name in prepared.stays}
    link(staging, wanted)


def link(staging: Path, wanted: Mapping[str, Path]) -> None:
    """Link files into ``staging`` under the names in ``wanted``, or copy them where links do not work."""
    for name, source in wanted.items():
        target = staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, target)
            flush(target)
    for folder in sorted({above for name in wanted for above in (staging / name).parents}):
        if folder.is_relative_to(staging):
            flush(folder)


def note_loaded(
    history: History, layout: Layout, order: Order, run: Run, version: Version, loaded: Loaded
) -> tuple[Run, Version]:
    """Record in the catalog that a deferred form exists, with the version and the run. Blocks."""
    permissions.share(layout.version(version.pipeline, version.version), layout.group)
    if loaded.written.type == "duckdb":
        native = version_objects.upload_native(layout, version, loaded.written.files[0])
        loaded = msgspec.structs.replace(loaded, written=msgspec.structs.replace(loaded.written, files=[native]))
    run, version = _with_form(run, version, loaded)
    peak = max(run.peak_memory_bytes or 0, loaded.peak_memory_bytes)
    run = msgspec.structs.replace(run, peak_memory_bytes=peak, steps=[*run.steps, loaded.record])
    history.note_native(order.pipeline_id, run, version)
    return run, version


def note_unloaded(history: History, pipeline_id: str, run: Run) -> Run:
    """Record that forms which are still loading have failed; the version answers from Parquet. Blocks."""
    stored = [msgspec.structs.replace(s, state="failed") if s.state == "loading" else s for s in run.storage]
    run = msgspec.structs.replace(run, storage=stored)
    history.amend_run(pipeline_id, run)
    return run


def is_superseded(history: History, pipeline_id: str, keep: int, version: Version) -> bool:
    """Whether newer versions are those that keep a native form, so that nobody needs one of ``version``. Blocks."""
    newest = history.newest(pipeline_id)
    if newest is None or newest.version == version.version:
        return False
    known, _ = history.versions(pipeline_id, limit=_LOOKS, offset=0)
    return sum(not v.held and v.version > version.version for v in known) >= max(keep, 1)


def expire_native(history: History, layout: Layout, pipeline_id: str, keep: int) -> None:
    """Remove the native files of all but the ``keep`` newest versions, which then answer from Parquet. Blocks."""
    for old in _surplus_native(history, pipeline_id, keep):
        forget_native(history, pipeline_id, old, wanted=False)
        _remove_native(history, layout, pipeline_id, old)


def take_native(history: History, layout: Layout, pipeline_id: str, keep: int, old: Version, folder: Path) -> Path:
    """The native file of ``old``, from which a newer version in ``folder`` makes its own. Blocks.

    If ``old`` is not among the ``keep`` newest versions, its file is moved into the folder under a temporary name, so
    that it can be changed in its place: ``old`` answers from Parquet from now on, as it would when the newer version
    has its table. Raises ``OSError``.
    """
    assert old.native is not None
    path = layout.version(old.pipeline, old.version) / old.native.name
    if old.version not in {version.version for version in _surplus_native(history, pipeline_id, keep)}:
        return path
    target = folder / f".tmp-{ids.new('native')}.duckdb"
    forget_native(history, pipeline_id, old, wanted=False)
    path.replace(target)
    version_objects.forget_native(layout, history, pipeline_id, old)
    return target


def forget_native(history: History, pipeline_id: str, version: Version, *, wanted: bool) -> None:
    """Record that a version has no native file, and whether it is to be built again. Blocks."""
    history.note_native(pipeline_id, *_without_native(history, version, wanted=wanted))


def _with_form(run: Run, version: Version, loaded: Loaded) -> tuple[Run, Version]:
    """The run and the version with a form that is in its place."""
    size = sum(f.bytes for f in loaded.written.files)
    stored = [
        msgspec.structs.replace(s, bytes=size, state="ready") if s.type == loaded.written.type else s
        for s in run.storage
    ]
    native = loaded.written.files[0] if loaded.written.type == "duckdb" else version.native
    version = msgspec.structs.replace(version, native=native, bytes=version.bytes + size)
    return msgspec.structs.replace(run, storage=stored), version


def _discard(folder: Path, loaded: Loaded) -> None:
    for file in loaded.written.files:
        (folder / file.name).unlink()


def _without_native(history: History, version: Version, *, wanted: bool = False) -> tuple[Run, Version]:
    """A version without its native file, and its run."""
    run = history.run(version.run_id)
    forms = [msgspec.structs.replace(s, bytes=0, state="loading") if s.type == "duckdb" else s for s in run.storage]
    kept = [s for s in forms if wanted or s.type != "duckdb"]
    size = version.bytes - (version.native.bytes if version.native is not None else 0)
    without = msgspec.structs.replace(version, native=None, wants_native=wanted, bytes=size)
    return msgspec.structs.replace(run, storage=kept), without


def _replaced_native(history: History, order: Order, keep: int) -> list[Version]:
    """The versions whose native files the one of the new version replaces.

    If only one is kept, and the newest version has one by the same configuration, no other has; now and then all are
    looked at, for what a crash left.
    """
    newest = history.newest(order.pipeline_id) if keep == 1 and order.version % _LOOKS else None
    if newest is not None and newest.native is not None and newest.revision == order.revision:
        return [newest]
    return _surplus_native(history, order.pipeline_id, keep - 1)


def _surplus_native(history: History, pipeline_id: str, keep: int) -> list[Version]:
    """The versions with a native file, except the ``keep`` newest versions."""
    return history.with_native(pipeline_id, skip=keep, limit=20)


def _remove_native(history: History, layout: Layout, pipeline_id: str, version: Version) -> None:
    if version.native is not None:
        (layout.version(version.pipeline, version.version) / version.native.name).unlink(missing_ok=True)
        version_objects.forget_native(layout, history, pipeline_id, version)


def make_room(history: History, layout: Layout, name: str, number: int) -> None:
    """Move aside what has the place of the version: of a deleted pipeline, one that the catalog lost, or a copy."""
    folder = layout.pipeline(name)
    if folder.is_symlink():
        raise errors.PenstockError(
            f"{folder.name} in the warehouse is a symbolic link; move the folder itself to its place",
            code="DATA_CORRUPT",
        )
    if number == 1 and folder.exists() and any(folder.iterdir()):
        if any(c.version.pipeline == name for c in history.committed()):
            layout.deleted_root.mkdir(mode=0o700, exist_ok=True)
            folder.replace(layout.deleted_root / f"{name}-{ids.new('old')}")
        else:
            for unknown in children(folder):
                recovery.orphan(layout, name, unknown, "a new pipeline has this name")
    place = layout.version(name, number)
    if place.is_symlink() or place.exists():
        recovery.orphan(layout, name, place, "the catalog does not know this version")
    folder.mkdir(mode=0o700, exist_ok=True)
    permissions.restrict(folder, layout.group, shared=0o750)
    flush(layout.warehouse)
