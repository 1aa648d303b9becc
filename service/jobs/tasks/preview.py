"""Preview: the errand that carries a pipeline out on a sample. Nothing is stored; its folder goes with the child."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec

from service.engine.polars_frame import PolarsFrame
from service.jobs import collect, dry_run, plugins, process, store
from service.jobs.collect import Collected
from service.jobs.job import Job
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.run import Step
from service.processors.analyzer import Analyzer
from service.query.child import inline
from service.steps.collector import Declared
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.metric import Metric

_ROWS = Metric("", "rows")


class Preview(msgspec.Struct, frozen=True, kw_only=True, tag="preview"):
    """Collect at most ``rows`` rows from each source and process them; the answer is a ``Sample`` as JSON."""

    document: dict[str, Any]
    rows: int

    def answer(self, job: Job) -> bytes:
        job.wanted_rows = self.rows
        pipeline = pipelines.decode(self.document, plugins.registry())
        frame, collected = asyncio.run(collect.collect(pipeline, job))
        plan = _plan(pipeline, collected, job)
        counts = [_counted(frame)]

        def each(_: int, frame: Frame) -> Frame:
            counts.append(_counted(frame))
            return frame

        processed = process.process(pipeline, frame, job, each)
        job.step = "storage"
        store.reject_case_duplicates(processed.schema.names())
        if not isinstance(processed, PolarsFrame):
            raise errors.Permanent("the rows are not there to be shown", step=job.step)
        with job.translated(job.step):
            rows = processed.lazy.head(self.rows).collect()
            profile = _profile(PolarsFrame(rows.lazy(), job.folder, expensive=False), job)
            after = {
                "total_rows": counts[-1],
                "rows_collected": sum(c.source.rows for c in collected),
                "rows_rejected": sum(r.rows for r in job.rejected),
                "sources": [c.source for c in collected],
                "steps": _steps(job.steps, counts, [c.source.rows for c in collected]),
                "profile": profile,
                "warnings": job.warnings,
                "plan": plan,
            }
            return job.masked(inline.document(rows, msgspec.to_builtins(after)))


def _counted(frame: Frame) -> int:
    """How many rows there are. What is dear to read is read here, once, and kept."""
    return int(frame.measure([_ROWS])[_ROWS])


def _steps(steps: list[Step], counts: list[int], sources: list[int]) -> list[Step]:
    """The steps with the rows that went in and came out."""
    told = iter(itertools.pairwise(counts))
    found = []
    for step in steps:
        if step.step.startswith("processors"):
            before, after = next(told)
            step = msgspec.structs.replace(step, rows_in=before, rows_out=after)
        elif step.step == "combine":
            step = msgspec.structs.replace(step, rows_in=sum(sources), rows_out=counts[0])
        found.append(step)
    return found


def _plan(pipeline: Pipeline, collected: list[Collected], job: Job) -> str:
    """The optimised plan from the sources to the end, one text for each time that rows are read."""
    play = dry_run.rehearse(
        pipeline,
        [Declared(c.frame.schema) for c in collected],
        job.grants,
        scans=[c.scan for c in collected],
    )
    return job.without_paths(play.text())


def _profile(frame: Frame, job: Job) -> dict[str, Any]:
    ctx = Context("profile", job.folder, log=job.log)
    Analyzer().apply(frame, ctx)
    return ctx.profiles[0]
