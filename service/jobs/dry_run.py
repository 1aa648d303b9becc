"""Rehearsal: the processors over columns without rows, to find what cannot work before anything is read.

What it finds ends a run only where it is certain. The columns of files and stored versions, of pages by selectors, and
of sources with the setting ``columns`` are certain; what else an API may bring is not, and a column that rows may yet
bring (one-hot encoding makes one for each category) is nobody's mistake. Where something is not certain nothing is
said, and the step itself will say it when its turn comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from service.engine.dry_run_frame import PlannedFrame, Trace
from service.expressions.scalar import NoColumn
from service.jobs import child_log, combine, process
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.kit import errors
from service.model.pipeline import Pipeline
from service.steps.collector import Declared
from service.steps.frame import Frame
from service.steps.registry import tag_of


@dataclass(frozen=True)
class DryRunStep:
    """One processor in a dry run. ``dynamic_columns``: the settings whose columns are known only from rows."""

    step: str
    type: str
    input: pl.Schema
    output: pl.Schema
    operations: list[str]
    fitted: dict[str, Any]
    dynamic_columns: list[str]
    stages: list[str]


@dataclass
class DryRun:
    """What a rehearsal came to. ``error`` ended it; it would end a run, too, where it is ``certain``.

    ``columns`` are those after the combination, ``frame`` is the last one, None where it did not come so far;
    ``ignored`` are the warnings of columns that are not there and that settings allow to be missing.
    """

    trace: Trace
    parts: list[DryRunStep] = field(default_factory=list)
    columns: pl.Schema | None = None
    frame: PlannedFrame | None = None
    error: errors.StepError | None = None
    certain: bool = False
    ignored: list[dict[str, Any]] = field(default_factory=list)

    def text(self) -> str:
        """The optimised plans as text, in order: one for each time that rows are read."""
        plans = [(part.step, plan) for part in self.parts for plan in part.stages]
        if self.frame is not None:
            plans.append(("storage", self.frame.plan))
        if len(plans) == 1:
            return plans[0][1]
        return "\n\n".join(f"-- {n}. read for {step}\n{plan}" for n, (step, plan) in enumerate(plans, 1))

    @property
    def likely(self) -> bool:
        """Whether the error is worth a warning: a name that is very like one that is known."""
        return self.certain or (self.error is not None and "did you mean" in self.error.message)


def check(pipeline: Pipeline, sources: Sequence[Declared], grants: Grants) -> None:
    """Raise the ``errors.StepError`` that a run over such sources is certain to end with."""
    play = rehearse(pipeline, sources, grants)
    if play.error is not None and play.certain:
        raise play.error


def rehearse(
    pipeline: Pipeline,
    sources: Sequence[Declared],
    grants: Grants,
    *,
    scans: Sequence[pl.LazyFrame | None] = (),
) -> DryRun:
    """Go over all processors. ``scans`` are the plans that the sources begin with, for the sake of the texts."""
    job = Job(grants, child_log.logger(_unheard), dry=True)
    trace = Trace(explaining=bool(scans))
    play = DryRun(trace)
    lazies = [scan if scan is not None else pl.LazyFrame(schema=s.schema) for s, scan in _paired(sources, scans)]
    seen = 0

    def each(index: int, frame: Frame) -> Frame:
        nonlocal seen
        step = f"processors[{index}]"
        before = play.parts[-1].output if play.parts else play.columns
        made = job.fitted.get(step, {}).get("parameters", {})
        dynamic_columns = [field for field in job.dynamic_columns if field.startswith(step)]
        ended = len(trace.operations)
        play.parts.append(
            DryRunStep(
                step, tag_of(type(pipeline.processors[index])), before or pl.Schema(), frame.schema,
                trace.operations[seen:ended], made, dynamic_columns,
                trace.plans[sum(len(p.stages) for p in play.parts) :],
            )
        )  # fmt: skip
        seen = ended
        return frame

    try:
        with job.translated("combine"):
            frames = [PlannedFrame.of(lf, job.folder, trace) for lf in lazies]
            frame = combine.combined(pipeline, frames)
            play.columns = frame.schema
        seen = len(trace.operations)
        last = process.process(pipeline, frame, job, each)
    except errors.StepError as error:
        play.error, play.certain = error, _is_certain(error, pipeline, sources, job, len(play.parts))
    else:
        play.frame = last if isinstance(last, PlannedFrame) else None
    if all(s.closed for s in sources):
        play.ignored = [w for w in job.warnings if w["code"] == "missing_column"]
    return play


def _is_certain(error: errors.StepError, pipeline: Pipeline, sources: Sequence[Declared], job: Job, done: int) -> bool:
    """Whether the step after the first ``done`` would fail so, whatever the rows are."""
    gone = pipeline.processors[: done + 1] if job.step.startswith("processors") else []
    closed = all(s.closed for s in sources) and not job.dynamic_columns and all(p.static for p in gone)
    exact = closed and not any(s.guessed for s in sources)
    named = isinstance(error.__cause__, NoColumn) or error.details.get("field") == "combine.on"
    return isinstance(error.details.get("field"), str) and (exact or (closed and named))


def _paired(
    sources: Sequence[Declared], scans: Sequence[pl.LazyFrame | None]
) -> Iterable[tuple[Declared, pl.LazyFrame | None]]:
    return zip(sources, scans or [None] * len(sources), strict=True)


def _unheard(_: dict[str, Any]) -> None:
    return None
