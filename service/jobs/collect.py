"""Collect: all collectors of a pipeline, side by side, and their frames combined into one.

If a source is not local (an API, a site) and the columns of all sources are known without it, a dry run of the
processors comes first. It needs the columns of local files, so these are read before.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from service.engine.executed import Executed
from service.engine.polars_frame import PolarsFrame
from service.engine.row_count import RowCount
from service.jobs import combine, dry_run
from service.jobs.job import Job
from service.kit import errors
from service.model.pipeline import Join, Pipeline
from service.model.registry import tag_of
from service.model.run import Step
from service.model.version import Column, Source
from service.steps.collector import Declared
from service.steps.context import State
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.report import CollectReport, Rejected
from service.values import dtypes


@dataclass(frozen=True)
class Collected:
    """What one collector delivered. ``scan`` is the plan that reads it, before anything was read."""

    frame: Frame
    source: Source
    scan: pl.LazyFrame | None
    report: CollectReport
    state: State | None = None


@dataclass(frozen=True)
class Collection:
    """The combined frame of a pipeline's collectors and what each of them delivered.

    ``rows`` counts the rows of those whose rows are data, by their labels; ``joined`` those of a join.
    """

    frame: Frame
    collected: tuple[Collected, ...]
    rows: Mapping[str, int]
    joined: RowCount | None = None

    def processed_rows(self) -> int:
        """How many rows the frame has; of a join that is known when they were computed."""
        return sum(self.rows.values()) if self.joined is None else self.joined.rows

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What the collectors rejected."""
        return tuple(rejected for one in self.collected for rejected in one.report.rejected)


async def collect(pipeline: Pipeline, job: Job) -> Collection:
    """Run all collectors.

    Raises ``errors.StepError`` of a collector, or of a processor that is certain to fail.
    """
    places = range(len(pipeline.collectors))
    remote = {i: pipeline.declared(i) for i in places if not pipeline.collectors[i].local}
    collected: dict[int, Collected] = {}
    checked: list[Declared] = []
    known = {i: d for i, d in remote.items() if d is not None and d.closed}
    if pipeline.processors and remote and len(known) == len(remote):
        collected = await _collect_side_by_side(pipeline, (i for i in places if i not in remote), job, {})
        checked = [known[i] if i in known else Declared(collected[i].frame.schema) for i in places]
        await asyncio.to_thread(dry_run.check, pipeline, checked, job.grants)
    collected |= await _collect_side_by_side(pipeline, (i for i in places if i not in collected), job, collected)
    every = tuple(collected[i] for i in places)
    frames = combine.with_known_types([c.frame for c in every], [c.report.blank_columns for c in every])
    exact = [Declared(f.schema) for f in frames]
    if pipeline.processors and checked != exact:
        try:
            await asyncio.to_thread(dry_run.check, pipeline, exact, job.grants)
        except errors.StepError as error:
            if any(len(frames[i].schema) for i in pipeline.data):
                raise
            raise combine.without_columns("process") from error
    rows = {pipeline.label(i): every[i].source.rows for i in pipeline.data}
    if len(pipeline.data) == 1:
        return Collection(every[pipeline.data[0]].frame, every, rows)
    ctx, began = job.context("combine"), time.perf_counter()
    job.step = ctx.step
    with job.running(ctx):
        frame = combine.combined(pipeline, frames, ctx.warn)
        joined = RowCount() if isinstance(pipeline.combine, Join) and pipeline.processors else None
        if joined is not None and isinstance(frame, PolarsFrame):
            frame = frame.rows(joined.counted)
        elif joined is not None:  # another process computes the rows
            joined.rows = frame.measure([Metric("", "rows")])[Metric("", "rows")]
    job.end(Step(step=ctx.step, duration=time.perf_counter() - began))
    return Collection(frame, every, rows, joined)


async def _collect_side_by_side(
    pipeline: Pipeline, places: Iterable[int], job: Job, collected: Mapping[int, Collected]
) -> dict[int, Collected]:
    """Run the collectors at these places concurrently, each after its parent."""
    tasks: dict[int, asyncio.Task[Collected]] = {}

    async def after_its_parent(index: int) -> Collected:
        above = pipeline.parent(index)
        if above is None:
            return await one(pipeline, index, job)
        return await one(pipeline, index, job, collected[above] if above in collected else await tasks[above])

    for index in places:
        tasks[index] = asyncio.create_task(after_its_parent(index))
    return dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))


def _with_column_names(frame: Frame) -> Frame:
    """A column without a name gets one by its place, as in a CSV header: no setting and no SQL could name it."""
    names = frame.schema.names()
    if "" not in names:
        return frame
    name = f"column_{names.index('') + 1}"
    while name in names:
        name += "_"
    return frame.rows(lambda lf: lf.rename({"": name}))


async def one(pipeline: Pipeline, index: int, job: Job, parent: Collected | None = None) -> Collected:
    """Run the collector at this place; at most ``job.wanted_rows`` rows of it."""
    collector, label = pipeline.collectors[index], pipeline.label(index)
    tag = tag_of(type(collector))
    ctx = job.collect_context(f"collectors[{index}]")
    folder = ctx.folder / f".collect-{index}"  # two collectors may choose the same file names
    folder.mkdir()
    ctx = dataclasses.replace(
        ctx, folder=folder, base=pipeline.base(index), state=job.state(label), source=label, beside=job.folder,
        parents=None if parent is None else _parents(pipeline, index, parent),
    )  # fmt: skip
    job.enter("collecting", ctx.step)
    began = time.perf_counter()

    def ended(rows: int, report: CollectReport) -> Step:
        took = time.perf_counter() - began
        return Step(step=ctx.step, duration=took, rows_out=rows, evidence=report.evidence or None)

    with job.running(ctx):
        try:
            frame = _with_column_names(await collector.collect(ctx))
        except errors.PenstockError:
            report = ctx.report()
            job.end(ended(report.rows, report))
            raise
        if job.wanted_rows is not None:
            most = job.wanted_rows
            frame = frame.rows(lambda lf: lf.head(most))
        scan = frame.lazy if isinstance(frame, Executed) else None
        columns = [Column(name, dtypes.name_of(dtype)) for name, dtype in frame.schema.items()]
        report = ctx.report()
        rows = report.rows
        if job.wanted_rows is not None:
            count = Metric("", "rows")
            rows = (await asyncio.to_thread(frame.measure, [count]))[count]
    job.end(ended(rows, report))
    job.log.info("collector.finished", step=ctx.step, type=tag, rows=rows)
    source = Source(id=label, type=tag, rows=rows, evidence=report.evidence, columns=columns)
    return Collected(frame, source, scan, report, ctx.state)


def _parents(pipeline: Pipeline, index: int, parent: Collected) -> pl.LazyFrame | None:
    """The parent's rows, from which the collector at this place makes its requests. Raises ``errors.Permanent``."""
    wanted, names = pipeline.collectors[index].parent(), parent.frame.schema.names()
    if wanted is not None and not names:  # a source without records does not tell its columns
        return pl.LazyFrame(schema=dict.fromkeys(wanted.columns, pl.String()))
    for column, field in (wanted.columns if wanted is not None else {}).items():
        if column not in names:
            raise errors.Permanent(
                f"'{parent.source.id}' has no column '{column}'{errors.did_you_mean(column, names)}",
                step=f"collectors[{index}]", field=field,
            )  # fmt: skip
    return parent.frame.lazy if isinstance(parent.frame, Executed) else None
