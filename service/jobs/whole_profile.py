"""Profiles of stored rows: the last analyzers of a pipeline may see the version instead of the frame before it.

Of a version that continues an earlier one they see all rows: a profile is exact, and quantiles or distinct values of
two sets of rows do not add up. And where rows would go to a file only to be profiled, the stored ones serve as well,
and are written anyway. An analyzer before other processors sees the rows of the run, as they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from service.engine.fit_record import FitRecord, Recorder
from service.engine.polars_frame import PolarsFrame
from service.jobs import process
from service.jobs.job import Job
from service.jobs.process import Processed
from service.model.pipeline import Pipeline
from service.processors.analyzer import Analyzer
from service.steps.frame import Frame
from service.values.profile import Profile


def last_analyzers(pipeline: Pipeline) -> frozenset[int]:
    """The places of the analyzers after the last processor that changes rows."""
    last = len(pipeline.processors)
    while last and pipeline.processors[last - 1].read_only:
        last -= 1
    return frozenset(i for i, p in enumerate(pipeline.processors) if i >= last and isinstance(p, Analyzer))


def is_of_stored_rows(pipeline: Pipeline, frame: Frame, *, continues: bool) -> bool:
    """Whether the last analyzers see the stored rows: the run's are not all, or would need a file of their own."""
    if continues or pipeline.mode.mode == "merge":
        return True
    return isinstance(frame, PolarsFrame) and frame.needs_file


def profiled(
    pipeline: Pipeline, places: frozenset[int], before: Processed, record: FitRecord, job: Job
) -> tuple[Processed, FitRecord]:
    """The frame after the analyzers at ``places``, and the fit record with them."""
    recorder = Recorder(before.frame.schema, record)
    for place in sorted(places):
        before = process.apply(pipeline, place, before, job, recorder)
    return before, recorder.fit_record()


def profiles_of(
    pipeline: Pipeline, places: frozenset[int], parts: Sequence[Path], record: FitRecord, job: Job
) -> tuple[tuple[Profile, ...], FitRecord]:
    """The profiles of the rows in ``parts`` by the analyzers at ``places``, and the fit record with them."""
    frame = job.context("profile").scan_parquet(parts)
    processed, record = profiled(pipeline, places, Processed(frame), record, job)
    return processed.profiles, record
