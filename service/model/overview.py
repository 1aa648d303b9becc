"""What a person wants to see of each pipeline at a glance."""

from __future__ import annotations

from datetime import datetime

import msgspec

from service.model.rights import Visibility


class RunGlance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run. ``duration`` is in seconds, null before its end; ``error`` is the code of its error.

    ``label`` is the one that its process must have, ``waiting_for`` what no process has that would execute it; both are
    left out if there is none, since there are many runs.
    """

    run_id: str
    status: str
    start_time: datetime | None
    end_time: datetime | None
    duration: float | None
    error: str | None
    label: str | None = None
    waiting_for: str | None = None


class PipelineGlance(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline with its newest runs and versions, newest first.

    ``late_since`` is the time of its schedule since which its data are older than they should be; null where there is
    no active schedule, or a run has succeeded since. ``after`` are the pipelines whose new versions start it.
    ``recent_rows`` are the rows of its newest versions; numbers of rows and bytes are null or left out for a caller who
    sees only some of the rows.
    """

    name: str
    description: str | None
    revision: int
    owner: str | None
    visibility: Visibility
    status: str
    cron: str | None
    timezone: str | None
    after: list[str]
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
