"""Processing: the processors of a pipeline, one after the other, over a lazy frame.

What they are answered is written down (``Job.tape``), and the time that they are told is one and the same, so that
they can do the same again to other rows (``jobs.tasks.apply``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from service.engine.fit_record import Recorder, StepRecorder
from service.engine.polars_frame import PolarsFrame
from service.engine.recording_frame import RecordedFrame, bare
from service.jobs.job import Job
from service.model.pipeline import Join, Pipeline
from service.model.run import Step
from service.steps.frame import Frame
from service.steps.processor import Processor

Each = Callable[[int, Frame], Frame]
"""Told of every processor (its place, the frame after it); its answer goes on."""


def process(pipeline: Pipeline, frame: Frame, job: Job, each: Each = lambda _, frame: frame) -> Frame:
    """The frame after the last processor; ``job`` keeps what was fitted and profiled on the way."""
    job.tape = Recorder(frame.schema)
    for index in range(len(pipeline.processors)):
        frame = applied(pipeline, index, frame, job, each=each)
    return frame


def applied(
    pipeline: Pipeline,
    index: int,
    frame: Frame,
    job: Job,
    *,
    processor: Processor | None = None,
    replay: bool = False,
    each: Each = lambda _, frame: frame,
) -> Frame:
    """The frame after the processor at ``index``, or after ``processor`` in its place; ``replay`` as in Context."""
    processor = processor or pipeline.processors[index]
    ctx = job.context(f"processors[{index}]", share=(index, len(pipeline.processors)))
    job.enter("processing", ctx.step)
    ctx.upstreams, ctx.source_rows, ctx.replay = (
        job.stored(ctx.step),
        job.source_rows or job.rows_collected,
        replay,
    )
    ctx.source = pipeline.label(pipeline.data[0]) if len(pipeline.data) == 1 else None
    ctx.sources = () if replay else _sources(pipeline, index, job)
    ctx.now = lambda: job.tape.now
    tag = str(type(processor).__struct_config__.tag)
    # a replay answers steps as they were answered before; only those that look at its own rows are asked anew
    recorder = job.tape.recorder(ctx.step) if processor.read_only or not replay else StepRecorder()
    given, splits, staged = RecordedFrame(frame, recorder), len(ctx.splits), _staged(frame)
    with job.timed(ctx.step):
        made = processor.apply(given, ctx)
        if ctx.fitted:
            job.fitted[ctx.step] = {"type": tag, "parameters": ctx.fitted}
        recorder.unchanged = made is given and len(ctx.splits) == splits
        came, went = given.frame, bare(made)
        frame = each(index, went)
    job.steps[-1] = msgspec.structs.replace(
        job.steps[-1], staged=max(_staged(frame) - staged, 0), rows_in=_either(ctx.rows_in, _counted(came)),
        rows_out=_either(ctx.rows_out, _counted(went)),
    )  # fmt: skip
    ctx.progress(1.0)
    job.log.info("processor.finished", step=ctx.step, type=tag)
    return frame


def _sources(pipeline: Pipeline, index: int, job: Job) -> tuple[tuple[str, int], ...]:
    """The collectors whose rows come to a processor one after another, as the union put them."""
    labels = [pipeline.label(i) for i in pipeline.data]
    joined = len(labels) > 1 and isinstance(pipeline.combine, Join)
    if joined or not all(p.read_only or p.idempotent for p in pipeline.processors[:index]):
        return ()
    return tuple((label, job.brought[label]) for label in labels if label in job.brought)


def tallied(steps: Sequence[Step], came: int | None, stored: int) -> list[Step]:
    """``steps`` with the counts that follow from others: what goes out of one goes into the next.

    ``came`` is how many rows went into the first processor (None: nobody counted), ``stored`` how many came out of
    the last. Nothing is counted for it.
    """
    places = [i for i, step in enumerate(steps) if step.step.startswith("processors")]
    joints = [came, *(None for _ in places)]
    joints[-1] = stored
    for at, place in enumerate(places):
        joints[at] = _either(joints[at], steps[place].rows_in)
        joints[at + 1] = _either(joints[at + 1], steps[place].rows_out)
    told = list(steps)
    for at, place in enumerate(places):
        told[place] = msgspec.structs.replace(steps[place], rows_in=joints[at], rows_out=joints[at + 1])
    return [msgspec.structs.replace(s, rows_in=stored) if s.step.startswith("storage") else s for s in told]


def _either(known: int | None, else_: int | None) -> int | None:
    return known if known is not None else else_


def _counted(frame: Frame) -> int | None:
    return frame.known_rows if isinstance(frame, PolarsFrame) else None


def _staged(frame: Frame) -> int:
    return frame.staged if isinstance(frame, PolarsFrame) else 0
