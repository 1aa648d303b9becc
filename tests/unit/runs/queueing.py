"""A supervisor that only queues: runs are stored in a real catalog and end when a test says so."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable, Sequence

from service.catalog import trigger_inputs
from service.catalog.history import Alongside, History
from service.catalog.pipelines import PipelineRecord, Pipelines
from service.catalog.store import Transaction
from service.kit import errors
from service.kit.clock import FixedClock
from service.model.run import Run
from service.runs import run_errors


def _note_upstreams(record: PipelineRecord, transaction: Transaction, run: Run) -> None:
    trigger_inputs.note_run(transaction, record.id, record.document, run)


class Queue:
    """Runs that end at once, unless ``holding``; at most ``places`` at a time."""

    def __init__(self, pipelines: Pipelines, history: History, clock: FixedClock) -> None:
        self.pipelines, self.history, self._clock = pipelines, history, clock
        self.places, self.holding = 1000, False
        self.on_freed: list[Callable[[], None]] = []
        self.active: dict[str, Run] = {}
        self.runs: list[Run] = []
        self._numbers = itertools.count()

    def is_active(self, pipeline_id: str) -> bool:
        return pipeline_id in self.active

    async def execute(
        self, name: str, requested_by: str | None, *, full_refresh: bool = False, alongside: Sequence[Alongside] = ()
    ) -> Run:
        record = await asyncio.to_thread(self.pipelines.get, name)
        run = Run(
            run_id=f"run_{next(self._numbers)}", pipeline=name, revision=record.revision, status="queued",
            requested_by=requested_by, queued_at=self._clock.now(),
        )  # fmt: skip
        if record.id in self.active:
            raise run_errors.running(name, self.active[record.id])
        if len(self.active) >= self.places:
            raise errors.Unavailable("too many runs are waiting")
        seen = functools.partial(_note_upstreams, record)  # as the supervisor does
        await asyncio.to_thread(self.history.add_run, record.id, run, [*alongside, seen])
        self.runs.append(run)
        if self.holding:
            self.active[record.id] = run
        return run

    def end(self, name: str) -> None:
        """End the run of a pipeline."""
        self.active = {key: run for key, run in self.active.items() if run.pipeline != name}
        for freed in self.on_freed:
            freed()
