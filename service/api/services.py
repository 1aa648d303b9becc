"""The dependencies of the handlers. ``bootstrap`` builds them; tests build them with doubles."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api.log_in_limits import LogInLimits
from service.api.rate_limit import Limiter, RateLimiter
from service.api.sign_in_link import SignInLink
from service.catalog.api_keys import ApiKeys
from service.catalog.audit_log import AuditLog
from service.catalog.deliveries import Deliveries
from service.catalog.history import Alongside, History
from service.catalog.ownership import Ownership
from service.catalog.pipelines import Pipelines
from service.catalog.saved_queries import SavedQueries
from service.catalog.schedules import Schedules
from service.catalog.sessions import Sessions
from service.catalog.store import Store
from service.catalog.trigger_inputs import TriggerInputs
from service.catalog.users import Users
from service.catalog.version_marks import VersionMarks
from service.files.event_journal import Event
from service.files.layout import Layout
from service.jobs.application import ApplyAnswer, ApplyRequest
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.kit.tokens import Claims, Tokens
from service.model.lifecycle import Status
from service.model.pipeline import Pipeline
from service.model.query_parameters import Kind
from service.model.registry import Registry
from service.model.rights import Readable, Rights
from service.model.run import ReplayedRow, Run
from service.model.service_process import ServiceProcess
from service.model.version import Version
from service.query.scope import EVERYTHING, Scope
from service.runs.backup import BackupReport
from service.runs.change_feed import ChangeFeed
from service.runs.verification import Verification
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Traces


class Runs(Protocol):
    """The part of the supervisor that the API uses."""

    async def execute(
        self,
        name: str,
        requested_by: str | None,
        *,
        full_refresh: bool = False,
        alongside: Sequence[Alongside] = (),
    ) -> Run: ...

    async def replay(
        self,
        name: str,
        requested_by: str | None,
        version: int | str | None = None,
        *,
        rows: Sequence[ReplayedRow] = (),
        alongside: Sequence[Alongside] = (),
    ) -> Run: ...

    async def restore(
        self,
        name: str,
        number: int | str,
        requested_by: str | None,
        *,
        state: bool = False,
        alongside: Sequence[Alongside] = (),
    ) -> Version: ...

    async def wait(self, run_id: str, seconds: float) -> Run: ...

    async def run(self, run_id: str) -> Run: ...

    async def runs(
        self, pipeline_id: str, *, limit: int, offset: int, status: Status | None = None
    ) -> tuple[list[Run], int]: ...

    async def newest(self, pipeline_id: str) -> Run | None: ...

    def present(self) -> dict[str, Run]: ...

    def newest_statuses(self, pipeline_ids: Sequence[str]) -> dict[str, str]: ...

    async def cancel(self, run_id: str) -> Run: ...

    def events(self, run_id: str, after: int, quiet_seconds: float) -> AsyncGenerator[Sequence[Event], None]: ...

    def log_lines(self, run_id: str) -> AsyncGenerator[Sequence[bytes], None]: ...

    async def delete(self, name: str, *, purge: bool, readable: Readable = None) -> None: ...

    def processes(self) -> list[ServiceProcess]: ...

    @property
    def draining(self) -> bool: ...

    def lacking(self, label: str | None) -> str | None: ...


class Upkeep(Protocol):
    """The part of the upkeep of versions that the API uses."""

    async def delete(self, name: str, number: int | str, by: str) -> None: ...


class Decisions(Protocol):
    """The part of the decisions about held versions that the API uses."""

    async def accept(
        self, name: str, number: int | str, by: str, *, alongside: Sequence[Alongside] = ()
    ) -> Version: ...

    async def reject(self, name: str, number: int | str, by: str) -> None: ...


class EngineAnswer(Protocol):
    """An answer of the query engine: bytes to relay. ``content`` is all of it, or None."""

    @property
    def media_type(self) -> str: ...

    @property
    def body(self) -> AsyncIterator[bytes]: ...

    @property
    def headers(self) -> dict[str, str]: ...

    @property
    def content(self) -> bytes | None: ...


class Queries(Protocol):
    """The part of the query engine that the API uses. ``source_of`` makes the source of a version."""

    async def sql(
        self,
        statement: str,
        *,
        parameters: list[Any] | dict[str, Any] | None = None,
        limit: int | None = None,
        timeout_seconds: float | None = None,
        format: str = "json",
        escape_formulas: bool = True,
        types: dict[str, Kind] | None = None,
        rehearsal: bool = False,
        scope: Scope = EVERYTHING,
    ) -> EngineAnswer: ...

    async def data(
        self,
        source: Any,
        *,
        columns: list[str] | None = None,
        filter: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        format: str = "json",
        escape_formulas: bool = True,
        about: dict[str, Any] | None = None,
        scope: Scope = EVERYTHING,
    ) -> EngineAnswer: ...

    async def lookup(
        self,
        source: Any,
        key: list[str],
        kinds: list[Kind],
        values: list[list[str]],
        *,
        columns: list[str] | None = None,
        only: bool = False,
        format: str = "json",
        escape_formulas: bool = True,
        scope: Scope = EVERYTHING,
    ) -> EngineAnswer: ...

    async def schema(self, source: Any, *, form: str = "json", scope: Scope = EVERYTHING) -> bytes: ...


class Tasks(Protocol):
    """The part of the task runner that the API uses: each task is answered by a child process."""

    @property
    def secret_names(self) -> frozenset[str]: ...

    async def ask(
        self,
        task: Any,
        *,
        seconds: float,
        document: Any = None,
        stored: Any = None,
        network: bool = False,
    ) -> bytes: ...

    async def ask_about(
        self, pipeline: Pipeline, task: Any, *, seconds: float, network: bool = False, readable: Readable = None
    ) -> bytes: ...

    async def stored(self, pipeline: Pipeline, readable: Readable = None) -> Any: ...

    async def apply(
        self, version: Version, document: Callable[[], Awaitable[dict[str, Any]]], request: ApplyRequest, *,
        seconds: float,
    ) -> ApplyAnswer: ...  # fmt: skip


class BackupMaker(Protocol):
    """The part of the backups that the API uses. ``make`` blocks."""

    def make(self, directory: str) -> BackupReport: ...


@dataclass(frozen=True)
class Services:
    """Everything that handlers use. ``sandbox`` names what confines query workers."""

    settings: Settings
    clock: Clock
    registry: Registry
    layout: Layout
    store: Store
    pipelines: Pipelines
    ownership: Ownership
    history: History
    schedules: Schedules
    trigger_inputs: TriggerInputs
    deliveries: Deliveries
    users: Users
    sessions: Sessions
    tokens: Tokens
    supervisor: Runs
    engine: Queries
    tasks: Tasks
    source_of: Callable[[Version], Awaitable[Any]]
    quarantine_of: Callable[[Version], Awaitable[Any]]
    backups: BackupMaker
    sandbox: str
    workers_alive: Callable[[], Awaitable[bool]]
    condition: Callable[[], str]
    """The condition of the stored data: ``ok``, or what is wrong. Blocks."""
    marks: VersionMarks
    upkeep: Upkeep
    verify: Callable[..., Verification]
    """Compares the catalog with the files (``deep``: also checksums). Blocks."""
    held: Decisions
    saved: SavedQueries
    audit: AuditLog
    keys: ApiKeys
    changes: ChangeFeed
    first_rows: Callable[..., Awaitable[EngineAnswer | None]] | None = None
    """With an object store: reads rows of a version of which not all parts are here, if that can be answered."""
    metrics: Metrics = field(default_factory=Metrics)
    traces: Traces = field(default_factory=Traces)
    limiter: Callable[[int, Clock], Limiter] = RateLimiter
    """Makes what counts requests, from how many are allowed a minute."""
    log_in_limits: LogInLimits | None = None
    """The limits of log-ins; None: those in the memory of this process."""
    link: SignInLink | None = None
    """What signs in once without a password, where this process has shown somebody a link."""


ServicesDependency = NamedDependency[SkipValidation[Services]]
"""The type of a handler's ``services`` parameter."""

TypedRequest = Request[Rights, Claims, State]
"""The type of a handler's ``request`` parameter."""
