"""Bootstrap: the only place that builds and wires objects. Nothing is built at import.

``open_core`` is the house without its door: the command line works with it. ``serve`` adds the API and listens until
it is told to stop. The order of the start is: take the data directory (the catalog's lock), start the forkserver,
repair what a crash left, then listen; the end goes the other way round.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.catalog.sessions import Sessions
from service.catalog.store import Store
from service.catalog.users import Users
from service.files.layout import Layout
from service.kit import errors
from service.kit import settings as configuration
from service.kit.clock import Clock, SystemClock
from service.kit.settings import Settings
from service.kit.tokens import Tokens
from service.network import egress
from service.processes import child, preloaded
from service.query.engine import Engine, Resolve
from service.query.messages import Resolved
from service.query.sources import of_table, quarantine_of, source_of
from service.runs.job_resources import JobResources
from service.runs.supervisor import Supervisor
from service.runs.task_runner import TaskRunner
from service.sandbox.source import TableSource
from service.steps.registry import Registry

if TYPE_CHECKING:
    from litestar import Litestar

_CONNECTIONS = 1024
_HEADER_MILLISECONDS = 5_000
_DRAIN_SECONDS = 10.0

_log = structlog.get_logger("penstock.server")


@dataclass(frozen=True)
class Core:
    """Everything below the API, built and running."""

    settings: Settings
    clock: Clock
    registry: Registry
    layout: Layout
    store: Store
    pipelines: Pipelines
    history: History
    supervisor: Supervisor
    engine: Engine
    tasks: TaskRunner

    def source(self, name: str) -> TableSource:
        """The stored table of that name. Raises ``errors.Missing``."""
        found = self.history.table(name)
        if found is None:
            raise errors.Missing(f"there is no stored table '{name}'", code="NO_DATA")
        return of_table(found)


@asynccontextmanager
async def catalog(settings: Settings) -> AsyncIterator[tuple[Layout, Store]]:
    """The data directory, taken by this process. Raises ``errors.Conflict`` (DATA_DIR_IN_USE)."""
    layout = Layout(settings.root)
    try:
        layout.create()
    except OSError as error:
        raise errors.Invalid(
            f"the data directory cannot be used: {error.strerror}; choose another --data-dir", field="data_dir"
        ) from error
    store = await asyncio.to_thread(Store, layout.catalog)
    try:
        yield layout, store
    finally:
        await asyncio.to_thread(store.close)


def _check(settings: Settings) -> None:
    """What every run would stumble over. Raises ``errors.Invalid``."""
    try:
        egress.Policy.of(settings.allowed_private_hosts)
    except ValueError as error:
        raise errors.Invalid.of([errors.Problem("PENSTOCK_ALLOWED_PRIVATE_HOSTS", str(error))], "settings") from error


@asynccontextmanager
async def open_core(
    settings: Settings, environment: Mapping[str, str], clock: Clock | None = None
) -> AsyncIterator[Core]:
    """The house over a data directory: repaired, its forkserver warm.

    Raises ``errors.Conflict``, ``errors.Invalid``.
    """
    clock = clock or SystemClock()
    _check(settings)
    async with catalog(settings) as (layout, store):
        await asyncio.to_thread(child.prepare, preloaded.MODULES)
        registry = await asyncio.to_thread(Registry.load)
        pipelines, history = Pipelines(store, clock), History(store)
        resources = JobResources(settings, layout, history, registry, clock, configuration.secrets(environment))
        supervisor, tasks = Supervisor(resources, pipelines), TaskRunner(resources)
        engine = Engine(
            layout=layout,
            resolve=_resolver(history),
            timeout_seconds=settings.query_timeout_seconds,
            memory_bytes=settings.query_memory_limit,
            spill_bytes=settings.query_memory_limit,
            max_concurrent=settings.max_concurrent_queries,
            allow_unconfined=settings.allow_unsandboxed_sql,
        )
        await supervisor.start()
        try:
            yield Core(settings, clock, registry, layout, store, pipelines, history, supervisor, engine, tasks)
        finally:
            await supervisor.close()
            await engine.close()


def _resolver(history: History) -> Resolve:
    def everything() -> Resolved:
        return Resolved([of_table(t) for t in history.tables()])

    def named(names: list[str]) -> Resolved:
        found = {name: history.table(name) for name in names}
        sources = [of_table(table) for table in found.values() if table is not None]
        missing = [name for name, table in found.items() if table is None]
        return Resolved(sources, missing, history.table_names() if missing else [])

    async def resolve(names: list[str] | None) -> Resolved:
        return await (asyncio.to_thread(everything) if names is None else asyncio.to_thread(named, names))

    return resolve


def signing_secret(settings: Settings, layout: Layout) -> str:
    """What access tokens are signed with: the configured secret, or the data directory's own, made once."""
    if settings.jwt_secret is not None:
        return settings.jwt_secret
    with suppress(FileExistsError):
        handle = os.open(layout.secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secrets.token_urlsafe(48))
            out.flush()
            os.fsync(out.fileno())
    kept = layout.secret.read_text().strip()
    if len(kept.encode()) < 32:
        raise errors.Invalid("the data directory's secret.key is damaged; delete it, or set PENSTOCK_JWT_SECRET")
    return kept


