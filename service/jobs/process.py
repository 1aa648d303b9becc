"""Process: the processors of a pipeline, one after the other, over a lazy frame.

Their measured values are recorded and all of them get the same time, so that they can be applied to other rows
(``jobs.tasks.apply``).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from service.engine.executed import Executed
from service.engine.fit_record import FitRecord, Recorder, StepRecorder
from service.engine.recording_frame import RecordingFrame, bare
from service.jobs import fitted_size, lost_values
from service.jobs.job import Job
from service.model.pipeline import Join, Pipeline
from service.model.registry import tag_of
from service.model.run import Step
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.processor import Processor
from service.steps.report import FittedStep, ProcessReport, Rejected, Split
from service.values.losses import ORIGINALS
from service.values.profile import Profile
from service.values.staged import Staged


@dataclass(frozen=True)
class Processed:
    """A frame on its way, and what its steps found so far; immutable, every step makes a new one.

    ``rows`` counts the collected rows by the labels of their sources.
    """

    frame: Frame
    rows: Mapping[str, int] = field(default_factory=dict)
    rejected: tuple[Rejected, ...] = ()
    fitted: Mapping[str, FittedStep] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    splits: tuple[Split, ...] = ()

    def after(self, step: str, tag: str, frame: Frame, report: ProcessReport) -> Processed:
        """The frame after one more step, with the findings of that step. Raises as ``fitted_size.check``."""
        fitted = dict(self.fitted)
        if report.fitted:
            fitted[step] = FittedStep(tag, dict(report.fitted))
            fitted_size.check(fitted, step)
        return Processed(
            frame, self.rows, rejected=(*self.rejected, *report.rejected), fitted=fitted,
            profiles=(*self.profiles, *report.profiles), splits=(*self.splits, *report.splits),
        )  # fmt: skip


Observer = Callable[[int, Frame, ProcessReport], None]
"""Called with each processor's place, the frame after it and its report, while its time still counts."""


def _unobserved(_: int, __: Frame, ___: ProcessReport) -> None:
    return None


def process(
    pipeline: Pipeline,
    start: Processed,
    job: Job,
    observe: Observer = _unobserved,
    without: Collection[int] = (),
) -> tuple[Processed, FitRecord]:
    """The frame after the last processor with all findings, and the record of what the processors measured.

    The processors at the places ``without`` are left out. Raises what a processor raises (``errors.StepError``).
    """
    recorder = Recorder(start.frame.schema)
    processed = start
    for index in range(len(pipeline.processors)):
        if index not in without:
            processed = apply(pipeline, index, processed, job, recorder, observe=observe)
    return processed, recorder.fit_record()


def apply(
    pipeline: Pipeline,
    index: int,
    before: Processed,
    job: Job,
    recorder: Recorder,
    *,
    processor: Processor | None = None,
    replay: bool = False,
    observe: Observer = _unobserved,
) -> Processed:
    """The frame after the processor at ``index``, or after ``processor`` in its place; ``replay`` as in its context."""
    processor = processor or pipeline.processors[index]
    step, tag = f"processors[{index}]", tag_of(type(processor))
    job.enter("processing", step)
    ctx = dataclasses.replace(
        job.process_context(step),
        source_rows=sum(before.rows.values()) or job.rows_collected, replay=replay, now=recorder.now,
        source=pipeline.label(pipeline.data[0]) if len(pipeline.data) == 1 else None,
        sources=() if replay else _sources(pipeline, index, before.rows),
        rejected_before=before.rejected, splits=before.splits,
        keep_originals=not job.dry and _originals_are_shown(pipeline.processors[index + 1 :]),
        untraced_by=_untraced(pipeline.processors[:index]),
    )  # fmt: skip
    # a replay repeats the values that were measured before; only steps that read its own rows measure them again
    step_recorder = recorder.recorder(step) if processor.read_only or not replay else StepRecorder()
    staged = len(_staged(before.frame))
    began = time.perf_counter()
    with job.running(ctx):
        passed_by = not processor.carries_originals and ORIGINALS in before.frame.schema
        recording = RecordingFrame(_without_originals(before.frame) if passed_by else before.frame, step_recorder)
        result = processor.apply(recording, ctx)
        report = ctx.report()
        step_recorder.unchanged = result is recording and not report.splits
        given, frame = recording.frame, before.frame if passed_by and result is recording else bare(result)
        observe(index, frame, report)
    lost_values.warn(frame, job)
    job.end(
        Step(
            step=step, duration=time.perf_counter() - began, stages=list(_staged(frame)[staged:]),
            rows_in=_either(report.rows_in, _known_rows(given)), rows_out=_either(report.rows_out, _known_rows(frame)),
        )
    )  # fmt: skip
    job.log.info("processor.finished", step=step, type=tag)
    return before.after(step, tag, frame, report)


def _originals_are_shown(following: Sequence[Processor]) -> bool:
    """Whether a step shows values as they were before this one lost them, and the steps before it keep these."""
    for processor in following:
        if processor.shows_originals:
            return True
        if not (processor.carries_originals or processor.read_only):
            return False
    return False


def _untraced(before: Sequence[Processor]) -> str | None:
    """The last of these steps whose rows cannot be traced to those that it read."""
    places = [i for i, p in enumerate(before) if not (p.carries_originals or p.read_only)]
    return f"processors[{places[-1]}]" if places else None


def _without_originals(frame: Frame) -> Frame:
    """The columns of the data. The rows are staged first, so that they are not computed twice."""
    frame.measure([Metric("", "rows")])
    return frame.rows(lambda lf: lf.drop(ORIGINALS))


def _sources(pipeline: Pipeline, index: int, rows: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """The collectors whose rows reach a processor one after another, as the union put them."""
    labels = [pipeline.label(i) for i in pipeline.data]
    joined = len(labels) > 1 and isinstance(pipeline.combine, Join)
    if joined or not all(p.read_only or p.idempotent for p in pipeline.processors[:index]):
        return ()
    return tuple((label, rows[label]) for label in labels if label in rows)


def with_row_counts(steps: Sequence[Step], collected: int | None, stored: int) -> tuple[Step, ...]:
    """``steps`` with the counts that follow from others: what goes out of one goes into the next.

    ``collected`` is how many rows went into the first processor (None: unknown), ``stored`` how many came out of the
    last. This reads no rows.
    """
    places = [i for i, step in enumerate(steps) if step.step.startswith("processors")]
    joints = [collected, *(None for _ in places)]
    joints[-1] = stored
    for at, place in enumerate(places):
        joints[at] = _either(joints[at], steps[place].rows_in)
        joints[at + 1] = _either(joints[at + 1], steps[place].rows_out)
    counted = list(steps)
    for at, place in enumerate(places):
        counted[place] = msgspec.structs.replace(steps[place], rows_in=joints[at], rows_out=joints[at + 1])
    return tuple(msgspec.structs.replace(s, rows_in=stored) if s.step.startswith("storage") else s for s in counted)


def _either(known: int | None, else_: int | None) -> int | None:
    return known if known is not None else else_


def _known_rows(frame: Frame) -> int | None:
    return frame.known_rows if isinstance(frame, Executed) else None


def _staged(frame: Frame) -> Sequence[Staged]:
    return frame.staged if isinstance(frame, Executed) else ()
