"""Triggers: a pipeline runs when each of its upstream pipelines has committed a version since its last run.

Only the catalog's records count, so that a trigger that became ready before a crash fires after it. The versions that a
run has seen are committed with the run: no commit counts twice.
"""

from __future__ import annotations

import asyncio

import structlog

from service.catalog.trigger_inputs import TriggerInputs
from service.kit import errors
from service.runs.supervisor import Supervisor

REQUESTED_BY = "trigger"
_PAUSE = 5.0  # seconds after an error, such as a full disk
_log = structlog.get_logger("penstock.trigger")


class Triggers:
    """Queues the runs of pipelines whose trigger is ready. Its methods belong to the event loop, except
    ``reload`` and ``check``."""

    def __init__(self, supervisor: Supervisor, inputs: TriggerInputs) -> None:
        self._supervisor = supervisor
        self._inputs = inputs
        self._none = False  # no pipeline has a trigger: ends of runs need no look
        self._changes = 0
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch; triggers that are ready fire now."""
        self._loop = asyncio.get_running_loop()
        self._supervisor.on_freed.append(self._look)
        self._woken.set()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def reload(self) -> None:
        """Look at all triggers; after a configuration changed. May be called in any thread."""
        self._changes += 1
        self._none = False
        self.check()

    def check(self) -> None:
        """Look at the triggers; after a version was published. May be called in any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        if not self._none:
            self._woken.set()

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._fire()
            except Exception as error:  # the catalog cannot be read or written now
                _log.error("trigger.not_fired", reason=str(error), exception=type(error).__name__)
                self._loop.call_later(_PAUSE, self._woken.set)  # type: ignore[union-attr]

    async def _fire(self) -> None:
        changes = self._changes
        triggered = await asyncio.to_thread(self._inputs.all)
        self._none = not triggered and changes == self._changes
        for found in triggered:
            if not found.state.ready or self._supervisor.is_active(found.pipeline_id):
                continue  # a run that ends looks again
            try:
                run = await self._supervisor.execute(found.name, REQUESTED_BY)
                _log.info("trigger.fired", pipeline=found.name, run_id=run.run_id, after=found.state.committed)
            except (errors.Conflict, errors.Missing):  # a person was quicker
                continue
