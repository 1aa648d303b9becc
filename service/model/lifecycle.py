"""The lifecycle of a run: its statuses, the one table of legal transitions, and the errors of illegal ones.

The catalog enforces the table inside the transaction that changes a run, so that it holds for every writer.
"""

from __future__ import annotations

from typing import Final, Literal

from service.kit import errors

Status = Literal["queued", "running", "retrying", "completed", "held", "failed", "cancelled", "interrupted"]

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    "queued": frozenset({"running", "failed", "cancelled", "interrupted"}),
    "running": frozenset({"completed", "held", "failed", "cancelled", "interrupted", "retrying"}),
    "retrying": frozenset({"queued", "running", "failed", "cancelled", "interrupted"}),
    "completed": frozenset(),
    "held": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "interrupted": frozenset(),
}
"""The statuses that may follow each status. A run that has none to go to has ended, and never changes its status."""

ENDED: Final[frozenset[Status]] = frozenset(status for status, after in TRANSITIONS.items() if not after)
"""Statuses of runs that have ended."""

STORED: Final[frozenset[Status]] = frozenset({"completed", "held"})
"""Statuses of ended runs whose version exists."""

WAITING: Final[frozenset[Status]] = frozenset({"queued", "retrying"})
"""Statuses of runs that wait for an attempt to begin; they survive a restart of the service."""


class IllegalTransition(errors.Conflict):
    """The run has a status that the wanted one must not follow; nothing was changed."""


class Superseded(errors.Conflict):
    """Another attempt of the run has begun since: what this one did must not be stored."""


def predecessors(status: Status) -> list[Status]:
    """The statuses that may come before ``status``, sorted."""
    return sorted(before for before, after in TRANSITIONS.items() if status in after)


def illegal(run_id: str, before: Status, after: Status) -> IllegalTransition:
    """The error of a change that the table does not have."""
    return IllegalTransition(f"the run {run_id} is {before} and cannot become {after}", run_id=run_id)


def superseded(run_id: str) -> Superseded:
    """The error of an attempt whose fencing token is not the run's any more."""
    return Superseded(f"another attempt of the run {run_id} has begun; this one stores nothing", run_id=run_id)
