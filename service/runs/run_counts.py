"""Counts runs that have ended, with what they stored."""

from __future__ import annotations

from service.model.lifecycle import STORED
from service.model.run import Run
from service.telemetry.metrics import Metrics


def count(metrics: Metrics, run: Run) -> None:
    """Count an ended run. One whose rows equal those of the version before it has stored none."""
    metrics.run_seconds.observe(run.duration or 0.0, run.status)
    if run.status in STORED and not run.unchanged:
        metrics.rows_stored.add(run.rows_stored or 0)
        metrics.bytes_stored.add(sum(form.bytes for form in run.storage))
