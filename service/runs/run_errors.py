"""Errors of runs that no step raises."""

from __future__ import annotations

from service.kit import errors
from service.model.run import Run


def interrupted(run: Run) -> errors.Body:
    """The error of a run that was going when the service died or was stopped."""
    message = "the service stopped while the run was going; execute it again"
    return errors.Transient(message, code="RUN_INTERRUPTED", step=run.step or None).as_body()


def running(name: str, run: Run) -> errors.Conflict:
    """The error of a request that a running run forbids."""
    return errors.Conflict(
        f"'{name}' is running ({run.run_id}); wait for the run or cancel it", code="PIPELINE_RUNNING", run_id=run.run_id
    )
