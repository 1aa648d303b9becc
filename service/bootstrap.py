"""The composition root: the only module that builds and wires objects. Importing it builds nothing.

``open_core`` builds everything below the API; the command line works with it. ``serve`` adds the API and listens until
a signal stops it. A start locks the data directory, starts the forkserver, recovers and listens; a stop reverses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog

from service.catalog import data_directory, shared_secret
from service.catalog.api_keys import ApiKeys
from service.catalog.audit_log import AuditLog
from service.catalog.deliveries import Deliveries
from service.catalog.history import History
from service.catalog.leases import Lease
from service.catalog.ownership import Ownership
from service.catalog.pipelines import Pipelines
from service.catalog.saved_queries import SavedQueries
from service.catalog.schedules import Schedules
from service.catalog.sessions import Sessions
from service.catalog.system_tables import SystemTables
from service.catalog.trigger_inputs import TriggerInputs
from service.catalog.users import Users
from service.catalog.version_marks import VersionMarks
from service.files import signing_secret
from service.kit import settings as configuration
from service.kit import startup
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.kit.stopping import Stopping
from service.kit.tokens import Tokens
from service.model.registry import Registry
from service.network import egress
from service.processes import forkserver, preloaded
from service.query.engine import Engine
from service.query.first_read import FirstRead
from service.query.integrity import Integrity
from service.query.sources import Sources
from service.runs import gauges, program
from service.runs.automatic import automatic
from service.runs.backup import Backups
from service.runs.change_feed import ChangeFeed
from service.runs.condition import Condition
from service.runs.core import Core
from service.runs.held_versions import HeldVersions
from service.runs.job_resources import JobResources
from service.runs.supervisor import Supervisor
from service.runs.task_runner import TaskRunner
from service.runs.verification import Verifier
from service.runs.version_upkeep import VersionUpkeep
from service.telemetry import otlp

if TYPE_CHECKING:
    from litestar import Litestar

    from service.api.server import Listener
    from service.api.sign_in_link import SignInLink

_log = structlog.get_logger("penstock.server")


@asynccontextmanager
async def open_core(
    settings: Settings, environment: Mapping[str, str], clock: Clock | None = None
) -> AsyncIterator[Core]:
    """Everything below the API over a data directory, recovered. Raises ``errors.Conflict``, ``errors.Invalid``."""
    egress.check(settings.allowed_private_hosts)
    async with (
        data_directory.opened(settings) as (layout, store),
        AuditLog.opened(settings, layout, store, clock := data_directory.clock_of(store, clock)) as audit,
    ):
        if layout.objects is not None:  # so that who waits for a store that stands still keeps nobody else waiting
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64))
        await asyncio.to_thread(forkserver.prepare, preloaded.MODULES)
        registry = await asyncio.to_thread(Registry.load)
        lineage, lease = settings.openlineage_url is not None, Lease(store, clock, settings.lease_seconds)
        history, pipelines = History(store, lineage=lineage, lease=lease), Pipelines(store, clock)
        integrity = Integrity(layout, history.present, settings.cache_bytes)
        secrets = configuration.secrets(environment)
        since, own = await asyncio.to_thread(program.same_since, store, clock.now()), Ownership(store)
        given = settings, layout, history, registry, clock, secrets, integrity
        resources = JobResources(*given, same_since=since, reads=own.reads)
        supervisor, tasks = Supervisor(resources, pipelines), TaskRunner(resources)
        sources = Sources(history, integrity, SystemTables(store, layout))
        condition = Condition(store, history, layout, integrity)
        engine = Engine.configured(layout, sources.resolve, settings, resources.metrics)
        gauges.add(resources.metrics, supervisor, engine, tasks, store, layout, condition)
        marks, readers = VersionMarks(store), (supervisor.reads, engine.reads, tasks.reads)
        upkeep = VersionUpkeep(history, pipelines, marks, layout, clock, integrity, readers)
        await asyncio.to_thread(condition.recover, clock.now(), accept_empty=settings.accept_empty_catalog)
        await supervisor.start()
        try:
            yield Core(
                settings, clock, registry, layout, store, pipelines, history, Schedules(store, clock),
                TriggerInputs(store, lambda name: own.reads(pipelines.get(name)) if own.any_private else None),
                Deliveries(store, clock), supervisor, engine, tasks, sources, condition,
                Backups(store, history, layout, clock), marks, upkeep,
                Verifier(store, history, pipelines, layout, condition, clock),
                HeldVersions(supervisor, history, pipelines, upkeep, layout, integrity, clock), audit,
                ChangeFeed(store, supervisor.on_changed),
            )  # fmt: skip
        finally:
            await supervisor.close()
            await tasks.close()
            await engine.close()
            integrity.close()


def application(core: Core, users: Users, link: SignInLink | None = None) -> Litestar:
    """The API over a core; ``link`` signs in once without a password."""
    from service.api.app import create_app
    from service.api.services import Services

    own = partial(signing_secret.read_or_create, core.layout.secret)
    secrets = core.settings.signing_secrets or (shared_secret.of(core.store, own),)
    tokens = Tokens(secrets, core.clock, hours=core.settings.access_token_hours)
    services = Services(
        settings=core.settings, clock=core.clock, registry=core.registry, layout=core.layout, store=core.store,
        pipelines=core.pipelines, history=core.history, schedules=core.schedules, trigger_inputs=core.trigger_inputs,
        ownership=Ownership(core.store), deliveries=core.deliveries, users=users, tokens=tokens, held=core.held,
        sessions=Sessions(core.store, core.clock, days=core.settings.refresh_token_days), supervisor=core.supervisor,
        engine=core.engine, tasks=core.tasks, source_of=core.sources.of_version,
        quarantine_of=core.sources.of_quarantine, backups=core.backups, workers_alive=forkserver.alive,
        sandbox=f"landlock {core.engine.level}" if core.engine.level else "none", condition=core.condition.report,
        marks=core.marks, upkeep=core.upkeep, verify=core.verifier.verify, saved=SavedQueries(core.store, core.clock),
        audit=core.audit, metrics=core.tasks.resources.metrics, traces=core.tasks.resources.traces,
        keys=ApiKeys(core.store, core.clock), link=link, changes=core.changes,
        first_rows=FirstRead(core.sources, core.engine).data if core.layout.objects is not None else None,
    )  # fmt: skip
    return create_app(services)


async def serve(
    settings: Settings, environment: Mapping[str, str], listener: Listener, stopping: Stopping,
    announce: Callable[[str], None], show_password: Callable[[str], None], clock: Clock | None = None, *,
    link: SignInLink | None = None,
) -> None:  # fmt: skip
    """Run the REST service behind ``listener`` until ``stopping``; ``announce`` gets the URL when it is served.

    If no account is an admin yet, ``show_password`` gets the generated password of the one that becomes one.
    """
    from service.api import server

    async with open_core(settings, environment, clock) as core:
        users = Users(core.store, core.clock)
        await asyncio.to_thread(users.ensure_admin, settings.admin_username, settings.admin_password, show_password)
        app = await asyncio.to_thread(application, core, users, link)
        await asyncio.gather(core.engine.warm(), core.supervisor.resume())

        def started() -> None:
            startup.end()
            announce(listener.url)
            _log.info("server.started", host=settings.host, port=listener.port, sandbox=core.engine.level)

        async def drain() -> None:  # waiting requests and event streams end with their runs
            _log.info("server.stopping")
            core.stop()
            await core.supervisor.drain(settings.grace_seconds, stopping.at_once)

        resources = core.tasks.resources
        async with automatic(core), otlp.exporting(settings.otlp_endpoint, resources.metrics, resources.traces):
            await server.answer(listener, app, core.layout.root, stopping=stopping.asked, started=started, drain=drain)
    _log.info("server.stopped")


async def work(
    settings: Settings, environment: Mapping[str, str], listener: Listener | None, stopping: Stopping,
    announce: Callable[[], None], clock: Clock | None = None,
) -> None:  # fmt: skip
    """Execute the runs of an installation that several processes serve, without its API, until ``stopping``.

    ``listener`` answers those who watch the worker; ``announce`` is called when it takes runs.
    """
    from service.api.worker_health import WorkerHealth

    async with open_core(settings, environment, clock) as core:
        if core.store.created:
            _log.warning("worker.new_catalog", hint="nothing was there; is it the one that 'penstock serve' uses?")
        resources = core.tasks.resources
        await core.supervisor.resume("worker")
        async with automatic(core), otlp.exporting(settings.otlp_endpoint, resources.metrics, resources.traces):
            if listener is not None:
                listener.answer_with(WorkerHealth(core, forkserver.alive))
            startup.end()
            announce()
            await stopping.asked.wait()
            _log.info("worker.stopping")
            await core.supervisor.drain(settings.grace_seconds, stopping.at_once)
    if listener is not None:
        await listener.stop()
    _log.info("worker.stopped")
