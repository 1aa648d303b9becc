"""Runs that made the rows of the newest version again: they add no version, and leave the state of their collectors.

The state of collectors lies in the folder of the version, which never changes otherwise. The new state gets a folder
of its own there; the catalog's commit decides which one holds, and the manifest follows.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import msgspec

from service.catalog.history import History
from service.files import permissions
from service.files.layout import RUN_STATE, STATE, Layout, flush
from service.jobs.messages import Order, Prepared
from service.model.run import Run
from service.model.version import Version
from service.runs import attempt_records, publication, remembered_state, version_objects


def commit(
    history: History,
    layout: Layout,
    order: Order,
    prepared: Prepared,
    run: Run,
    ended: datetime,
    duration: float,
    fence: int | None = None,
) -> tuple[Run, Version]:
    """Complete the run with the newest version as it is, and keep its collectors' state. Blocks.

    Returns the completed run and the version. When it raises, the earlier state holds.
    """
    assert prepared.unchanged is not None
    version = history.version(order.pipeline_id, str(order.document["name"]), prepared.unchanged)
    made = history.run(version.run_id)
    completed = msgspec.structs.replace(
        run, status="completed", phase=None, step=None, progress=100.0, version=version.version, unchanged=True,
        storage_location=made.storage_location, storage=made.storage, rows_collected=prepared.rows_collected,
        rows_stored=prepared.rows, rows_rejected=prepared.rows_rejected, steps=prepared.steps,
        warnings=prepared.warnings, end_time=ended, duration=duration,
        peak_memory_bytes=prepared.peak_memory_bytes, attempts=attempt_records.closed(run, ended),
    )  # fmt: skip
    folder = layout.version(version.pipeline, version.version)
    before = version.state
    if {(f.name, f.sha256) for f in remembered_state.plain(before)} == {(f.name, f.sha256) for f in prepared.state}:
        history.change_run(completed, fence)
        return completed, version
    place = f"{RUN_STATE}/{order.run_id}"
    publication.carry(order, msgspec.structs.replace(prepared, links={}))
    staged = Path(order.grants.folder) / STATE
    target = folder / place / STATE
    permissions.restrict(folder, layout.group, shared=0o750)
    target.parent.mkdir(parents=True)
    if staged.is_dir():
        staged.replace(target)
    permissions.share(folder / RUN_STATE, layout.group)
    for above in (target.parent, target.parent.parent, folder):
        flush(above)
    state = [msgspec.structs.replace(f, name=f"{place}/{f.name}") for f in prepared.state]
    version = msgspec.structs.replace(version, state=state)
    try:
        version = version_objects.upload_state(layout, folder, version, run)
        history.note_unchanged(order.pipeline_id, completed, version, fence)
    except BaseException:
        if history.healthy:
            shutil.rmtree(target.parent, ignore_errors=True)
        raise
    version_objects.follow(layout, version)
    remembered_state.tidy(folder, layout, version)
    return completed, version
