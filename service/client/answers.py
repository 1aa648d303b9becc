"""What the client answers: the service's JSON objects as values. Fields that a newer service adds are left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from service.client.notebook import Shown

JsonObject = dict[str, Any]
ENDED = frozenset({"completed", "held", "failed", "cancelled", "interrupted"})


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration was saved as ``revision``."""

    message: str
    name: str
    revision: int


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline: its table in SQL, the status of its newest run, and its newest version."""

    name: str
    table: str
    revision: int
    status: str
    created: datetime
    updated: datetime
    description: str | None = None
    version: int | None = None


class Run(Shown, frozen=True, kw_only=True):
    """A run. Times are UTC, ``duration`` is in seconds, ``progress`` goes from 0 to 100. A notebook shows its page."""

    _ADDRESS: ClassVar[str] = "runs/{0.run_id}"

    run_id: str
    pipeline: str
    revision: int
    status: str
    progress: float = 0.0
    phase: str | None = None
    step: str | None = None
    attempt: int = 1
    version: int | None = None
    unchanged: bool = False
    rows_collected: int = 0
    rows_stored: int = 0
    rows_rejected: int = 0
    steps: list[JsonObject] = []
    storage: list[JsonObject] = []
    error: JsonObject | None = None
    warnings: list[JsonObject] = []
    held_because: list[JsonObject] = []
    label: str | None = None
    waiting_for: str | None = None
    queued_at: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration: float | None = None
    peak_memory_bytes: int | None = None
    requested_by: str | None = None
    request_id: str | None = None

    @property
    def ended(self) -> bool:
        """Whether its status is final."""
        return self.status in ENDED

    @property
    def stored(self) -> bool:
        """Whether it ended with a version."""
        return self.status in ("completed", "held")


class Version(Shown, frozen=True, kw_only=True):
    """A version of a pipeline's data: its rows, columns and marks. A notebook shows its page."""

    _ADDRESS: ClassVar[str] = "pipeline/{0.pipeline}/versions/{0.version}"

    pipeline: str
    version: int
    run_id: str
    revision: int
    rows: int
    bytes: int
    columns: list[JsonObject]
    created: datetime
    state: str = "published"
    rows_quarantined: int = 0
    replay_of: int | None = None
    restored_from: int | None = None
    pinned: bool = False
    tags: list[str] = []
    schema_changes: list[JsonObject] = []


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account of a user."""

    username: str
    role: str
    created: datetime
    disabled: bool = False


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key; ``key`` is the key itself, only in the answer that made it."""

    id: str
    owner: str
    name: str
    prefix: str
    role: str | None = None
    pipelines: list[str] | None = None
    queries: list[str] | None = None
    row_filter: dict[str, str] | None = None
    rate_limit_per_minute: int | None = None
    expires: datetime | None = None
    created: datetime
    last_used: datetime | None = None
    key: str | None = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule of a pipeline; ``next_fire`` is None while it is paused or not enabled."""

    name: str
    cron: str
    timezone: str
    misfire: str
    enabled: bool
    paused: bool
    last_fire: datetime | None = None
    last_run_id: str | None = None
    next_fire: datetime | None = None


class SavedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A saved query with the columns and tables that it had when it was saved."""

    name: str
    sql: str
    description: str = ""
    parameters: dict[str, JsonObject] = {}
    max_rows: int | None = None
    cache_seconds: int = 0
    public: bool = False
    columns: list[JsonObject] = []
    tables: list[str] = []
