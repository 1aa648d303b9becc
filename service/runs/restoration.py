"""The restoration of a version: its rows become the newest version again, by hard links."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from service.catalog.history import History
from service.files.layout import Layout
from service.kit import errors
from service.model.run import Run, StoredForm
from service.model.version import Version
from service.runs import attempt_records, manifest, publication, remembered_state
from service.steps.storage import File


def refuse_held(source: Version) -> None:
    """Refuse a held version, which is accepted or rejected. Raises ``errors.Conflict``."""
    if source.held:
        raise errors.Conflict(
            f"version {source.version} of '{source.pipeline}' is held and cannot be restored; accept it, if its rows "
            "are right", field="version",
        )  # fmt: skip


def equals(source: Version, newest: Version, *, state: bool) -> bool:
    """Whether the newest version has the columns and the parts of ``source``; with ``state`` also its state."""
    if source.version == newest.version:
        return True
    if state and _names(source.state) != _names(newest.state):
        return False
    parts = [[(f.sha256, f.rows) for f in version.files] for version in (source, newest)]
    known = all(sha256 for sha256, _ in parts[0])
    return known and parts[0] == parts[1] and source.columns == newest.columns


def commit(
    history: History, layout: Layout, pipeline_id: str, source: Version, newest: Version, run: Run, ended: datetime,
    *, state: bool,
) -> tuple[Run, Version]:  # fmt: skip
    """Commit the rows of ``source`` as the next version, with its profiles, fit record and quarantine. Blocks.

    Collectors keep the incremental state of ``newest``; with ``state`` they get that of ``source`` back. Returns the
    completed run and the version. Raises what ``publication.commit`` raises; then nothing has changed.
    """
    number = history.next_version(pipeline_id)
    staging, folder = layout.staging(run.run_id), layout.version(source.pipeline, source.version)
    staging.mkdir(mode=0o700, parents=True)
    holder = source if state else newest
    place, remembered = remembered_state.remembered_in(layout.version(holder.pipeline, holder.version), holder.state)
    record = [source.fit_record] if source.fit_record is not None else []
    native = source.native if source.native is not None and (folder / source.native.name).is_file() else None
    files = [*source.files, *source.quarantine, *record, *([native] if native is not None else [])]
    publication.link(staging, {f.name: folder / f.name for f in files} | {f.name: place / f.name for f in remembered})
    had_native = any(version.native is not None or version.wants_native for version in (source, newest))
    size = sum(f.bytes for f in source.files) + (native.bytes if native is not None else 0)
    version = msgspec.structs.replace(
        source, version=number, run_id=run.run_id, created=ended, bytes=size, state=remembered, native=native,
        wants_native=had_native, replay_of=None, restored_from=source.version, held_because=[], continues=None,
    )  # fmt: skip
    manifest.write(staging, version, folder)
    publication.make_room(history, layout, source.pipeline, number)
    location = str(layout.version(source.pipeline, number).relative_to(layout.root))
    completed = msgspec.structs.replace(
        run, status="completed", phase=None, progress=100.0, version=number, storage_location=location,
        storage=_stored(version, location), rows_stored=version.rows, rows_rejected=version.quarantined,
        end_time=ended, duration=(ended - (run.start_time or ended)).total_seconds(),
        attempts=attempt_records.closed(run, ended),
    )  # fmt: skip
    version = publication.commit(
        history, layout, pipeline_id, staging, completed, version, known=[source, newest]
    )  # fmt: skip
    return completed, version


def _names(state: list[File]) -> set[tuple[str, str]]:
    _, files = remembered_state.remembered_in(Path(), state)
    return {(f.name, f.sha256) for f in files}


def _stored(version: Version, location: str) -> list[StoredForm]:
    forms = [StoredForm(type="parquet", location=location, bytes=sum(f.bytes for f in version.files))]
    if version.native is not None:
        name, size = version.native.name, version.native.bytes
        forms.append(StoredForm(type="duckdb", location=f"{location}/{name}", bytes=size))
    elif version.wants_native:
        where = f"{location}/{version.table}.duckdb"
        forms.append(StoredForm(type="duckdb", location=where, bytes=0, state="loading"))
    return forms
