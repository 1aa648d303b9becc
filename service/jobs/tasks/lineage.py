"""The task that traces the columns of a pipeline's result to the columns of its sources."""

from __future__ import annotations

import msgspec
import polars as pl

from service.engine.lineage_frame import LineageFrame, Source
from service.jobs import child_log, combine, plugins, process
from service.jobs.job import Job
from service.jobs.process import Processed
from service.jobs.tasks.task import Tracing
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.lineage import ColumnOrigins, OriginColumns, TracedColumns
from service.model.pipeline import Pipeline
from service.model.version import Column
from service.steps.frame import Frame
from service.values import dtypes


def trace(task: Tracing, job: Job) -> bytes:
    """``TracedColumns`` as JSON."""
    pipeline = pipelines.decode(task.document, plugins.registry())
    dry = Job(job.grants, child_log.logger(lambda _: None), dry=True)
    try:
        columns = _columns(pipeline, [Source(_schema(columns)) for columns in task.sources], dry)
    except (errors.PenstockError, ValueError) as error:
        return _unknown(error.message if isinstance(error, errors.PenstockError) else str(error))
    dynamic = sorted(dry.journal.dynamic_columns)
    why = f"the columns of {', '.join(dynamic)} are known only when rows were seen" if dynamic else None
    return msgspec.json.encode(TracedColumns(columns=columns, why=why))


def _columns(pipeline: Pipeline, sources: list[Source], dry: Job) -> list[ColumnOrigins]:
    frames: list[Frame] = [LineageFrame.over(source, dry.folder) for source in sources]
    with dry.translated("combine"):
        combined = combine.combined(pipeline, frames)
    frame = process.process(pipeline, Processed(combined), dry)[0].frame
    if not isinstance(frame, LineageFrame):
        raise errors.Permanent("a step returns rows that cannot be traced", step=dry.step)
    with dry.translated(dry.step):
        found = frame.origins(sources)
    return [
        ColumnOrigins(name=name, type=dtypes.name_of(dtype), origins=_by_collector(found[name]))
        for name, dtype in frame.schema.items()
    ]


def _by_collector(found: list[list[str]]) -> list[OriginColumns]:
    return [
        OriginColumns(collector=f"collectors[{place}]", columns=names) for place, names in enumerate(found) if names
    ]


def _schema(columns: list[Column]) -> pl.Schema:
    if not columns:
        raise ValueError("the columns of a source are not known; execute the pipeline")
    return pl.Schema({column.name: dtypes.parse(column.type) for column in columns})


def _unknown(why: str) -> bytes:
    return msgspec.json.encode(TracedColumns(columns=None, why=why))
