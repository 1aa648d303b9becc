"""What a person wants to see of each pipeline at a glance."""

from __future__ import annotations

from datetime import datetime

import msgspec

from service.model.rights import Visibility


class RunGlance(msgspec.Struct, frozen=True, kw_only=True):
    """A run. ``duration`` is in seconds, null before its end; ``error`` is the code of its error."""

    run_id: str
    status: str
    start_time: datetime | None
    end_time: datetime | None
    duration: float | None
    error: str | None


class PipelineGlance(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline with its newest runs and versions, newest first.

    ``late_since`` is the time of its schedule since which its data are older than they should be; null where there is
    no active schedule, or a run has succeeded since. ``recent_rows`` are the rows of its newest versions.
    """

    name: str
    description: str | None
    revision: int
    owner: str | None
    visibility: Visibility
    status: str
    cron: str | None
    timezone: str | None
    paused: bool
    next_run: datetime | None
    late_since: datetime | None
    last_success: datetime | None
    version: int | None
    rows: int | None
    bytes: int | None
    version_created: datetime | None
    recent_runs: list[RunGlance]
    recent_rows: list[int]
