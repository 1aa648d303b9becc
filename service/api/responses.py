"""The values that routes answer, as they look in JSON. Times are RFC 3339 in UTC, durations are seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from service.catalog.pipelines import PipelineSummary
from service.model.breach import Breach
from service.model.rights import Visibility
from service.model.run import Run, Step, public
from service.model.schedule import ScheduleState
from service.model.table import Table
from service.model.trigger import TriggerState
from service.model.version import Column, Marks, SchemaChange, Source, Version, changes, named_types
from service.steps.report import FittedStep, StepWarning
from service.values.profile import Profile


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The value under ``error``."""

    code: str
    message: str
    details: dict[str, Any] = {}


class FailureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error."""

    error: Failure


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence about what was done."""

    message: str


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration was saved as ``revision``."""

    message: str
    name: str
    revision: int


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration is valid."""

    valid: bool
    warnings: list[StepWarning] = []


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a pipeline's newest run; ``idle`` before the first.

    ``estimated_end`` is when it will probably end, and the rates are those of its present step; null if unknown.

    ``next_run`` is when its schedule fires next: null without a schedule, while it is paused or not enabled.
    ``trigger_state`` is null without a trigger.
    """

    name: str
    status: str = "idle"
    progress: float = 0.0
    phase: str | None = None
    step: str | None = None
    run_id: str | None = None
    error: Failure | None = None
    warnings: list[StepWarning] = []
    rows_collected: int = 0
    rows_stored: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration: float | None = None
    next_run: datetime | None = None
    trigger_state: TriggerState | None = None
    estimated_end: datetime | None = None
    rows_per_second: float | None = None
    bytes_per_second: float | None = None


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule of a pipeline. ``next_fire`` is null while it is paused or not enabled.

    ``last_fire`` is the scheduled time that fired last, and ``last_run_id`` its run.
    """

    name: str
    cron: str
    timezone: str
    misfire: str
    enabled: bool
    paused: bool
    last_fire: datetime | None
    last_run_id: str | None
    next_fire: datetime | None


