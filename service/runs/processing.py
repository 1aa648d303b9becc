"""Processing: the processors of a pipeline, one after the other, over a lazy frame."""

from __future__ import annotations

from collections.abc import Callable

from service.model.pipeline import Pipeline
from service.runs.stage import Stage
from service.steps.frame import Frame

Each = Callable[[int, Frame], Frame]
"""Told of every processor (its place, the frame after it); its answer goes on."""


def process(pipeline: Pipeline, frame: Frame, stage: Stage, each: Each = lambda _, frame: frame) -> Frame:
    """The frame after the last processor; ``stage`` keeps what was fitted and profiled on the way."""
    for index, processor in enumerate(pipeline.processors):
        ctx = stage.context(f"processors[{index}]", share=(index, len(pipeline.processors)))
        stage.enter("processing", ctx.step)
        tag = str(type(processor).__struct_config__.tag)
        with stage.timed(ctx.step):
            frame = processor.apply(frame, ctx)
            if ctx.fitted:
                stage.fitted[ctx.step] = {"type": tag, "parameters": ctx.fitted}
            frame = each(index, frame)
        ctx.progress(1.0)
        stage.log.info("processor.finished", step=ctx.step, type=tag)
    return frame
