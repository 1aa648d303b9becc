"""Store: the files of a version, written to the staging folder, counted, checked and flushed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import polars as pl
from polars.datatypes import DataTypeClass

from service.engine import fit_record
from service.engine.fit_record import FitRecord
from service.files import layout, manifest_file, quarantine
from service.jobs import combine
from service.jobs.job import Job
from service.jobs.messages import Order, Prepared, Quarantine
from service.jobs.outcome import CollectorState
from service.kit import errors
from service.model import masking
from service.model.pipeline import Pipeline
from service.model.registry import tag_of
from service.model.run import Step
from service.model.version import Column, Refusal
from service.steps.frame import Frame
from service.steps.report import Rejected
from service.steps.storage import Dataset, File, Written
from service.storages import parquet
from service.values.version_mode import BaseVersion


def store(pipeline: Pipeline, frame: Frame, job: Job, base: BaseVersion | None = None) -> Written:
    """Write the base form of the version, which continues ``base``, if there is one.

    Raises ``errors.Permanent`` for columns that cannot be stored, and what the storage raises.
    """
    reject_names(frame.schema)
    bases = [(i, s) for i, s in enumerate(pipeline.storage) if not s.deferred]
    index, storage = bases[0] if bases else (0, parquet.ParquetStorage())
    tag = tag_of(type(storage))
    ctx = job.context(f"storage[{index}]", mode=pipeline.mode, base=base)
    job.enter("storing", ctx.step)
    began = time.perf_counter()
    with job.running(ctx):
        written = storage.write(frame, ctx.folder, ctx)
    if written is None:
        raise errors.Permanent(f"the storage '{tag}' wrote nothing", step=ctx.step)
    job.end(Step(step=ctx.step, duration=time.perf_counter() - began, rows_out=written.rows))
    job.log.info("storage.finished", step=ctx.step, type=tag, rows=written.rows)
    return written


def quarantine_of(rejected: Iterable[Rejected], folder: Path) -> Quarantine:
    """The files of rows that steps rejected and kept in ``folder``, flushed."""
    kept = [(folder / r.file, r.rows) for r in rejected if r.file is not None]
    for path, _ in kept:
        layout.flush(path)
        path.chmod(0o444)
    columns = quarantine.unite_schemas([pl.read_parquet_schema(path) for path, _ in kept])
    return Quarantine(
        files=[parquet.describe(path, rows) for path, rows in kept],
        refusals=[Refusal(**counts) for counts in quarantine.count_reasons([path for path, _ in kept])],
        columns=[Column(name, str(dtype)) for name, dtype in columns.items()],
    )


def write_fit_record(record: FitRecord, folder: Path) -> File:
    """Write the file that is needed to apply the steps to other rows, flushed."""
    path = folder / layout.FIT_RECORD
    path.write_bytes(fit_record.encode(record))
    layout.flush(path)
    path.chmod(0o444)
    return parquet.describe(path, 0)


def write_state(states: Iterable[CollectorState], order: Order) -> tuple[list[File], list[str]]:
    """All state files of collectors, flushed, and the names of those that are still with the earlier version.

    A replay runs no collector: the earlier state stays.
    """
    known = {f.name: f for f in order.remembered.files} if order.remembered is not None else {}
    if order.replay is not None:
        return list(known.values()), list(known)
    stays: list[str] = []
    files: list[File] = []
    for one in states:
        names = [f"{layout.STATE}/{one.label}/{name}" for name in one.kept]
        stays += names
        files += [known[name] for name in names]
        folder = one.state.folder
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            layout.flush(path)
            path.chmod(0o444)
            described = parquet.describe(path, 0)
            files.append(msgspec.structs.replace(described, name=f"{layout.STATE}/{one.label}/{path.name}"))
        layout.flush(folder)
    return files, stays


def check(pipeline: Pipeline, dataset: Dataset, job: Job) -> None:
    """Let every storage check the written files before they are published. Raises what a storage raises."""
    for index, storage in enumerate(pipeline.storage):
        ctx = job.context(f"storage[{index}]")
        with job.running(ctx):
            storage.check(dataset, ctx)


def write_manifest(order: Order, prepared: Prepared) -> None:
    """Write what a reader without the catalog needs to know about the version, and flush the folder.

    Removes every file that is not part of the version.
    """
    folder = Path(order.grants.folder)
    native = [file for one in prepared.loaded for file in one.written.files]
    files = (*prepared.files, *prepared.quarantine.files, prepared.fit_record, *prepared.state, *native)
    kept = {f.name.split("/")[0] for f in files}
    for path in folder.iterdir():
        if path.name not in kept:
            _remove(path)
    manifest = {
        "pipeline": order.document["name"], "version": order.version,
        "run_id": order.run_id, "revision": order.revision, "created": order.created,
        "rows": prepared.rows, "files": prepared.files, "layout": prepared.layout, "columns": prepared.columns,
        "quarantine": prepared.quarantine.files, "refusals": prepared.quarantine.refusals, "tape": prepared.fit_record,
        "state": prepared.state,
        "sources": prepared.sources, "fitted": prepared.fitted, "profiles": prepared.profiles,
        "quarantine_columns": prepared.quarantine.columns,
        "replay_of": order.replay.version if order.replay is not None else None,
        "configuration": masking.masked(order.document),
    }  # fmt: skip
    path = folder / layout.MANIFEST
    path.write_bytes(manifest_file.encode(manifest))
    layout.flush(path)
    layout.flush(folder)


def reject_names(schema: Mapping[str, pl.DataType]) -> None:
    """Refuse names that SQL cannot tell apart (they differ only in case), also of the fields of a struct, names with a
    NUL, where DuckDB's JSON ends them, and a table without columns.

    Raises ``errors.Permanent``.
    """
    names = list(schema)
    seen: dict[str, str] = {}
    for name in names:
        if "\0" in name:
            shown = name.replace("\0", "␀")
            raise errors.Permanent(
                f"the column '{shown}' has a NUL in its name, which no answer can hold; rename it (normalize_names in "
                "a cleaner)"
            )
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise errors.Permanent(
                f"the columns '{twin}' and '{name}' differ only in case, which SQL cannot tell apart; rename one "
                "(rename_columns, or normalize_names in a cleaner)"
            )
    for name, dtype in schema.items():
        twins = _twins(dtype)
        if twins is not None:
            raise errors.Permanent(
                f"the fields '{twins[0]}' and '{twins[1]}' inside of '{name}' differ only in case, which SQL cannot "
                f"tell apart; keep '{name}' as text (schema: {{{name}: string}}), or cast it to string in a cleaner"
            )
    if not names:
        raise combine.without_columns("store")


def _twins(dtype: pl.DataType | DataTypeClass) -> tuple[str, str] | None:
    """Two fields of one struct, at any depth, that differ only in case."""
    if isinstance(dtype, pl.List | pl.Array):
        return _twins(dtype.inner)
    if not isinstance(dtype, pl.Struct):
        return None
    seen: dict[str, str] = {}
    for field in dtype.fields:
        twin = seen.setdefault(field.name.lower(), field.name)
        if twin != field.name:
            return twin, field.name
    return next((found for field in dtype.fields if (found := _twins(field.dtype)) is not None), None)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