class PipelineLine(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline in the list. ``version`` is the newest one, null before the first success.

    ``owner`` null: it belongs to the admins. A ``private`` one exists for its owner and the admins only. New versions
    of the pipelines in ``after`` start it.
    """

    name: str
    table: str
    description: str | None
    revision: int
    status: str
    version: int | None
    created: datetime
    updated: datetime
    owner: str | None
    visibility: Visibility
    after: list[str]


class LastExecution(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run, in the statistics of a pipeline."""

    run_id: str
    start_time: datetime | None
    end_time: datetime | None
    duration: float | None
    status: str
    rows_processed: int
    error: Failure | None
    peak_memory_bytes: int | None
    steps: list[Step]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a pipeline's runs. Durations and rates are of completed runs."""

    total_executions: int
    successful_executions: int
    failed_executions: int
    held_executions: int
    success_rate: float | None
    average_duration: float | None
    p50_duration: float | None
    p95_duration: float | None
    total_rows_processed: int
    rows_per_second: float | None
    bytes_stored: int
    versions: int
    last_execution: LastExecution | None
    last_error: Failure | None


class VersionView(msgspec.Struct, frozen=True, kw_only=True):
    """A version. ``schema_changes`` compares with the version before; ``replay_of`` is the version that it replays.

    ``restored_from`` is the version whose rows it has again. A version that is ``pinned`` or has ``tags`` is not
    deleted. A version whose ``state`` is ``held`` waits to be accepted or rejected; ``held_because`` lists the bounds
    of ``publish_if`` that it broke, also after it was accepted.
    """

    pipeline: str
    version: int
    run_id: str
    revision: int
    rows: int
    bytes: int
    columns: list[Column]
    sources: list[Source]
    schema_changes: list[SchemaChange]
    created: datetime
    rows_quarantined: int
    replay_of: int | None
    restored_from: int | None = None
    pinned: bool = False
    tags: list[str] = []
    state: Literal["published", "held"] = "published"
    held_because: list[Breach] = []


class Profiles(msgspec.Struct, frozen=True, kw_only=True):
    """The profiles of a version, one per analyzer, in their order."""

    pipeline: str
    version: int
    profiles: list[Profile]


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters that the steps of a version fitted to its data, by step, with the type of the step."""

    pipeline: str
    version: int
    revision: int
    fitted: dict[str, FittedStep]


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """A record that a step removed; ``index`` is its place in the request."""

    index: int
    step: str


class SkippedOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that was skipped since it needs other rows; ``columns`` are those that it would have changed."""

    step: str
    operation: str
    columns: list[str] = []
    reason: str


class AppliedRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Records after the row-local steps of a version. ``rows`` has the index of the record that each row comes from."""

    pipeline: str
    version: int
    columns: list[dict[str, str]]
    data: list[dict[str, Any]]
    rows: list[int]
    dropped: list[Dropped]
    skipped: list[SkippedOperation]


class RowsByKey(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were looked up. ``key`` are its columns; ``rows`` has the index of the key of each row, ``missing``
    the indexes of keys that no row has.
    """

    pipeline: str
    version: int
    key: list[str]
    columns: list[dict[str, str]]
    data: list[dict[str, Any]]
    row_count: int
    rows: list[int]
    missing: list[int]


class TableView(msgspec.Struct, frozen=True, kw_only=True):
    """A table that SQL can read, with the pipeline and version behind it.

    ``row_count`` is null for an API key that sees only some of the rows.
    """

    name: str
    pipeline: str
    version: int
    row_count: int | None
    columns: list[Column]
    created: datetime


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The service is alive."""

    status: str
    version: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the service can work, by check. ``sandbox`` is what confines query workers."""

    status: str
    version: str
    checks: dict[str, str]
    sandbox: str


def run(value: Run) -> dict[str, Any]:
    """A run in JSON form, its error as in every error answer."""
    return public(value)


def schedule(state: ScheduleState, now: datetime) -> ScheduleView:
    """The schedule of a pipeline."""
    return ScheduleView(
        name=state.name,
        cron=state.schedule.cron,
        timezone=state.schedule.timezone,
        misfire=state.schedule.misfire,
        enabled=state.schedule.enabled,
        paused=state.paused,
        last_fire=state.last_fire,
        last_run_id=state.last_run_id,
        next_fire=state.next_fire(now),
    )


def status(
    name: str, newest: Run | None, next_run: datetime | None = None, trigger_state: TriggerState | None = None
) -> Status:
    """The state of a pipeline's newest run, and what starts the next one."""
    if newest is None:
        return Status(name=name, next_run=next_run, trigger_state=trigger_state)
    present = next((s for s in newest.steps if s.step == newest.step), None) if newest.status == "running" else None
    return Status(
        name=name,
        status=newest.status,
        progress=newest.progress,
        estimated_end=newest.estimated_end,
        rows_per_second=present.rows_per_second if present is not None else None,
        bytes_per_second=present.bytes_per_second if present is not None else None,
        phase=newest.phase,
        step=newest.step,
        run_id=newest.run_id,
        error=failure(newest.error),
        warnings=newest.warnings,
        rows_collected=newest.rows_collected,
        rows_stored=newest.rows_stored,
        start_time=newest.start_time,
        end_time=newest.end_time,
        duration=newest.duration,
        next_run=next_run,
        trigger_state=trigger_state,
    )


def failure(error: Any) -> Failure | None:
    """An error body without internals."""
    return Failure(code=error.code, message=error.message, details=error.details) if error is not None else None


def stats(figures: dict[str, Any]) -> Stats:
    """The statistics of the history as they are answered."""
    last = figures["last_execution"]
    shown = LastExecution(**{**last, "error": failure(last["error"])}) if last is not None else None
    return Stats(**{**figures, "last_execution": shown, "last_error": failure(figures["last_error"])})


def line(value: PipelineSummary, state: str) -> PipelineLine:
    """A pipeline in the list."""
    return PipelineLine(
        name=value.name,
        table=value.table,
        description=value.description,
        revision=value.revision,
        status=state,
        version=value.version,
        created=value.created,
        updated=value.updated,
        owner=value.owner,
        visibility=value.visibility,
        after=value.after,
    )


def version(value: Version, before: Version | None, marks: Marks | None = None) -> VersionView:
    """A version, compared with the published one before."""
    marks = marks or Marks()
    return VersionView(
        pipeline=value.pipeline,
        version=value.version,
        run_id=value.run_id,
        revision=value.revision,
        rows=value.rows,
        bytes=value.bytes,
        columns=named_types(value.columns),
        sources=value.sources,
        schema_changes=changes(named_types(before.columns), named_types(value.columns)) if before is not None else [],
        created=value.created,
        rows_quarantined=value.quarantined,
        replay_of=value.replay_of,
        restored_from=value.restored_from,
        pinned=marks.pinned,
        tags=marks.tags,
        state="held" if value.held else "published",
        held_because=value.held_because,
    )


def versions(found: Sequence[Version], older: Version | None, marks: Mapping[int, Marks]) -> list[VersionView]:
    """Versions, newest first, each compared with the published one before; ``older`` is that before the last."""
    shown, before = [], older
    for value in reversed(found):
        shown.append(version(value, before, marks.get(value.version)))
        before = before if value.held else value
    return shown[::-1]


def table(value: Table) -> TableView:
    """A table that SQL can read."""
    behind = value.version
    return TableView(
        name=value.name,
        pipeline=behind.pipeline,
        version=behind.version,
        row_count=value.rows,
        columns=named_types(value.columns),
        created=behind.created,
    )
