"""Startup recovery after a crash. The catalog decides; nothing that may be data is deleted. Safe to repeat.

Removed is what belongs to a run that the catalog knows and that committed nothing: its staging folder, and the folder
that a crash left between the rename and the commit, which has the mark of an open commit; and the folder of a version
that was deleted. Every other folder that the catalog does not know moves to ``warehouse/.orphaned``, from where
``penstock verify --adopt`` takes it back.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import structlog

from service.catalog.history import History
from service.files import object_cache
from service.files.layout import (
    CACHED,
    MANIFEST,
    NEW_LINKS,
    PROBE,
    RECEIVING,
    SCRATCH,
    TEMPORARY,
    UNCOMMITTED,
    Layout,
    children,
    flush,
)
from service.model.lifecycle import STORED
from service.processes import kept
from service.runs import leases, manifest, remembered_state, version_upkeep

_DISPOSABLE = ("task_", "purged_", "backup_", f"{object_cache.PLACE}_")  # staging folders that never become a version

_log = structlog.get_logger("penstock.recovery")


def recover(history: History, layout: Layout, now: datetime, *, keep_unknown: bool = False) -> list[str]:
    """Take running runs over from a service that is gone, and tidy the data directory. Blocks.

    Beside other services, gone are those whose leases have run out. Runs that wait for an attempt stay as they are.
    With ``keep_unknown`` (a lost catalog) every folder in the warehouse stays where it is. Returns the ids of the runs
    that are interrupted.
    """
    taken = leases.take_over(history, now, alone=not history.queue.shared)
    if not keep_unknown:
        _tidy_staging(history, layout)
        _tidy_versions(history, layout)
    for folder in layout.spill.glob(SCRATCH + "*"):
        shutil.rmtree(folder, ignore_errors=True)
    for file in layout.pace.glob("*"):  # their moments may come from a clock that has begun anew
        if file.is_file():  # a folder is somebody else's
            file.unlink(missing_ok=True)
    for left in (*layout.uploads.glob(RECEIVING + "*"), *layout.root.glob(PROBE + "*")):
        left.unlink(missing_ok=True)
    return [run.run_id for run in taken if run.status == "interrupted"]


def sweep_temporary(folder: Path) -> None:
    """Remove what a killed load of a native form left in the folder of a version."""
    for left in folder.glob(TEMPORARY):
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def orphan(layout: Layout, name: str, folder: Path, reason: str) -> Path:
    """Move a folder that the catalog does not know to ``.orphaned/<name>``. Returns its new path."""
    above = layout.orphaned_root / name
    above.mkdir(mode=0o700, parents=True, exist_ok=True)
    target, number = above / folder.name, 1
    while target.exists():
        number += 1
        target = above / f"{folder.name}-{number}"
    folder.rename(target)
    flush(above)
    _log.warning(
        "folder.orphaned",
        pipeline=name,
        folder=folder.name,
        moved_to=str(target.relative_to(layout.root)),
        reason=reason,
    )
    return target


def is_cache(folder: Path) -> bool:
    """Whether a folder has files of the object store alone, and no version was written there."""
    return (folder / CACHED).exists() and not (folder / MANIFEST).exists()


def _tidy_staging(history: History, layout: Layout) -> None:
    workers = [folder for folder in children(layout.staging_root) if folder.name.startswith(kept.PREFIX)]
    for folder in (below for above in (layout.staging_root, *workers) for below in children(above)):
        if folder in workers:
            continue
        status = history.status(folder.name)
        if status is not None or folder.name.startswith(_DISPOSABLE):
            shutil.rmtree(folder, ignore_errors=True)
            _log.info("staging.removed", run_id=folder.name)
        elif any(folder.iterdir()):
            orphan(layout, "staging", folder, "the catalog does not know this run")
        else:
            folder.rmdir()
    for folder in workers:
        shutil.rmtree(folder, ignore_errors=True)


def _tidy_versions(history: History, layout: Layout) -> None:
    for left in (link for above in children(layout.warehouse) for link in above.glob(NEW_LINKS)):
        left.unlink()
    known = {(c.version.pipeline, c.version.version): c for c in history.committed()}  # live ones come last
    expected = {layout.version(*key): c for key, c in known.items()}
    for name, folder in layout.version_folders():
        committed, found = expected.get(folder), manifest.read(folder)
        run_id = found.run_id if found is not None else ""
        if committed is not None and (committed.live or run_id == committed.version.run_id):
            sweep_temporary(folder)
            if committed.version.native is None:  # the service died before the file was noted, or removed
                (folder / f"{committed.version.table}.duckdb").unlink(missing_ok=True)
            remembered_state.tidy(folder, layout, committed.version)
            (folder / UNCOMMITTED).unlink(missing_ok=True)
            if run_id == committed.version.run_id:
                manifest.follow(folder, layout, committed.version)
        elif _is_uncommitted(history, folder, run_id):
            version_upkeep.remove_folder(layout, folder)
            _log.info("version.removed", pipeline=name, folder=folder.name, run_id=run_id, reason="never committed")
        elif committed is None and run_id and history.was_deleted(run_id):
            version_upkeep.remove_folder(layout, folder)
            _log.info("version.removed", pipeline=name, folder=folder.name, run_id=run_id, reason="deleted")
        elif committed is None and is_cache(folder):
            version_upkeep.remove_folder(layout, folder)
        elif committed is None:
            orphan(layout, name, folder, "the catalog does not know this version")
    newest = {}
    for folder, committed in expected.items():
        if committed.live and folder.is_dir():
            if not committed.version.held:
                newest[committed.version.pipeline] = committed.version.version
        elif committed.live and committed.version.objects is None:
            _log.error("version.missing", pipeline=committed.version.pipeline, version=committed.version.version)
    for name, number in newest.items():
        layout.point_current(name, number)


def _is_uncommitted(history: History, folder: Path, run_id: str) -> bool:
    """Whether the folder has the mark of an open commit, of a run that the catalog knows and that committed nothing.

    An older copy of the catalog may know a run as unfinished that committed since: its folder lacks the mark, also at
    later starts, when the run is ``interrupted``.
    """
    if not run_id or not (folder / UNCOMMITTED).exists():
        return False
    status = history.status(run_id)
    return status is not None and status not in STORED