def application(core: Core, users: Users) -> Litestar:
    """The API over a house."""
    from service.api.app import create_app
    from service.api.services import Services

    tokens = Tokens([signing_secret(core.settings, core.layout)], core.clock, hours=core.settings.access_token_hours)
    level = core.engine.level
    return create_app(
        Services(
            settings=core.settings,
            clock=core.clock,
            registry=core.registry,
            layout=core.layout,
            store=core.store,
            pipelines=core.pipelines,
            history=core.history,
            users=users,
            sessions=Sessions(core.store, core.clock, days=core.settings.refresh_token_days),
            tokens=tokens,
            supervisor=core.supervisor,
            engine=core.engine,
            tasks=core.tasks,
            source_of=source_of,
            quarantine_of=quarantine_of,
            sandbox=f"landlock {level}" if level else "none",
            workers_alive=_workers_alive,
        )
    )


async def _workers_alive() -> bool:
    return await asyncio.to_thread(child.alive)


async def serve(
    settings: Settings, environment: Mapping[str, str], announce: Callable[[str, str | None], None]
) -> None:
    """The REST service until SIGTERM or SIGINT. ``announce`` gets the address and, once, a made-up password."""
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    from service.telemetry import logs

    port = _free(settings.host, settings.port)
    async with open_core(settings, environment) as core:
        users = Users(core.store, core.clock)
        password = await asyncio.to_thread(users.ensure_admin, settings.admin_username, settings.admin_password)
        app = await asyncio.to_thread(application, core, users)
        server = Server(
            app,
            address=settings.host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=_CONNECTIONS,
            backpressure=_CONNECTIONS,
            http1_settings=HTTP1Settings(header_read_timeout=_HEADER_MILLISECONDS),
            log_dictconfig=logs.server_config(),
        )
        await core.engine.warm()
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        serving = asyncio.create_task(server.serve())
        waiting = asyncio.create_task(stopping.wait())
        announce(f"http://{_in_url(settings.host)}:{port}", password)
        _log.info("server.started", host=settings.host, port=port, sandbox=core.engine.level)
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        _log.info("server.stopping")
        await core.supervisor.close()  # waiting requests and event streams end with their runs
        server.stop()  # type: ignore[no-untyped-call]
        with suppress(TimeoutError):
            await asyncio.wait_for(serving, _DRAIN_SECONDS)
        waiting.cancel()
    _log.info("server.stopped")


def _free(host: str, port: int) -> int:
    """``port`` where it can be listened on, a free one for 0. Raises ``errors.Conflict``, ``errors.Invalid``."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except socket.gaierror as error:
        raise errors.Invalid(f"'{host}' is no address of this machine", field="host") from error
    except OSError as error:
        raise errors.Conflict(
            f"{host}:{port} cannot be listened on: {error.strerror}; choose another --port", code="PORT_IN_USE"
        ) from error


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
