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
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.jobs.tasks.apply import Applied, Applier
from service.model.pipeline import Pipeline
from service.values import from_json, tagged_json
from tests.registry import a_pipeline


@dataclass
class Made:
    """A version: its pipeline, the stored rows, the fit record as it was read back, and what the steps found."""

    pipeline: Pipeline
    stored: pl.DataFrame
    fit_record: FitRecord
    processed: Processed

    def apply(self, records: list[dict[str, Any]]) -> Applied:
        with tempfile.TemporaryDirectory() as folder:
            data = from_json.table(records, tagged_json.decode_schema(self.fit_record.schema))
            return Applier(self.pipeline, self.fit_record, job_in(folder)).apply(data)


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
