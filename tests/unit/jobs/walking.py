"""A version made in memory, and records applied to it: what ``runs`` does, without processes and files."""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from service.engine import fit_record
from service.engine.fit_record import FitRecord
from service.engine.polars_frame import PolarsFrame
from service.jobs import child_log, process
from service.jobs.compiled_steps import CompiledSteps
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.model.pipeline import Pipeline
from service.values import from_json
from tests.registry import a_pipeline


@dataclass(frozen=True)
class Applied:
    """Rows made of records: ``places`` are the indexes of their records."""

    data: pl.DataFrame
    places: pl.Series
    dropped: list[dict[str, Any]]
    skipped: list[dict[str, Any]]


@dataclass
class Made:
    """A version: its pipeline, the stored rows, the fit record as it was read back, and what the steps found."""

    pipeline: Pipeline
    stored: pl.DataFrame
    fit_record: FitRecord
    processed: Processed
    steps: CompiledSteps | None = None

    def apply(self, records: list[dict[str, Any]], *, at_once: bool = True) -> Applied:
        """The records through the steps, which are compiled once; or step by step."""
        with tempfile.TemporaryDirectory() as folder:
            if self.steps is None:
                self.steps = CompiledSteps(self.pipeline, self.fit_record, job_in(folder))
            together, self.steps._at_once = self.steps._at_once, self.steps._at_once and at_once
            done = self.steps.apply(from_json.table(records, self.steps.source))
            self.steps._at_once = together
        return Applied(done.rows.data, done.rows.places, done.dropped, self.steps.skipped)


def job_in(folder: str) -> Job:
    return Job(Grants(folder=folder, memory_bytes=0), child_log.logger(lambda _: None))


def made(source: pl.DataFrame, *processors: dict[str, Any]) -> Made:
    """Run the processors over ``source``. Raises what they raise."""
    pipeline = a_pipeline(processors=list(processors))
    with tempfile.TemporaryDirectory() as folder:
        job = job_in(folder)
        start = Processed(PolarsFrame(source.lazy(), Path(folder)))
        processed, record = process.process(pipeline, start, job)
        target = Path(folder) / "stored.parquet"
        processed.frame.write(target, compression="uncompressed", compression_level=None, row_group_size=None)
        stored = pl.read_parquet(target)
    return Made(pipeline, stored, fit_record.decode(fit_record.encode(record)), processed)


def cleaner(**config: Any) -> dict[str, Any]:
    return {"type": "cleaner", "config": config}


def transformer(**config: Any) -> dict[str, Any]:
    return {"type": "transformer", "config": config}


def records(source: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows as a client would send them in JSON."""
    return [{k: _json(v) for k, v in row.items()} for row in source.iter_rows(named=True)]


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[repr(value)]
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list):
        return [_json(v) for v in value]
    if isinstance(value, dict):
        return {k: _json(v) for k, v in value.items()}
    return str(value) if isinstance(value, Decimal) else value
