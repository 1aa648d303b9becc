"""Collection: all collectors of a pipeline, side by side, and their frames made one.

Before a source is asked that is not here (an API, a site), the processors are rehearsed where the columns of all
sources can be known without it: those of files that are here are looked at first then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from service.engine.polars_frame import PolarsFrame
from service.jobs import combine, dry_run
from service.jobs.job import Job
from service.kit import errors
from service.model.pipeline import Pipeline
from service.model.run import Step
from service.model.version import Column, Source
from service.steps.collector import Declared
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.registry import tag_of
from service.values import dtypes


@dataclass(frozen=True)
class Collected:
    """What one collector brought. ``scan`` is the plan that reads it, before anything was read; columns that are
    ``blank`` have no value, so that nobody knows their type."""

    frame: Frame
    source: Source
    scan: pl.LazyFrame | None
    blank: frozenset[str] = frozenset()


async def collect(pipeline: Pipeline, job: Job) -> tuple[Frame, list[Collected]]:
    """The pipeline's data as it comes in, and what each source brought.

    Raises ``errors.StepError`` of a collector, or of a processor that is certain to fail.
    """
    job.enter("collecting", "collectors[0]")
    places = range(len(pipeline.collectors))
    told = {i: pipeline.declared(i) for i in places if not pipeline.collectors[i].local}
    found: dict[int, Collected] = {}
    rehearsed: list[Declared] = []
    known = {i: d for i, d in told.items() if d is not None and d.closed}
    if pipeline.processors and told and len(known) == len(told):
        found = await _each(pipeline, (i for i in places if i not in told), job, {})
        rehearsed = [known[i] if i in known else Declared(found[i].frame.schema) for i in places]
        await asyncio.to_thread(dry_run.check, pipeline, rehearsed, job.grants)
    found |= await _each(pipeline, (i for i in places if i not in found), job, found)
    every = [found[i] for i in places]
    frames = combine.settled([c.frame for c in every], [c.blank for c in every])
    exact = [Declared(f.schema) for f in frames]
    if pipeline.processors and rehearsed != exact:
        try:
            await asyncio.to_thread(dry_run.check, pipeline, exact, job.grants)
        except errors.StepError as error:
            if any(len(frames[i].schema) for i in pipeline.data):
                raise
            raise combine.without_columns("process") from error
    if len(pipeline.data) == 1:
        return every[pipeline.data[0]].frame, every
    with job.timed("combine"):
        return combine.combined(pipeline, frames, job.context("combine").warn), every


async def _each(
    pipeline: Pipeline, places: Iterable[int], job: Job, found: Mapping[int, Collected]
) -> dict[int, Collected]:
    """What the collectors at those places bring, side by side, each after its parent."""
    going: dict[int, asyncio.Task[Collected]] = {}

    async def after_its_parent(index: int) -> Collected:
        above = pipeline.parent(index)
        if above is None:
            return await one(pipeline, index, job)
        return await one(pipeline, index, job, found[above] if above in found else await going[above])

    for index in places:
        going[index] = asyncio.create_task(after_its_parent(index))
    return dict(zip(going, await asyncio.gather(*going.values()), strict=True))


def _named(frame: Frame) -> Frame:
    """A column without a name gets one by its place, as in a CSV header: no setting and no SQL could name it."""
    names = frame.schema.names()
    if "" not in names:
        return frame
    name = f"column_{names.index('') + 1}"
    while name in names:
        name += "_"
    return frame.rows(lambda lf: lf.rename({"": name}))


async def one(pipeline: Pipeline, index: int, job: Job, parent: Collected | None = None) -> Collected:
    """What the collector at that place brings; at most ``job.wanted_rows`` rows of it."""
    collector = pipeline.collectors[index]
    tag = tag_of(type(collector))
    ctx = job.context(f"collectors[{index}]", share=(index, len(pipeline.collectors)))
    ctx.folder = ctx.folder / f".collect-{index}"  # two collectors may choose the same file names
    ctx.folder.mkdir()
    rows = 0

    def count(more: int) -> None:
        nonlocal rows
        rows += more
        job.collected(more)

    def brought(all_rows: int) -> None:
        nonlocal rows
        rows = all_rows

    ctx.on_rows, ctx.on_brought = count, brought
    ctx.base, ctx.state = pipeline.base(index), job.state(pipeline.label(index))
    if parent is not None:
        ctx.parents = _parents(pipeline, index, parent)
    ctx.stored = next(iter(job.stored(ctx.step).values()), None)
    ctx.source = pipeline.label(index)
    ctx.beside = job.folder
    began = time.perf_counter()

    def tell() -> None:
        took = time.perf_counter() - began
        job.steps.append(Step(step=ctx.step, duration=took, rows_out=rows, evidence=ctx.evidence or None))

    with job.translated(ctx.step):
        try:
            frame = _named(await collector.collect(ctx))
        except errors.PenstockError:
            tell()
            raise
        if job.wanted_rows is not None:
            most = job.wanted_rows
            frame = frame.rows(lambda lf: lf.head(most))
        scan = frame.lazy if isinstance(frame, PolarsFrame) else None
        columns = [Column(name, dtypes.name_of(dtype)) for name, dtype in frame.schema.items()]
        if job.wanted_rows is not None:
            counted = Metric("", "rows")
            rows = (await asyncio.to_thread(frame.measure, [counted]))[counted]
    if index in pipeline.data:
        job.source_rows += rows
        job.brought[pipeline.label(index)] = rows
    tell()
    job.log.info("collector.finished", step=ctx.step, type=tag, rows=rows)
    source = Source(id=pipeline.label(index), type=tag, rows=rows, evidence=ctx.evidence, columns=columns)
    return Collected(frame, source, scan, frozenset(ctx.blank))


def _parents(pipeline: Pipeline, index: int, parent: Collected) -> pl.LazyFrame | None:
    """The rows that the collector at that place makes its requests of. Raises ``errors.Permanent``."""
    wanted, names = pipeline.collectors[index].parent(), parent.frame.schema.names()
    if wanted is not None and not names:  # a source without any record says nothing of its columns
        return pl.LazyFrame(schema=dict.fromkeys(wanted.columns, pl.String()))
    for column, field in (wanted.columns if wanted is not None else {}).items():
        if column not in names:
            raise errors.Permanent(
                f"'{parent.source.id}' has no column '{column}'{errors.did_you_mean(column, names)}",
                step=f"collectors[{index}]", field=field,
            )  # fmt: skip
    return parent.frame.lazy if isinstance(parent.frame, PolarsFrame) else None
