"""Work that starts by itself while the service serves: schedules, triggers, messages to others, the scrub."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.catalog.expired_runs import ExpiredRuns
from service.catalog.idempotency import IdempotencyKeys
from service.catalog.lineage_events import LineageEvents
from service.catalog.named_lease import NamedLease
from service.catalog.surplus import Surplus
from service.runs.cache_keeper import CacheKeeper
from service.runs.core import Core
from service.runs.leadership import led
from service.runs.notifications import Notifications
from service.runs.openlineage import OpenLineage
from service.runs.retention import Retention
from service.runs.scheduler import Scheduler
from service.runs.scrub import Scrub
from service.runs.store_upkeep import StoreUpkeep
from service.runs.triggers import Triggers


@asynccontextmanager
async def automatic(core: Core) -> AsyncIterator[None]:
    """Let schedules and triggers start runs, and send messages about ended ones, until the end of the context.

    Where several processes serve the installation, one of them does so at a time. Each keeps its own cache.
    """
    cache = CacheKeeper(core.condition.integrity.cache, core.history, core.layout, core.upkeep.reads)

    def published(pipeline_id: str) -> None:
        core.engine.follow_soon()
        cache.note(pipeline_id)

    core.history.on_published = published
    schedulers: list[Scheduler] = []
    metrics = core.tasks.resources.metrics
    metrics.gauge(
        "penstock_schedule_lag_seconds", "How late the latest due schedule is.",
        lambda: max((scheduler.lag for scheduler in schedulers), default=0.0),
    )  # fmt: skip
    lease = NamedLease(core.store, core.clock, "automatic", core.history.lease.owner, core.history.lease.seconds)
    work = functools.partial(_at_work, core, schedulers, published)
    async with cache.at_work(), led(lease, work) if core.store.shared else work():
        yield


@asynccontextmanager
async def _at_work(core: Core, schedulers: list[Scheduler], here: Callable[[str], None]) -> AsyncIterator[None]:
    """The work that one process does at a time; ``here`` is called when this one publishes a version."""
    scheduler = Scheduler(core.supervisor, core.schedules, core.clock)
    triggers = Triggers(core.supervisor, core.trigger_inputs)
    lineage = LineageEvents(core.store, core.clock)
    forget = [IdempotencyKeys(core.store, core.clock).sweep, core.deliveries.sweep]
    if core.store.shared:
        from service.catalog.log_in_counts import LogInCounts  # only where processes share an installation

        forget.append(LogInCounts(core.store).sweep)
    forget += [lineage.sweep] if core.settings.openlineage_url is None else []
    retention = Retention(
        Surplus(core.store), ExpiredRuns(core.store), core.upkeep, core.layout, core.clock, forget
    )  # fmt: skip
    notifications = Notifications(core.supervisor, core.tasks, core.deliveries, core.clock)
    openlineage = OpenLineage(core.supervisor, core.tasks, lineage, core.settings)
    rate = core.settings.scrub_mib_per_second
    objects = StoreUpkeep(core.store, core.history, core.layout, core.clock, core.settings.query_timeout_seconds)
    scrub = Scrub(core.history, core.layout, core.condition.integrity, core.clock, rate)

    def changed() -> None:
        scheduler.reload()
        triggers.reload()

    def elsewhere() -> None:
        changed()
        retention.check_all()

    def published(pipeline_id: str) -> None:
        here(pipeline_id)
        triggers.check()
        retention.check(pipeline_id)

    core.history.on_published = published
    core.pipelines.on_change, core.schedules.on_change = changed, scheduler.reload
    core.supervisor.on_changed.append(elsewhere)
    schedulers.append(scheduler)
    try:
        await retention.start()
        await scheduler.start()
        await triggers.start()
        await notifications.start()
        await openlineage.start()
        async with scrub.nightly(), objects.at_work():
            yield
    finally:
        core.history.on_published = here
        core.pipelines.on_change = core.schedules.on_change = _nothing
        core.supervisor.on_changed.remove(elsewhere)
        schedulers.remove(scheduler)
        await openlineage.close()
        await notifications.close()
        await triggers.close()
        await scheduler.close()
        await retention.close()


def _nothing() -> None:
    pass
