"""Collection: all collectors of a pipeline, side by side, and their frames made one."""

from __future__ import annotations

import asyncio
import time

from service.kit import errors
from service.model.pipeline import Join, Pipeline
from service.model.run import Step
from service.model.version import Source
from service.runs.stage import Stage
from service.steps.frame import Frame


async def collect(pipeline: Pipeline, stage: Stage) -> tuple[Frame, list[Source]]:
    """The pipeline's data as it comes in, and what each source brought."""
    stage.enter("collecting", "collectors[0]")
    found = await asyncio.gather(*(_one(pipeline, index, stage) for index in range(len(pipeline.collectors))))
    frames, sources = [f for f, _ in found], [s for _, s in found]
    if len(frames) == 1:
        return frames[0], sources
    with stage.timed("combine"):
        return _combined(pipeline, frames), sources


async def _one(pipeline: Pipeline, index: int, stage: Stage) -> tuple[Frame, Source]:
    collector = pipeline.collectors[index]
    tag = str(type(collector).__struct_config__.tag)
    ctx = stage.context(f"collectors[{index}]", share=(index, len(pipeline.collectors)))
    ctx.folder = ctx.folder / f".collect-{index}"  # two collectors may choose the same file names
    ctx.folder.mkdir()
    rows = 0

    def count(more: int) -> None:
        nonlocal rows
        rows += more
        stage.collected(more)

    ctx.on_rows = count
    ctx.stored = next(iter(stage.stored(ctx.step).values()), None)
    ctx.source = pipeline.label(index)
    ctx.beside = stage.folder
    began = time.perf_counter()
    with stage.translated(ctx.step):
        frame = await collector.collect(ctx)
    stage.steps.append(Step(step=ctx.step, duration=time.perf_counter() - began, rows_out=rows))
    stage.log.info("collector.finished", step=ctx.step, type=tag, rows=rows)
    return frame, Source(id=pipeline.label(index), type=tag, rows=rows, evidence=ctx.evidence)


def _combined(pipeline: Pipeline, frames: list[Frame]) -> Frame:
    combine, first = pipeline.combine, frames[0]
    if not isinstance(combine, Join):
        return first.union(frames[1:])
    for index, frame in enumerate(frames):
        for column in combine.on:
            if column not in frame.schema.names():
                hint = errors.did_you_mean(column, frame.schema.names())
                raise errors.Permanent(
                    f"the source {pipeline.label(index)} has no column '{column}' to join on{hint}",
                    step="combine", field="combine.on",
                )  # fmt: skip
    for frame in frames[1:]:
        first = first.join(frame, combine.on, how=combine.type)
    return first
