"""Loss sample: what the first rows of local sources lose on their way through the processors, for a plan."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from service.engine.fit_record import Recorder
from service.engine.polars_frame import PolarsFrame
from service.jobs import child_log, combine, lost_values, process
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.process import Processed
from service.kit import errors
from service.model.pipeline import Pipeline
from service.steps.frame import Frame
from service.steps.metric import Metric
from service.steps.report import StepWarning

ROWS = 1_000
"""Rows of each source."""


def warnings(pipeline: Pipeline, sources: Sequence[Frame], grants: Grants) -> list[StepWarning]:
    """The warnings of lost values in the first rows of ``sources``; none where a step cannot process them alone."""
    last = max((i for i, p in enumerate(pipeline.processors) if not p.read_only), default=-1)
    frames = [s for s in sources if isinstance(s, PolarsFrame)]
    if len(frames) < len(sources) or (last < 0 and not any(frame.counts_losses for frame in frames)):
        return []
    job = Job(grants, child_log.logger(lambda _: None), wanted_rows=ROWS)
    heads = [frame.rows(lambda lf: lf.head(ROWS)) for frame in frames]
    # a few rows prove nothing: what is certain to fail, the dry run finds
    with contextlib.suppress(errors.StepError), job.translated("plan"):
        processed = Processed(combine.combined(pipeline, heads))
        recorder = Recorder(processed.frame.schema)
        for index in range(last + 1):
            if not pipeline.processors[index].read_only:
                processed = process.apply(pipeline, index, processed, job, recorder)
        processed.frame.measure([Metric("", "rows")])
        lost_values.warn(processed.frame, job)
    for frame in heads:  # more than a collector may lose
        lost_values.warn(frame, job)
    return [warning for warning in job.journal.warnings if warning.code == lost_values.CODE]
