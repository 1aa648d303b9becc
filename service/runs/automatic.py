"""Runs that start themselves: schedules and triggers, while the service serves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.catalog.pipelines import Pipelines
from service.catalog.schedules import Schedules
from service.catalog.trigger_inputs import TriggerInputs
from service.kit.clock import Clock
from service.runs.scheduler import Scheduler
from service.runs.supervisor import Supervisor
from service.runs.triggers import Triggers


@asynccontextmanager
async def automatic(
    supervisor: Supervisor, pipelines: Pipelines, schedules: Schedules, inputs: TriggerInputs, clock: Clock
) -> AsyncIterator[None]:
    """Let schedules and triggers start runs, until the end of the context."""
    scheduler, triggers = Scheduler(supervisor, schedules, clock), Triggers(supervisor, inputs)

    def changed() -> None:
        scheduler.reload()
        triggers.check()

    pipelines.on_change, schedules.on_change = changed, scheduler.reload
    await scheduler.start()
    await triggers.start()
    try:
        yield
    finally:
        await triggers.close()
        await scheduler.close()
