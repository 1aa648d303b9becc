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
from service.jobs.job import Stage
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
    worker = Worker(channel, messages.order(order))
    try:
        worker.run()
    except errors.PenstockError as error:
        worker.fail(error)
    except MemoryError:
        worker.fail(memory.exhausted(worker.order.allowance.memory_bytes))
    except BaseException as error:  # a panic inside Polars is no Exception
        worker.stage.log.error("run.bug", exc_info=True)
        worker.fail(polars_errors.translate(error, worker.stage.step))


class Worker:
    """One run, inside its child."""

    def __init__(self, channel: Channel, order: Order) -> None:
        self.order = order
        self._channel = channel
        log = child_log.logger(self._line).bind(run_id=order.run_id, pipeline=order.document.get("name"))
        self.stage = Stage(order.allowance, log, self._say)
        self.stage.remembers = True
        self.stage.remembered = Path(order.remembered.folder) if order.remembered is not None else None

    def run(self) -> None:
        """From the order to the last deferred form."""
        pipeline = pipelines.decode(self.order.document, plugins.registry())
        if self.order.reload is not None:
            again = self.order.reload
            dataset = Dataset(pipeline.name, self.order.version, [Path(p) for p in again.parts], again.rows)
            self._load(pipeline, dataset, Path(again.folder))
            return
        stage = self.stage
        if self.order.replay is None:
            frame, collected = asyncio.run(collect.collect(pipeline, stage))
            frame, sources = process.process(pipeline, frame, stage), [c.source for c in collected]
        else:
            frame, sources = replay.replayed(pipeline, stage, self.order.replay)
        columns = [Column(name, str(dtype)) for name, dtype in frame.schema.items()]
        written = store.store(pipeline, frame, stage)
        if self.order.replay is None:
            joined = len(pipeline.data) > 1 and isinstance(pipeline.combine, Join)
            stage.steps = process.tallied(stage.steps, None if joined else stage.source_rows, written.rows)
        names = [f.name for f in written.files]
        store.check(pipeline, self._dataset(pipeline, names, written.rows, stage.folder), stage)
        deferred = [_tag(s) for s in pipeline.storage if s.deferred]
        state, stays = store.keep_state(stage, self.order)
        prepared = messages.Prepared(
            rows=written.rows, rows_collected=stage.rows_collected, files=written.files, columns=columns,
            quarantine=store.quarantined(stage), tape=store.keep_tape(stage), state=state, stays=stays,
            rows_rejected=sum(r.rows for r in stage.rejected),
            sources=sources, steps=stage.steps, warnings=stage.warnings, profiles=stage.profiles,
            fitted=stage.fitted, deferred=deferred, peak_memory_bytes=memory.peak(),
        )  # fmt: skip
        store.write_manifest(self.order, prepared)
        self._say(stage.hidden(prepared))

    def fail(self, error: errors.PenstockError) -> None:
        """Tell the supervisor why the run ends, without any secret."""
        stage = self.stage
        self._say(
            messages.Failed(
                error=stage.body(error), steps=stage.steps, warnings=stage.hidden(stage.warnings),
                rows_collected=stage.rows_collected, peak_memory_bytes=memory.peak(),
            )
        )  # fmt: skip

    def _load(self, pipeline: Pipeline, dataset: Dataset, folder: Path) -> None:
        for index, storage in enumerate(pipeline.storage):
            ctx = self.stage.context(f"storage[{index}]")
            self.stage.step, ctx.folder = ctx.step, folder
            began = time.perf_counter()
            with self.stage.translated(ctx.step):
                written = storage.load(dataset, folder, ctx)
            if written is not None:
                self._say(messages.Loaded(written, ctx.step, time.perf_counter() - began, memory.peak()))

    def _dataset(self, pipeline: Pipeline, names: list[str], rows: int, folder: Path) -> Dataset:
        return Dataset(pipeline.name, self.order.version, [folder / name for name in names], rows)

    def _line(self, fields: dict[str, Any]) -> None:
        self._say(self.stage.hidden(messages.Line(fields)))

    def _say(self, message: messages.Said) -> None:
        self._channel.send(messages.encode(message))


def _tag(plugin: Any) -> str:
    return str(type(plugin).__struct_config__.tag)
