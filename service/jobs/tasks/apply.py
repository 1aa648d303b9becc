"""Apply: the task that takes records through a stored version's processors, as its own rows went.

Configuration, fitted numbers, column types and the time are those of the version, so that a record that equals a row
of its sources comes out as that row was stored. Nothing is measured and nothing is stored. Operations that need other
rows are skipped and listed (``engine.replay_frame``); a record that a step removes is listed with that step.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from service.engine import fit_record, replay_frame
from service.engine.fit_record import FitRecord
from service.engine.replay_frame import ReplayFrame, Skipped
from service.jobs import child_log, plugins
from service.jobs.job import Job
from service.jobs.tasks.task import Application
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.query.child import inline
from service.steps.context import ProcessContext
from service.steps.processor import Processor
from service.steps.report import Split
from service.values import from_json, tagged_json

MOST_RECORDS = 10_000
_PLACES = pl.UInt32()


def apply(task: Application, job: Job) -> bytes:
    """``{"pipeline", "version", "columns", "data", "rows", "dropped", "skipped"}``.

    Raises ``errors.Invalid`` where a record does not fit or a step fails on it.
    """
    pipeline = pipelines.decode(task.document, plugins.registry())
    record = fit_record.decode(Path(task.fit_record).read_bytes())
    try:
        schema = tagged_json.decode_schema(record.schema)
    except ValueError as error:
        raise errors.Invalid(f"version {task.version} cannot be applied: {error}", field="version") from error
    applied = Applier(pipeline, record, job).apply(from_json.table(_decode_records(task.records), schema))
    target = job.folder / "applied.parquet"
    applied.data.write_parquet(target, compression="uncompressed", statistics=False)
    before = {"pipeline": pipeline.name, "version": task.version}
    after = {"rows": applied.places.to_list(), "dropped": applied.dropped, "skipped": applied.skipped}
    return inline.rendered(target, before, after)


class Applied(msgspec.Struct):
    """Records on their way: the rows, the index of the record of each row, what was dropped and skipped so far."""

    data: pl.DataFrame
    places: pl.Series
    dropped: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []


class Applier:
    """Applies the processors of ``pipeline`` to records, with the fitted numbers of ``record``."""

    def __init__(self, pipeline: Pipeline, record: FitRecord, job: Job) -> None:
        self._pipeline = pipeline
        self._record = record
        self._job = job

    def apply(self, data: pl.DataFrame) -> Applied:
        """Apply all processors, up to one whose rows are not records any more.

        Raises ``errors.Invalid`` where a step fails on a record, and ``errors.StepError`` for other failures.
        """
        at = Applied(data, pl.Series("place", range(data.height), dtype=_PLACES))
        notes: list[tuple[str, Skipped]] = []
        splits: tuple[Split, ...] = ()
        ended: str | None = None
        for index, processor in enumerate(self._pipeline.processors):
            step = f"processors[{index}]"
            step_record = self._record.steps.get(step, fit_record.StepRecord())
            if ended is not None:
                if not step_record.unchanged:
                    reason = f"it needs the rows that {ended} made, which are not records"
                    notes.append((step, Skipped("apply", (), reason)))
                continue
            if step_record.unchanged:
                continue
            self._job.step = step
            frame = ReplayFrame(at.data, at.places, fit_record.Playback(step, step_record), self._job.folder)
            ctx = self._context(step, splits)
            made = self._apply_step(processor, frame, ctx)
            splits += ctx.report().splits
            notes += [(step, note) for note in made.skipped]
            if made.origin is not None:
                made, ended = made.origin, step
            at = _moved(at, made, step)
        at.skipped = [_skipped(step, note, at.data.columns) for step, note in notes]
        return at

    def _apply_step(self, processor: Processor, frame: ReplayFrame, ctx: ProcessContext) -> ReplayFrame:
        try:
            with self._job.translated(ctx.step):
                made = processor.apply(frame, ctx)
        except errors.StepError as error:
            record_error = replay_frame.record_error(error)
            if record_error is None:
                raise
            raise record_error from error
        if not isinstance(made, ReplayFrame):
            raise errors.Permanent(
                "the step does not return a frame made from its input; it cannot be applied", step=ctx.step
            )
        return made

    def _context(self, step: str, splits: tuple[Split, ...]) -> ProcessContext:
        """As in the run, but without a log: the run that made the version logged the same."""
        ctx = self._job.process_context(step)
        return dataclasses.replace(ctx, log=child_log.logger(lambda _: None), now=self._record.now, splits=splits)


def _moved(at: Applied, made: ReplayFrame, step: str) -> Applied:
    gone = at.places.filter(~at.places.is_in(made.places.implode())).unique(maintain_order=True)
    dropped = [*at.dropped, *({"index": place, "step": step} for place in gone)]
    return Applied(made.data, made.places, dropped)


def _skipped(step: str, note: Skipped, columns: list[str]) -> dict[str, Any]:
    left = [c for c in note.columns if c in columns]
    skipped: dict[str, Any] = {"step": step, "operation": note.operation}
    return skipped | ({"columns": left} if left else {}) | {"reason": note.reason}


def _decode_records(text: bytes) -> list[Any]:
    try:
        records = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise errors.Invalid(f"the records are not JSON: {error}", code="INVALID_JSON", field="records") from error
    if not isinstance(records, list):
        raise errors.Invalid("records: expected a list of objects", field="records")
    if len(records) > MOST_RECORDS:
        message = f"records: {len(records)} are more than {MOST_RECORDS} at once; send them in parts"
        raise errors.Invalid(message, field="records")
    return records
