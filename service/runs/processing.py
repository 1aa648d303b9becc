"""Processing: the processors of a pipeline, one after the other, over a lazy frame."""

from __future__ import annotations

from service.model.pipeline import Pipeline
from service.runs.stage import Stage
from service.steps.frame import Frame
from service.steps.processor import Processor


def process(pipeline: Pipeline, frame: Frame, stage: Stage) -> Frame:
    """The frame after the last processor; ``stage`` keeps what was fitted and profiled on the way."""
    for index in range(len(pipeline.processors)):
        frame = applied(pipeline, index, frame, stage)
    return frame


def applied(
    pipeline: Pipeline,
    index: int,
    frame: Frame,
    stage: Stage,
    *,
    processor: Processor | None = None,
    replay: bool = False,
) -> Frame:
    """The frame after the processor at ``index``, or after ``processor`` in its place; ``replay`` as in Context."""
    processor = processor or pipeline.processors[index]
    ctx = stage.context(f"processors[{index}]", share=(index, len(pipeline.processors)))
    stage.enter("processing", ctx.step)
    ctx.upstreams, ctx.source_rows, ctx.replay = stage.stored(ctx.step), stage.rows_collected, replay
    ctx.source = pipeline.label(0) if len(pipeline.collectors) == 1 else None
    tag = str(type(processor).__struct_config__.tag)
    with stage.timed(ctx.step):
        frame = processor.apply(frame, ctx)
    ctx.progress(1.0)
    if ctx.fitted:
        stage.fitted[ctx.step] = {"type": tag, "parameters": ctx.fitted}
    stage.log.info("processor.finished", step=ctx.step, type=tag)
    return frame
