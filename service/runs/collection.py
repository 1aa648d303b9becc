"""Collection: all collectors of a pipeline, side by side, and their frames made one.

Before a source is asked that is not here (an API, a site), the processors are rehearsed where the columns of all
sources can be known without it: those of files that are here are looked at first then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from service.model.pipeline import Pipeline
from service.model.run import Step
from service.model.version import Column, Source
from service.runs import combining, rehearsal
from service.runs.stage import Stage
from service.steps import dtypes
from service.steps.collector import Declared
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.polars_frame import PolarsFrame
from service.steps.registry import tag_of


@dataclass(frozen=True)
class Collected:
    """What one collector brought. ``scan`` is the plan that reads it, before anything was read."""

    frame: Frame
    source: Source
    scan: pl.LazyFrame | None


async def collect(pipeline: Pipeline, stage: Stage) -> tuple[Frame, list[Collected]]:
    """The pipeline's data as it comes in, and what each source brought.

    Raises ``errors.StepError`` of a collector, or of a processor that is certain to fail.
    """
    stage.enter("collecting", "collectors[0]")
    places = range(len(pipeline.collectors))
    told = {i: c.declared() for i, c in enumerate(pipeline.collectors) if not c.local}
    found: dict[int, Collected] = {}
    rehearsed: list[Declared] = []
    known = {i: d for i, d in told.items() if d is not None and d.closed}
    if pipeline.processors and told and len(known) == len(told):
        found = await _each(pipeline, (i for i in places if i not in told), stage)
        rehearsed = [known[i] if i in known else Declared(found[i].frame.schema) for i in places]
        await asyncio.to_thread(rehearsal.check, pipeline, rehearsed, stage.allowance)
    found |= await _each(pipeline, (i for i in places if i not in found), stage)
    every = [found[i] for i in places]
    exact = [Declared(c.frame.schema) for c in every]
    if pipeline.processors and rehearsed != exact:
        await asyncio.to_thread(rehearsal.check, pipeline, exact, stage.allowance)
    if len(every) == 1:
        return every[0].frame, every
    with stage.timed("combine"):
        return combining.combined(pipeline, [c.frame for c in every]), every


async def _each(pipeline: Pipeline, places: Iterable[int], stage: Stage) -> dict[int, Collected]:
    wanted = list(places)
    return dict(zip(wanted, await asyncio.gather(*(one(pipeline, i, stage) for i in wanted)), strict=True))


async def one(pipeline: Pipeline, index: int, stage: Stage) -> Collected:
    """What the collector at that place brings; at most ``stage.wanted_rows`` rows of it."""
    collector = pipeline.collectors[index]
    tag = tag_of(type(collector))
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
        if stage.wanted_rows is not None:
            most = stage.wanted_rows
            frame = frame.rows(lambda lf: lf.head(most))
        scan = frame.lazy if isinstance(frame, PolarsFrame) else None
        columns = [Column(name, dtypes.name_of(dtype)) for name, dtype in frame.schema.items()]
        if stage.wanted_rows is not None:
            counted = Metric("", "rows")
            rows = (await asyncio.to_thread(frame.measure, [counted]))[counted]
    stage.steps.append(Step(step=ctx.step, duration=time.perf_counter() - began, rows_out=rows))
    stage.log.info("collector.finished", step=ctx.step, type=tag, rows=rows)
    source = Source(id=pipeline.label(index), type=tag, rows=rows, evidence=ctx.evidence, columns=columns)
    return Collected(frame, source, scan)
