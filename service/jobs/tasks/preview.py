"""Preview: the task that runs a pipeline on a sample. Nothing is stored; its folder goes with the child."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence

import msgspec

from service.engine.polars_frame import PolarsFrame
from service.jobs import collect, combine, dry_run, lost_values, plugins, process, store
from service.jobs.collect import Collected
from service.jobs.job import Job
from service.jobs.process import Processed
from service.jobs.tasks.task import Preview
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.run import Step
from service.model.version import Source
from service.processors.analyzer import Analyzer
from service.processors.validation import originals
from service.query.child import inline
from service.steps.collector import Declared
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.report import ProcessReport
from service.values.profile import Profile

_ROWS = Metric("", "rows")
_MOST_SHOWN_BYTES = 16 << 20
"""What the rows after all steps take together, about: a person looks at some, and large ones are shown in part."""


def preview(task: Preview, job: Job) -> bytes:
    """A ``Sample`` as JSON; ``job.wanted_rows`` must be the ``rows`` of the task. Raises ``errors.StepError``."""
    pipeline = pipelines.decode(task.document, plugins.registry())
    collection = asyncio.run(collect.collect(pipeline, job))
    sources = [one.source for one in collection.collected]
    plan = _plan(pipeline, collection.collected, job)
    counts = [_count(collection.frame)]
    lost_values.warn(collection.frame, job)
    most = _MOST_SHOWN_BYTES // (len(pipeline.processors) + 1)
    shown = [_shown("collectors", collection.frame, task, counts[-1], most)]

    def observe(index: int, frame: Frame, _: ProcessReport) -> None:
        counts.append(_count(frame))
        shown.append(_shown(f"processors[{index}]", frame, task, counts[-1], most))

    start = Processed(collection.frame, collection.rows, collection.rejected)
    processed, _ = process.process(pipeline, start, job, observe)
    frame = processed.frame
    job.step = "storage"
    store.reject_names(frame.schema)
    if not isinstance(frame, PolarsFrame):
        raise errors.Permanent("the rows of this engine cannot be shown", step=job.step)
    with job.translated(job.step):
        rows = frame.lazy.head(task.rows).collect()
        profile = _profile(PolarsFrame(rows.lazy(), job.folder, expensive=False), job)
        after = {
            "total_rows": counts[-1],
            "rows_collected": sum(source.rows for source in sources),
            "rows_rejected": sum(r.rows for r in processed.rejected),
            "sources": sources,
            "steps": _with_row_counts(job.journal.steps, counts, sources),
            "profile": profile,
            "warnings": job.journal.warnings,
            "plan": plan,
        }
        after_steps = [msgspec.Raw(rows) for rows in shown if rows is not None]
        return job.masked(inline.document(rows, {**msgspec.to_builtins(after), "after_steps": after_steps}))


def _shown(step: str, frame: Frame, task: Preview, total: int, most_bytes: int) -> bytes | None:
    """A ``StepRows`` as JSON, if it is asked for and the engine can show rows."""
    if not (task.each_step and isinstance(frame, PolarsFrame)):
        return None
    if not frame.schema:
        raise combine.without_columns("show")
    rows = frame.lazy.select(originals.visible(frame.schema)).head(task.rows).collect()
    size = rows.estimated_size()
    if size > most_bytes:
        rows = rows.head(int(len(rows) * most_bytes / size))
    return inline.document(rows, {"step": step, "total_rows": total})


def _count(frame: Frame) -> int:
    """How many rows there are. Expensive sources are read here, once, and kept."""
    return int(frame.measure([_ROWS])[_ROWS])


def _with_row_counts(steps: Iterable[Step], counts: list[int], sources: list[Source]) -> list[Step]:
    """The steps with the numbers of rows that went in and came out."""
    pairs = iter(itertools.pairwise(counts))
    counted = []
    for step in steps:
        if step.step.startswith("processors"):
            before, after = next(pairs)
            step = msgspec.structs.replace(step, rows_in=before, rows_out=after)
        elif step.step == "combine":
            step = msgspec.structs.replace(step, rows_in=sum(source.rows for source in sources), rows_out=counts[0])
        counted.append(step)
    return counted


def _plan(pipeline: Pipeline, collected: Sequence[Collected], job: Job) -> str:
    """The optimised plan from the sources to the end, one text for each time that rows are read."""
    dry = dry_run.dry_run(
        pipeline,
        [Declared(c.frame.schema) for c in collected],
        job.grants,
        scans=[c.scan for c in collected],
    )
    return job.without_paths(dry.text())


def _profile(frame: Frame, job: Job) -> Profile:
    ctx = ProcessContext("profile", job.folder, log=job.log)
    Analyzer().apply(frame, ctx)
    return ctx.report().profiles[0]
