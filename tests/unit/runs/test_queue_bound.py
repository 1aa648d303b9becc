"""The queue of runs is bounded, however many starts come at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

from service.catalog.history import History
from service.catalog.pipelines import Pipelines
from service.files.layout import Layout
from service.kit import errors
from service.kit.clock import FixedClock
from service.kit.settings import Settings
from service.model.run import Run
from service.query.integrity import Integrity
from service.runs.job_resources import JobResources
from service.runs.supervisor import Supervisor
from tests import stores
from tests.registry import REGISTRY

pytestmark = stores.BOTH

PIPELINES, EACH, PLACES = 100, 10, 50


def test_requirement_18_of_a_thousand_starts_so_many_wait_and_the_others_are_told_when_to_come_back(
    tmp_path: Path,
) -> None:
    layout, clock, store = Layout(tmp_path), FixedClock(), stores.new()
    layout.create()
    pipelines, history = Pipelines(store, clock), History(store)
    names = [f"p{number}" for number in range(PIPELINES)]
    for name in names:
        document = {"name": name, "collectors": [{"type": "csv", "file_path": "a.csv"}]}
        pipelines.create(name, name, document, None)
    settings = Settings(max_concurrent_runs=0, max_queued_runs=PLACES)
    resources = JobResources(settings, layout, history, REGISTRY, clock, {}, Integrity(layout))
    supervisor = Supervisor(resources, pipelines)

    async def act() -> list[Run | BaseException]:
        try:
            return await asyncio.gather(*(supervisor.execute(n, "admin") for n in names * EACH), return_exceptions=True)
        finally:
            await supervisor.close()

    came = asyncio.run(act())
    waiting = [run for run in came if isinstance(run, Run)]
    refused = [error for error in came if isinstance(error, errors.Unavailable)]
    second = [error for error in came if isinstance(error, errors.Conflict)]
    assert (len(waiting), len(refused), len(second)) == (PLACES, (PIPELINES - PLACES) * EACH, PLACES * (EACH - 1))
    assert {(error.error_code, error.retry_after) for error in refused} == {("OVERLOADED", 5)}
    assert {error.error_code for error in second} == {"PIPELINE_RUNNING"}
    store.close()
