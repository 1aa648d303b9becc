"""The run worker: collect, process, store, all in a child that can be killed at any point without harm.

It is given an ``Order`` and says what it does; it commits nothing. When the supervisor has committed the version,
another child derives the deferred forms (native tables): what this one holds would count twice.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from service.jobs import child_log, collect, memory, messages, plugins, process, replay, store
from service.jobs.job import Job
from service.jobs.messages import Order
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Join, Pipeline
from service.model.version import Column
from service.processes.channel import Channel
from service.steps.storage import Dataset
from service.values import polars_errors


def work(channel: Channel, order: bytes) -> None:
    """The entry function of the child."""
    worker = RunWorker(channel, messages.order(order))
    try:
        worker.run()
    except errors.PenstockError as error:
        worker.fail(error)
    except MemoryError:
        worker.fail(memory.exhausted(worker.order.grants.memory_bytes))
    except BaseException as error:  # a panic inside Polars is no Exception
        worker.job.log.error("run.bug", exc_info=True)
        worker.fail(polars_errors.translate(error, worker.job.step))


class RunWorker:
    """One run, inside its child."""

    def __init__(self, channel: Channel, order: Order) -> None:
        self.order = order
        self._channel = channel
        log = child_log.logger(self._line).bind(run_id=order.run_id, pipeline=order.document.get("name"))
        self.job = Job(order.grants, log, self._say)
        self.job.remembers = True
        self.job.remembered = Path(order.remembered.folder) if order.remembered is not None else None

    def run(self) -> None:
        """From the order to the last deferred form."""
        pipeline = pipelines.decode(self.order.document, plugins.registry())
        if self.order.reload is not None:
            again = self.order.reload
            dataset = Dataset(pipeline.name, self.order.version, [Path(p) for p in again.parts], again.rows)
            self._load(pipeline, dataset, Path(again.folder))
            return
        job = self.job
        if self.order.replay is None:
            frame, collected = asyncio.run(collect.collect(pipeline, job))
            frame, sources = process.process(pipeline, frame, job), [c.source for c in collected]
        else:
            frame, sources = replay.replayed(pipeline, job, self.order.replay)
        columns = [Column(name, str(dtype)) for name, dtype in frame.schema.items()]
        written = store.store(pipeline, frame, job)
        if self.order.replay is None:
            joined = len(pipeline.data) > 1 and isinstance(pipeline.combine, Join)
            job.steps = process.tallied(job.steps, None if joined else job.source_rows, written.rows)
        names = [f.name for f in written.files]
        store.check(pipeline, self._dataset(pipeline, names, written.rows, job.folder), job)
        deferred = [_tag(s) for s in pipeline.storage if s.deferred]
        state, stays = store.keep_state(job, self.order)
        prepared = messages.Prepared(
            rows=written.rows, rows_collected=job.rows_collected, files=written.files, columns=columns,
            quarantine=store.quarantined(job), tape=store.keep_tape(job), state=state, stays=stays,
            rows_rejected=sum(r.rows for r in job.rejected),
            sources=sources, steps=job.steps, warnings=job.warnings, profiles=job.profiles,
            fitted=job.fitted, deferred=deferred, peak_memory_bytes=memory.peak(),
        )  # fmt: skip
        store.write_manifest(self.order, prepared)
        self._say(job.hidden(prepared))

    def fail(self, error: errors.PenstockError) -> None:
        """Tell the supervisor why the run ends, without any secret."""
        job = self.job
        self._say(
            messages.Failed(
                error=job.body(error), steps=job.steps, warnings=job.hidden(job.warnings),
                rows_collected=job.rows_collected, peak_memory_bytes=memory.peak(),
            )
        )  # fmt: skip

    def _load(self, pipeline: Pipeline, dataset: Dataset, folder: Path) -> None:
        for index, storage in enumerate(pipeline.storage):
            ctx = self.job.context(f"storage[{index}]")
            self.job.step, ctx.folder = ctx.step, folder
            began = time.perf_counter()
            with self.job.translated(ctx.step):
                written = storage.load(dataset, folder, ctx)
            if written is not None:
                self._say(messages.Loaded(written, ctx.step, time.perf_counter() - began, memory.peak()))

    def _dataset(self, pipeline: Pipeline, names: list[str], rows: int, folder: Path) -> Dataset:
        return Dataset(pipeline.name, self.order.version, [folder / name for name in names], rows)

    def _line(self, fields: dict[str, Any]) -> None:
        self._say(self.job.hidden(messages.Line(fields)))

    def _say(self, message: messages.Said) -> None:
        self._channel.send(messages.encode(message))


def _tag(plugin: Any) -> str:
    return str(type(plugin).__struct_config__.tag)
