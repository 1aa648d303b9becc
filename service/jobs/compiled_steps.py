"""Compiled steps: the processors that made a version as operations on records, ready to be applied again and again.

Configuration, fitted numbers, column types and the time are those of the version, so that a record that equals a row
of its sources comes out as that row was stored. Nothing is measured and nothing is stored. Operations that need other
rows are skipped and listed (``engine.replay_frame``); a record that a step removes is listed with that step.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from service.engine import fit_record, row_operations
from service.engine.fit_record import FitRecord
from service.engine.replay_frame import ReplayFrame, Skipped
from service.engine.row_operations import Operation, Rows
from service.jobs import child_log
from service.jobs.job import Job
from service.kit import errors
from service.model.pipeline import Pipeline
from service.model.registry import is_ours
from service.processors.sql import Sql
from service.steps.context import ProcessContext
from service.steps.processor import Processor
from service.steps.report import Split
from service.values import tagged_json


@dataclass(frozen=True)
class Applied:
    """Records after the steps: the rows with the index of the record of each, and the records that were removed.

    ``dropped`` has each with the step that removed it, in the order of the steps.
    """

    rows: Rows
    dropped: list[dict[str, Any]] = field(default_factory=list)


class CompiledSteps:
    """The processors of ``pipeline`` over records, with the fitted numbers of ``record``.

    ``source`` are the columns of records, ``schema`` those of what is made of them. ``skipped`` lists the operations
    that need other rows. Raises ``errors.PenstockError`` if the version cannot be applied.
    """

    def __init__(self, pipeline: Pipeline, record: FitRecord, job: Job) -> None:
        try:
            self.source = tagged_json.decode_schema(record.schema)
        except ValueError as error:
            raise errors.Invalid(f"the version cannot be applied: {error}", field="version") from error
        self.schema = self.source
        self._record = record
        self._job = job
        self._steps: list[tuple[str, tuple[Operation, ...]]] = []
        notes = self._compile(pipeline)
        self.skipped = [_skipped(step, note, self.schema) for step, note in notes]
        # what makes several rows of a record may hide that another is taken out; none of our steps but SQL can
        self._at_once = all(is_ours(p) and not isinstance(p, Sql) for p in pipeline.processors)

    def apply(self, records: pl.DataFrame) -> Applied:
        """Apply all steps, up to one whose rows are not records any more.

        Raises ``errors.Invalid`` where a step fails on a record, and ``errors.StepError`` for other failures.
        """
        rows, dropped = Rows.of(records), list[dict[str, Any]]()
        if self._at_once:
            done = row_operations.at_once([o for _, operations in self._steps for o in operations], rows)
            if done is not None:
                return Applied(done)
        for step, operations in self._steps:
            made = self._apply_step(step, operations, rows)
            dropped += _dropped(rows, made, step)
            rows = made
        return Applied(rows, dropped)

    def _apply_step(self, step: str, operations: tuple[Operation, ...], rows: Rows) -> Rows:
        self._job.step = step
        try:
            with self._job.translated(step):
                return (row_operations.halved if self._at_once else row_operations.one_by_one)(operations, rows)
        except errors.StepError as error:
            record_error = row_operations.record_error(error)
            if record_error is None:
                raise
            raise record_error from error

    def _compile(self, pipeline: Pipeline) -> list[tuple[str, Skipped]]:
        notes: list[tuple[str, Skipped]] = []
        splits: tuple[Split, ...] = ()
        ended: str | None = None
        for index, processor in enumerate(pipeline.processors):
            step = f"processors[{index}]"
            step_record = self._record.steps.get(step, fit_record.StepRecord())
            if step_record.unchanged:
                continue
            if ended is not None:
                reason = f"it needs the rows that {ended} made, which are not records"
                notes.append((step, Skipped("apply", (), reason)))
                continue
            self._job.step = step
            ctx = self._context(step, splits)
            frame = ReplayFrame(self.schema, fit_record.Playback(step, step_record), Path(self._job.folder))
            made = self._compile_step(processor, frame, ctx)
            splits += ctx.report().splits
            notes += [(step, note) for note in made.skipped]
            if made.origin is not None:
                made, ended = made.origin, step
            self._steps.append((step, made.operations))
            self.schema = made.schema
        return notes

    def _compile_step(self, processor: Processor, frame: ReplayFrame, ctx: ProcessContext) -> ReplayFrame:
        with self._job.translated(ctx.step):
            made = processor.apply(frame, ctx)
        if not isinstance(made, ReplayFrame):
            raise errors.Permanent(
                "the step does not return a frame made from its input; it cannot be applied", step=ctx.step
            )
        return made

    def _context(self, step: str, splits: tuple[Split, ...]) -> ProcessContext:
        """As in the run, but without a log: the run that made the version logged the same."""
        ctx = self._job.process_context(step)
        return dataclasses.replace(ctx, log=child_log.logger(lambda _: None), now=self._record.now, splits=splits)


def _dropped(before: Rows, after: Rows, step: str) -> list[dict[str, Any]]:
    """The records of which a step left no row."""
    if after.places is before.places:
        return []
    gone = before.places.filter(~before.places.is_in(after.places.implode())).unique(maintain_order=True)
    return [{"index": place, "step": step} for place in gone]


def _skipped(step: str, note: Skipped, schema: pl.Schema) -> dict[str, Any]:
    left = [c for c in note.columns if c in schema]
    skipped: dict[str, Any] = {"step": step, "operation": note.operation}
    return skipped | ({"columns": left} if left else {}) | {"reason": note.reason}
