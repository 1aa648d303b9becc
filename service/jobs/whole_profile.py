"""Profiles of a version that continues an earlier one: the last analyzers of the pipeline see all its rows.

A profile is exact, and quantiles or distinct values of two sets of rows do not add up, so that they are measured over
the stored parts once these are known. An analyzer before other processors sees the rows of the run, as they do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from service.engine.fit_record import FitRecord, Recorder
from service.engine.polars_frame import PolarsFrame
from service.jobs import process
from service.jobs.job import Job
from service.jobs.process import Processed
from service.model.pipeline import Pipeline
from service.processors.analyzer import Analyzer
from service.values.profile import Profile


def postponed(pipeline: Pipeline, *, continues: bool) -> frozenset[int]:
    """The places of the analyzers that see the stored rows, as the run's rows are not all of them."""
    if not continues and pipeline.mode.mode != "merge":
        return frozenset()
    last = len(pipeline.processors)
    while last and pipeline.processors[last - 1].read_only:
        last -= 1
    return frozenset(i for i, p in enumerate(pipeline.processors) if i >= last and isinstance(p, Analyzer))


def profiles_of(
    pipeline: Pipeline, places: frozenset[int], parts: Sequence[Path], record: FitRecord, job: Job
) -> tuple[tuple[Profile, ...], FitRecord]:
    """The profiles of the rows in ``parts`` by the analyzers at ``places``, and the fit record with them."""
    scan = pl.scan_parquet(list(parts), glob=False, hive_partitioning=False)
    frame = PolarsFrame(scan, job.folder, expensive=False)
    recorder, processed = Recorder(frame.schema, record), Processed(frame)
    for place in sorted(places):
        processed = process.apply(pipeline, place, dataclasses.replace(processed, frame=frame), job, recorder)
    return processed.profiles, recorder.fit_record()
