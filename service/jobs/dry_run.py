"""Dry run: the processors over columns without rows, to find what cannot work before anything is read.

Its findings end a run only where they are certain. The columns of files and stored versions, of pages by selectors, and
of sources with the setting ``columns`` are certain. The other columns of an API are not, and a column that depends on
rows (one-hot encoding makes one for each category) may exist. What is not certain is not reported; the step itself
reports it when it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from service.engine.dry_run_frame import DryRunFrame, Trace
from service.engine.polars_frame import PolarsFrame
from service.expressions.scalar import NoColumn
from service.jobs import child_log, combine, process
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.kit import errors
from service.model.pipeline import Pipeline
from service.model.registry import tag_of
from service.steps.collector import Declared
from service.steps.frame import Frame
from service.steps.report import ProcessReport, StepWarning

_KIND = "type"
"""The field of a step that its engine cannot execute, whatever the rows are."""


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
    """The findings of a dry run. ``error`` ended it; it would end a run, too, if it is ``certain``.

    ``columns`` are those after combining the sources, ``frame`` is the last one (None after an error); ``ignored`` are
    the warnings about missing columns that settings allow to be missing.
    """

    trace: Trace
    steps: list[DryRunStep] = field(default_factory=list)
    columns: pl.Schema | None = None
    frame: DryRunFrame | None = None
    error: errors.StepError | None = None
    certain: bool = False
    ignored: list[StepWarning] = field(default_factory=list)

    def text(self) -> str:
        """The optimised plans as text, in order: one for each time that rows are read."""
        plans = [(step.step, plan) for step in self.steps for plan in step.stages]
        if self.frame is not None:
            plans.append(("storage", self.frame.plan))
        if len(plans) == 1:
            return plans[0][1]
        return "\n\n".join(f"-- {n}. read for {step}\n{plan}" for n, (step, plan) in enumerate(plans, 1))

    @property
    def stages(self) -> int:
        """How often rows are computed once to be read again at most, results of queries included."""
        return sum(self.trace.operations.count(o) for o in ("stage", "query"))

    @property
    def passes(self) -> int:
        """How often rows are read at most: for a stage, for measurements of a step, for a query, and to be stored."""
        return 1 + sum(self.trace.operations.count(o) for o in ("stage", "measure", "query"))

    @property
    def likely(self) -> bool:
        """Whether the error is worth a warning: a name that resembles a known one."""
        return self.certain or (self.error is not None and "did you mean" in self.error.message)


def check(pipeline: Pipeline, sources: Sequence[Declared], grants: Grants) -> None:
    """Raise the ``errors.StepError`` that a run over such sources is certain to end with."""
    dry = dry_run(pipeline, sources, grants)
    if dry.error is not None and dry.certain:
        raise dry.error


def dry_run(
    pipeline: Pipeline,
    sources: Sequence[Declared],
    grants: Grants,
    *,
    scans: Sequence[pl.LazyFrame | None] = (),
    read: Sequence[Frame | None] = (),
) -> DryRun:
    """Apply all processors to columns. ``scans`` are the plans that the sources begin with, for the plan texts.

    ``read`` are the frames of sources, if they were read.
    """
    job = Job(grants, child_log.logger(_discard), dry=True)
    trace = Trace(explaining=bool(scans))
    dry = DryRun(trace)
    lazies = [scan if scan is not None else pl.LazyFrame(schema=s.schema) for s, scan in _paired(sources, scans)]
    seen = 0

    def observe(index: int, frame: Frame, report: ProcessReport) -> None:
        nonlocal seen
        before = dry.steps[-1].output if dry.steps else dry.columns
        ended = len(trace.operations)
        dry.steps.append(
            DryRunStep(
                f"processors[{index}]", tag_of(type(pipeline.processors[index])), before or pl.Schema(), frame.schema,
                trace.operations[seen:ended], dict(report.fitted), list(report.dynamic_columns),
                trace.plans[sum(len(s.stages) for s in dry.steps) :],
            )
        )  # fmt: skip
        seen = ended
        if pipeline.execution.engine == "spark" and isinstance(frame, PolarsFrame):
            _check_portable(frame, f"processors[{index}]")

    try:
        with job.translated("combine"):
            likes = [frame if isinstance(frame, PolarsFrame) else None for frame in read] or [None] * len(lazies)
            frames = [DryRunFrame.of(lf, job.folder, trace, like=like) for lf, like in zip(lazies, likes, strict=True)]
            frame = combine.combined(pipeline, frames)
            dry.columns = frame.schema
        seen = len(trace.operations)
        last = process.process(pipeline, Processed(frame), job, observe)[0].frame
    except errors.StepError as error:
        dry.error, dry.certain = error, _is_certain(error, pipeline, sources, job, len(dry.steps))
    else:
        dry.frame = last if isinstance(last, DryRunFrame) else None
    if all(s.closed for s in sources):
        dry.ignored = [w for w in job.journal.warnings if w.code == "missing_column"]
    return dry


def _check_portable(frame: PolarsFrame, step: str) -> None:
    """Raise ``errors.Permanent`` if the plan up to a step cannot be sent to executors."""
    from service.engine.spark import plans  # with pipelines that use it

    try:
        plans.encode(frame.lazy)
    except errors.Permanent as error:
        raise errors.Permanent(str(error), step=step, field=f"{step}.{_KIND}") from error


def _is_certain(error: errors.StepError, pipeline: Pipeline, sources: Sequence[Declared], job: Job, done: int) -> bool:
    """Whether the step after the first ``done`` would fail with this error, whatever the rows are."""
    if str(error.details.get("field")).endswith(f"].{_KIND}"):
        return True
    applied = pipeline.processors[: done + 1] if job.step.startswith("processors") else []
    closed = all(s.closed for s in sources) and not job.journal.dynamic_columns and all(p.static for p in applied)
    exact = closed and not any(s.guessed for s in sources)
    named = isinstance(error.__cause__, NoColumn) or error.details.get("field") == "combine.on"
    return isinstance(error.details.get("field"), str) and (exact or (closed and named))


def _paired(
    sources: Sequence[Declared], scans: Sequence[pl.LazyFrame | None]
) -> Iterable[tuple[Declared, pl.LazyFrame | None]]:
    return zip(sources, scans or [None] * len(sources), strict=True)


def _discard(_: dict[str, Any]) -> None:
    return None
