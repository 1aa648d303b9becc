"""Application: the errand that takes records through a stored version's processors, as its own rows went.

Configuration, fitted numbers, column types and the time are those of the version, so that a record which equals a row
of its sources comes out as that row was stored. Nothing is measured and nothing is stored. What needs other rows is
skipped and named (``engine.replay_frame``); a record that a step takes out is named with that step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from service.engine import fit_record, replay_frame
from service.engine.fit_record import FitRecord
from service.engine.replay_frame import ReplayedFrame, Skipped
from service.jobs import child_log, plugins
from service.jobs.job import Job
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.query.child import inline
from service.steps.context import Context
from service.values import from_json, tagged_json

MOST_RECORDS = 10_000
_PLACES = pl.UInt32()


class Application(msgspec.Struct, frozen=True, kw_only=True, tag="application"):
    """Apply version ``version`` to ``records`` (a JSON array). ``document`` is the revision that made it, ``tape`` the
    path of its tape.
    """

    document: dict[str, Any]
    version: int
    tape: str
    records: bytes

    def answer(self, job: Job) -> bytes:
        """``{"pipeline", "version", "columns", "data", "rows", "dropped", "skipped"}``.

        Raises ``errors.Invalid`` where a record does not fit or a step fails on it.
        """
        pipeline = pipelines.decode(self.document, plugins.registry())
        kept = fit_record.decode(Path(self.tape).read_bytes())
        try:
            schema = tagged_json.decode_schema(kept.schema)
        except ValueError as error:
            raise errors.Invalid(f"version {self.version} cannot be applied: {error}", field="version") from error
        done = Applier(pipeline, kept, job).walk(from_json.table(_listed(self.records), schema))
        target = job.folder / "applied.parquet"
        done.data.write_parquet(target, compression="uncompressed", statistics=False)
        before = {"pipeline": pipeline.name, "version": self.version}
        after = {"rows": done.places.to_list(), "dropped": done.dropped, "skipped": done.skipped}
        return inline.rendered(target, before, after)


class Applied(msgspec.Struct):
    """Where records stand: the rows, the record each came from, what was dropped and skipped on the way."""

    data: pl.DataFrame
    places: pl.Series
    dropped: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []


class Applier:
    """The way of records through the processors of ``pipeline``."""

    def __init__(self, pipeline: Pipeline, kept: FitRecord, job: Job) -> None:
        self._pipeline = pipeline
        self._tape = kept
        self._job = job

    def walk(self, data: pl.DataFrame) -> Applied:
        """To the last processor, or to one that leads where there are no records any more."""
        at = Applied(data, pl.Series("place", range(data.height), dtype=_PLACES))
        notes: list[tuple[str, Skipped]] = []
        ended: str | None = None
        for index, processor in enumerate(self._pipeline.processors):
            step = f"processors[{index}]"
            played = self._tape.steps.get(step, fit_record.StepRecord())
            if ended is not None:
                if not played.unchanged:
                    notes.append((step, Skipped("apply", (), f"it goes on from what {ended} made, which is no record")))
                continue
            if played.unchanged:
                continue
            self._job.step = step
            frame = ReplayedFrame(at.data, at.places, fit_record.Playback(step, played), self._job.folder)
            made = self._made(processor, frame, step)
            notes += [(step, note) for note in made.skipped]
            if made.origin is not None:
                made, ended = made.origin, step
            at = _moved(at, made, step)
        at.skipped = [_said(step, note, at.data.columns) for step, note in notes]
        return at

    def _made(self, processor: Any, frame: ReplayedFrame, step: str) -> ReplayedFrame:
        try:
            with self._job.translated(step):
                made = processor.apply(frame, self._context(step))
        except errors.StepError as error:
            refused = replay_frame.refused(error)
            if refused is None:
                raise
            raise refused from error
        if not isinstance(made, ReplayedFrame):
            raise errors.Permanent("the step answers with a frame of its own; it cannot be applied", step=step)
        return made

    def _context(self, step: str) -> Context:
        """As in the run, but nobody hears: what it says, it said when the version was made."""
        ctx = self._job.context(step)
        ctx.log = child_log.logger(lambda _: None)
        ctx.now = lambda: self._tape.now
        return ctx


def _moved(at: Applied, made: ReplayedFrame, step: str) -> Applied:
    gone = at.places.filter(~at.places.is_in(made.places.implode())).unique(maintain_order=True)
    dropped = [*at.dropped, *({"index": place, "step": step} for place in gone)]
    return Applied(made.data, made.places, dropped)


def _said(step: str, note: Skipped, columns: list[str]) -> dict[str, Any]:
    left = [c for c in note.columns if c in columns]
    said: dict[str, Any] = {"step": step, "operation": note.operation}
    return said | ({"columns": left} if left else {}) | {"reason": note.reason}


def _listed(text: bytes) -> list[Any]:
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
