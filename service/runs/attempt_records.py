"""The records of a run's attempts: the run when an attempt begins, waits to be tried again, or has ended.

Only transient errors are tried again, and lost workers, which the parent reports as transient. The wait grows
exponentially with jitter (``network.retry``); a longer one that the source named is honoured.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from service.kit import errors
from service.model.pipeline import Execution
from service.model.run import AttemptRecord, Run
from service.network.retry import Retry

_LONGEST_SECONDS = 3600.0  # of a wait that the source did not name
_NOT_RETRIED = frozenset({"STORAGE_FULL"})  # nothing frees the disk within the wait


def begun(run: Run, now: datetime) -> Run:
    """The run whose next attempt begins."""
    number = len(run.attempts) + 1
    return msgspec.structs.replace(
        run, status="running", phase="collecting", step=None, progress=0.0, attempt=number,
        attempts=[*run.attempts, AttemptRecord(number=number, start_time=now)], retry_at=None,
        start_time=run.start_time or now, estimated_end=None, rows_collected=0, steps=[], warnings=[],
        waiting_for=None,
    )  # fmt: skip


def closed(run: Run, now: datetime, error: errors.Body | None = None) -> list[AttemptRecord]:
    """The attempts of a run whose present one ends."""
    if not run.attempts or run.attempts[-1].end_time is not None:
        return run.attempts
    return [*run.attempts[:-1], msgspec.structs.replace(run.attempts[-1], end_time=now, error=error)]


def waiting(run: Run, now: datetime, error: errors.Body, delay: float) -> Run:
    """The run whose attempt failed and whose next one begins after ``delay`` seconds."""
    return msgspec.structs.replace(
        run, status="retrying", phase=None, step=None, attempts=closed(run, now, error),
        retry_at=now + timedelta(seconds=delay),
    )  # fmt: skip


def cancelled(run: Run, now: datetime) -> Run:
    """The run as it ends by a wish, whoever works on it."""
    duration = (now - run.start_time).total_seconds() if run.start_time is not None else 0.0
    return msgspec.structs.replace(
        run, status="cancelled", end_time=now, duration=max(0.0, duration), phase=None, retry_at=None,
        waiting_for=None,
        attempts=closed(run, now),
    )  # fmt: skip


def with_another(run: Run) -> Run:
    """The run, which may have one attempt more than it has had."""
    return msgspec.structs.replace(run, max_attempts=max(run.max_attempts, len(run.attempts) + 1))


def has_more(run: Run) -> bool:
    """Whether another attempt may begin."""
    return max(len(run.attempts), run.attempt) < run.max_attempts


def is_transient(error: errors.PenstockError) -> bool:
    """Whether another attempt may succeed."""
    return isinstance(error, errors.Transient | errors.Busy) and error.error_code not in _NOT_RETRIED


def is_lost(error: errors.PenstockError) -> bool:
    """Whether the attempt's worker was killed, stopped or lost: the run is then interrupted, not failed."""
    return isinstance(error, errors.Transient) and error.error_code == "RUN_CRASHED"


def delay(run: Run, execution: Execution, error: errors.PenstockError) -> float:
    """Seconds to wait before the next attempt: at least those that the error names."""
    least = execution.retry_delay_seconds
    # half of what ``backoff`` answers is fixed, so that twice the setting is the longest first wait
    policy = Retry(initial_delay_seconds=2 * least, max_delay_seconds=max(2 * least, _LONGEST_SECONDS))
    named = error.delay if isinstance(error, errors.Transient) else None
    return max(named or 0.0, policy.backoff(max(1, len(run.attempts))))
