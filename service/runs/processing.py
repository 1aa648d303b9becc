"""Processing: the processors of a pipeline, one after the other, over a lazy frame."""

from __future__ import annotations

from service.model.pipeline import Pipeline
from service.runs.stage import Stage
from service.steps.frame import Frame


def process(pipeline: Pipeline, frame: Frame, stage: Stage) -> Frame:
    """The frame after the last processor; ``stage`` keeps what was fitted and profiled on the way."""
    for index, processor in enumerate(pipeline.processors):
        ctx = stage.context(f"processors[{index}]", share=(index, len(pipeline.processors)))
        stage.enter("processing", ctx.step)
        ctx.upstreams, ctx.source_rows = stage.stored(ctx.step), stage.rows_collected
        ctx.source = pipeline.label(0) if len(pipeline.collectors) == 1 else None
        tag = str(type(processor).__struct_config__.tag)
        with stage.timed(ctx.step):
            frame = processor.apply(frame, ctx)
        ctx.progress(1.0)
        if ctx.fitted:
            stage.fitted[ctx.step] = {"type": tag, "parameters": ctx.fitted}
        stage.log.info("processor.finished", step=ctx.step, type=tag)
    return frame
