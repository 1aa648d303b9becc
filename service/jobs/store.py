"""Storing: a frame becomes files in the staging folder, counted, checked and flushed; later its native forms."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import polars as pl

from service.engine import fit_record
from service.files import layout, quarantine
from service.jobs import combine
from service.jobs.job import Job
from service.jobs.messages import Order, Prepared, Quarantine
from service.kit import errors
from service.model import masking
from service.model.pipeline import Pipeline
from service.model.version import Column, Refusal
from service.steps.frame import Frame
from service.steps.storage import Dataset, File, Written
from service.storages import parquet


def store(pipeline: Pipeline, frame: Frame, job: Job) -> Written:
    """Write the base form of the version."""
    reject_case_duplicates(frame.schema.names())
    bases = [(i, s) for i, s in enumerate(pipeline.storage) if not s.deferred]
    index, base = bases[0] if bases else (0, parquet.ParquetStorage())
    tag = str(type(base).__struct_config__.tag)
    ctx = job.context(f"storage[{index}]", share=(0, 2))
    job.enter("storing", ctx.step)
    with job.timed(ctx.step):
        written = base.write(frame, ctx.folder, ctx)
    if written is None:
        raise errors.Permanent(f"the storage '{tag}' wrote nothing", step=ctx.step)
    job.steps[-1] = msgspec.structs.replace(job.steps[-1], rows_out=written.rows)
    job.log.info("storage.finished", step=ctx.step, type=tag, rows=written.rows)
    return written


def quarantined(job: Job) -> Quarantine:
    """What steps refused and kept, flushed."""
    kept = [(job.folder / r.file, r.rows) for r in job.rejected if r.file is not None]
    for path, _ in kept:
        layout.flush(path)
        path.chmod(0o444)
    columns = quarantine.unite_schemas([pl.read_parquet_schema(path) for path, _ in kept])
    return Quarantine(
        files=[parquet.describe(path, rows) for path, rows in kept],
        refusals=[Refusal(**counts) for counts in quarantine.count_reasons([path for path, _ in kept])],
        columns=[Column(name, str(dtype)) for name, dtype in columns.items()],
    )


def keep_tape(job: Job) -> File:
    """The file of what the steps were answered, flushed: what it takes to apply them to other rows."""
    path = job.folder / layout.TAPE
    path.write_bytes(fit_record.encode(job.tape.kept()))
    layout.flush(path)
    path.chmod(0o444)
    return parquet.describe(path, 0)


def keep_state(job: Job, order: Order) -> tuple[list[File], list[str]]:
    """The files of what collectors remember, flushed, and the names of those that stay where they are for now.

    A replay asks no collector: what was remembered stays.
    """
    known = {f.name: f for f in order.remembered.files} if order.remembered is not None else {}
    if order.replay is not None:
        return list(known.values()), list(known)
    stays = [f"{layout.STATE}/{label}/{name}" for label, state in job.states.items() for name in state.stays]
    files = [known[name] for name in stays]
    for label, state in job.states.items():
        for path in sorted(state.folder.iterdir()) if state.folder.is_dir() else ():
            layout.flush(path)
            path.chmod(0o444)
            described = parquet.describe(path, 0)
            files.append(msgspec.structs.replace(described, name=f"{layout.STATE}/{label}/{path.name}"))
        if state.folder.is_dir():
            layout.flush(state.folder)
    return files, stays


def check(pipeline: Pipeline, dataset: Dataset, job: Job) -> None:
    """Let every storage look at what was written before it is published."""
    for index, storage in enumerate(pipeline.storage):
        ctx = job.context(f"storage[{index}]", share=(1, 2))
        with job.translated(ctx.step):
            storage.check(dataset, ctx)


def write_manifest(order: Order, prepared: Prepared) -> None:
    """Write what a reader without the catalog needs to know of the version, and flush the folder."""
    folder = Path(order.grants.folder)
    kept = {f.name.split("/")[0] for f in (*prepared.files, *prepared.quarantine.files, prepared.tape, *prepared.state)}
    for left in folder.iterdir():
        if left.name not in kept:
            _remove(left)
    manifest = {
        "format": 1, "pipeline": order.document["name"], "version": order.version,
        "run_id": order.run_id, "revision": order.revision, "created": order.created,
        "rows": prepared.rows, "files": prepared.files, "columns": prepared.columns,
        "quarantine": prepared.quarantine.files, "refusals": prepared.quarantine.refusals, "tape": prepared.tape,
        "state": prepared.state,
        "sources": prepared.sources, "fitted": prepared.fitted, "profiles": prepared.profiles,
        "quarantine_columns": prepared.quarantine.columns,
        "replay_of": order.replay.version if order.replay is not None else None,
        "configuration": masking.masked(order.document),
    }  # fmt: skip
    path = folder / layout.MANIFEST
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    layout.flush(path)
    layout.flush(folder)


def reject_case_duplicates(names: list[str]) -> None:
    """SQL does not tell ``A`` from ``a``: better refused than renamed behind the user's back."""
    seen: dict[str, str] = {}
    for name in names:
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise errors.Permanent(
                f"the columns '{twin}' and '{name}' differ only in case, which SQL cannot tell apart; rename one "
                "(rename_columns, or normalize_names in a cleaner)"
            )
    if not names:
        raise combine.without_columns("store")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
