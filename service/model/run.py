"""A run, one execution of a pipeline, and its steps and stored forms."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from service.kit.errors import Body
from service.model.breach import Breach
from service.model.lifecycle import ENDED, Status
from service.steps.report import Evidence, StepWarning
from service.values.staged import Staged

Phase = Literal["collecting", "processing", "storing"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of a run did, or has done so far: ``ended`` is null while it executes. ``duration`` is in seconds.

    ``fraction`` is how much of it is done, 0 to 1, and null if it is unknown. ``bytes_read`` come from the source, of
    ``bytes_total`` if that is known; ``bytes_written`` is the size of the file that it writes. Rates are those of the
    last seconds while it executes, and of the whole step afterwards. Row counts are given if they cost nothing.

    The plan is lazy: rows that one step passes to the next within a pass are not counted. Such a count is null, because
    it would need another pass over the data (``POST /pipeline/preview`` counts all).

    ``stages`` are where the step kept rows that are read again: in memory, or in a file. ``staged`` is their number.
    ``evidence`` is the collector's evidence that its rows are complete, also if it failed.
    """

    step: str
    phase: Phase | None = None
    fraction: float | None = None
    duration: float
    started: datetime | None = None
    ended: datetime | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    bytes_read: int | None = None
    bytes_total: int | None = None
    bytes_written: int | None = None
    rows_per_second: float | None = None
    bytes_per_second: float | None = None
    staged: int = 0
    stages: list[Staged] = []
    evidence: Evidence | None = None


class StoredForm(msgspec.Struct, frozen=True, kw_only=True):
    """One form of a version on disk. ``state`` is ``loading`` until a deferred form is ready."""

    type: str
    location: str
    bytes: int
    state: Literal["ready", "loading", "failed"] = "ready"


class ReplayedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row in quarantine by where it came from, and the ``values`` that it has from now on in place of its own."""

    step: str
    source: str | None = None
    file: str | None = None
    line: int | None = None
    row: int | None = None
    values: dict[str, Any] = {}


class ChosenRow(ReplayedRow, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row as a request names it: what it has besides is an error."""


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run: its number from 1, and its error unless it succeeded or is in progress."""

    number: int
    start_time: datetime
    end_time: datetime | None = None
    error: Body | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the API shows it. Times are UTC; ``duration`` is in seconds, up to now while it runs.

    ``attempt`` is the number of the present or last attempt, ``attempts`` lists all that began. ``retry_at`` is
    when the next attempt may begin, while the run is ``retrying``. ``replay_of`` is the version whose quarantined
    rows the run retries; null for every other run. ``replayed_rows`` are the rows that it was asked to retry; empty:
    all. ``restored_from`` is the version that it restored, without
    collecting anything. ``unchanged`` says that rows and columns equal those of the newest version, so that
    ``version`` is that one and none was added. ``held_because`` lists the bounds of ``publish_if`` that a ``held`` run
    broke: its version is not published unless it is accepted. ``estimated_end`` is when a running run will probably
    end; null while that is unknown. ``request_id`` is that of the request that started it; null if none did (a
    schedule, a trigger). ``label`` is one that the process which executes it must have. ``waiting_for`` says what a
    run that waits lacks besides a free slot: a living process with its label.
    """

    run_id: str
    pipeline: str
    revision: int
    status: Status
    phase: Phase | None = None
    step: str | None = None
    progress: float = 0.0
    estimated_end: datetime | None = None
    attempt: int = 1
    max_attempts: int = 1
    attempts: list[AttemptRecord] = []
    retry_at: datetime | None = None
    version: int | None = None
    storage_location: str | None = None
    storage: list[StoredForm] = []
    rows_collected: int = 0
    rows_stored: int = 0
    rows_rejected: int = 0
    steps: list[Step] = []
    error: Body | None = None
    warnings: list[StepWarning] = []
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration: float | None = None
    peak_memory_bytes: int | None = None
    requested_by: str | None = None
    request_id: str | None = None
    queued_at: datetime | None = None
    replay_of: int | None = None
    replayed_rows: list[ReplayedRow] = []
    restored_from: int | None = None
    unchanged: bool = False
    held_because: list[Breach] = []
    full_refresh: bool = False
    label: str | None = None
    waiting_for: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


def public(run: Run) -> dict[str, Any]:
    """A run in JSON form, without the class names of its errors, which are internal."""
    return _without_kind(msgspec.to_builtins(run))


def _without_kind(shown: dict[str, Any]) -> dict[str, Any]:
    attempts = shown.get("attempts")
    if isinstance(attempts, list):
        shown = {**shown, "attempts": [_without_kind(attempt) for attempt in attempts]}
    error = shown.get("error")
    if not isinstance(error, dict) or "kind" not in error:
        return shown
    return {**shown, "error": {k: v for k, v in error.items() if k != "kind"}}
