"""Run worker: collects, processes and stores, all in a child that can be killed at any point without harm.

It gets an ``Order`` and reports what it does; it commits nothing. The deferred forms (native tables) of a small version
are made in the same worker. When the supervisor has committed a large one, another child derives them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from service.engine import spill
from service.engine.memory import Memory
from service.jobs import (
    child_log,
    collect,
    engine,
    lost_values,
    memory,
    messages,
    native,
    plugins,
    process,
    replay,
    store,
    unchanged,
    whole_profile,
)
from service.jobs.job import Job
from service.jobs.messages import Order
from service.jobs.outcome import CollectorState, Outcome
from service.jobs.process import Processed
from service.jobs.traced_requests import TracedRequests
from service.kit import errors
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.registry import tag_of
from service.model.version import Column
from service.network import observer
from service.processes.channel import Channel
from service.processes.kept import SPILLED
from service.steps.storage import Dataset
from service.values import polars_errors
from service.values.version_mode import BaseVersion


def work(channel: Channel, order: bytes) -> bool:
    """The entry function of the child. Returns whether it may execute another run: this one made its version.

    A child that loads forms of a committed version says by its end that there are no more.
    """
    worker = RunWorker(channel, messages.decode_order(order))
    try:
        worker.run()
        return worker.order.reload is None
    except errors.PenstockError as error:
        worker.fail(error)
    except BaseException as error:  # a panic inside Polars is not an Exception
        if memory.is_exhausted(error):
            worker.fail(memory.exhausted(worker.order.grants.memory_bytes, "run", error))
            return False
        worker.job.log.error("run.bug", exc_info=True)
        worker.fail(polars_errors.translate(error, worker.job.step))
    return False


class RunWorker:
    """One run, inside its child."""

    def __init__(self, channel: Channel, order: Order) -> None:
        self.order = order
        self._channel = channel
        log = child_log.logger(self._relay).bind(run_id=order.run_id, pipeline=order.document.get("name"))
        remembered = Path(order.remembered.folder) if order.remembered is not None else None
        self.job = Job(order.grants, log, self._send, remembers=True, remembered=remembered)

    def run(self) -> None:
        """Execute the order: make a version in the staging folder, or load deferred forms of a committed one."""
        pipeline = pipelines.decode(self.order.document, plugins.registry())
        if self.order.reload is not None:
            reload = self.order.reload
            dataset = _dataset(pipeline, self.order, [Path(p) for p in reload.parts], reload.rows)
            dataset = msgspec.structs.replace(dataset, earlier=reload.earlier)
            self._load(pipeline, dataset, Path(reload.folder))
            return
        kept = not self.job.folder.exists()  # it lies in the folder of a worker that may be kept
        self.job.folder.mkdir(mode=0o700, exist_ok=True)
        spilled = (self.job.folder.parent if kept else self.job.folder) / SPILLED
        with spill.into(spilled, Memory(), again=kept), self.job.reporting(), self._tracing():
            prepared = self._version(pipeline)
        store.write_manifest(self.order, prepared)
        self._send(self.job.hidden(prepared))

    @contextlib.contextmanager
    def _tracing(self) -> Iterator[None]:
        """Send spans of the requests meanwhile, if the run is traced."""
        if self.order.trace is None:
            yield
            return
        requests = TracedRequests(self.order, lambda spans: self._send(self.job.hidden(spans)))
        try:
            with observer.observing(requests.note):
                yield
        finally:
            requests.flush()

    def _version(self, pipeline: Pipeline) -> messages.Prepared:
        """Collect, process and store."""
        if self.order.replay is not None:
            outcome = replay.replay(pipeline, self.job, self.order.replay)
        else:
            with engine.chosen(pipeline, self.job, self.order.run_id, self.order.attempt):
                outcome = _collect_and_process(pipeline, self.job, continues=self._base(pipeline) is not None)
                return self._prepare(pipeline, outcome)
        return self._prepare(pipeline, outcome)

    def _prepare(self, pipeline: Pipeline, outcome: Outcome) -> messages.Prepared:
        """Write all files of the version, and check that every storage can go on from them."""
        job, order = self.job, self.order
        written = store.store(pipeline, outcome.frame, job, self._base(pipeline))
        lost_values.warn(outcome.frame, job)
        stored = written.run_rows if written.run_rows is not None else written.rows
        if order.replay is None:
            job.journal.steps = process.with_row_counts(job.journal.steps, outcome.processed_rows(), stored)
        parts = [Path(written.links.get(f.name) or job.folder / f.name) for f in written.files]
        schema = pl.read_parquet_schema(parts[0])
        columns = [Column(name, str(dtype)) for name, dtype in schema.items()]
        quarantine = store.quarantine_of(outcome.rejected, job.folder)
        same = unchanged.unchanged(pipeline, order, written, parts, columns, quarantine)
        loaded: list[messages.Loaded] = []
        dataset = _dataset(pipeline, order, parts, written.rows)
        store.check(pipeline, dataset, job)  # a setting may be wrong for rows that are not new
        if same is None:
            if outcome.postponed:
                profiles, record = whole_profile.profiles_of(
                    pipeline, outcome.postponed, parts, outcome.fit_record, job
                )
                outcome = dataclasses.replace(outcome, profiles=(*outcome.profiles, *profiles), fit_record=record)
            if native.is_small(dataset, len(columns)):
                loaded = native.load(pipeline, dataset, job)
        state, stays = store.write_state(outcome.states, order)
        return messages.Prepared(
            rows=written.rows, rows_collected=job.rows_collected, files=written.files, links=written.links,
            layout=written.layout, unchanged=same, columns=columns, quarantine=quarantine,
            fit_record=store.write_fit_record(outcome.fit_record, job.folder), state=state, stays=stays,
            rows_rejected=sum(r.rows for r in outcome.rejected),
            sources=lost_values.in_sources(outcome.sources, outcome.frame),
            steps=list(job.journal.steps), warnings=job.journal.warnings, profiles=list(outcome.profiles),
            fitted=lost_values.with_losses(outcome.fitted, pipeline, outcome.frame),
            deferred=[tag_of(type(s)) for s in pipeline.storage if s.deferred], loaded=loaded,
            peak_memory_bytes=memory.peak(),
        )  # fmt: skip

    def _base(self, pipeline: Pipeline) -> BaseVersion | None:
        """The version that this run continues. A replay has all rows of the newest version in its frame."""
        if self.order.base is None or self.order.replay is not None or pipeline.mode.mode == "replace":
            return None
        return self.order.base.version

    def fail(self, error: errors.PenstockError) -> None:
        """Send the reason why the run ends, and how far it came, without any secret."""
        journal = self.job.journal
        failed = messages.Failed(
            error=self.job.body(error), steps=list(journal.steps), warnings=journal.warnings,
            rows_collected=self.job.rows_collected, peak_memory_bytes=memory.peak(),
        )  # fmt: skip
        self._send(self.job.hidden(failed))

    def _load(self, pipeline: Pipeline, dataset: Dataset, folder: Path) -> None:
        for index, storage in enumerate(pipeline.storage):
            ctx = self.job.context(f"storage[{index}]", folder=folder)
            self.job.step = ctx.step
            began = time.perf_counter()
            with self.job.running(ctx):
                written = storage.load(dataset, folder, ctx)
            if written is not None:
                took = time.perf_counter() - began
                self._send(messages.Loaded(written, ctx.step, took, memory.peak(), datetime.now(UTC)))

    def _relay(self, fields: dict[str, Any]) -> None:
        self._send(self.job.hidden(messages.LogLine(fields)))

    def _send(self, message: messages.WorkerMessage) -> None:
        self._channel.send(messages.encode(message))


def _dataset(pipeline: Pipeline, order: Order, parts: list[Path], rows: int) -> Dataset:
    mode = pipeline.mode
    return Dataset(pipeline.name, order.version, parts, rows, key=mode.key, unique=mode.mode == "merge")


def _collect_and_process(pipeline: Pipeline, job: Job, *, continues: bool) -> Outcome:
    collection = asyncio.run(collect.collect(pipeline, job))
    start = Processed(collection.frame, collection.rows, collection.rejected)
    postponed = whole_profile.last_analyzers(pipeline)
    processed, fit_record = process.process(pipeline, start, job, without=postponed)
    if not whole_profile.is_of_stored_rows(pipeline, processed.frame, continues=continues):
        processed, fit_record = whole_profile.profiled(pipeline, postponed, processed, fit_record, job)
        postponed = frozenset()
    states = tuple(
        CollectorState(one.source.id, one.state, one.report.kept_state)
        for one in collection.collected
        if one.state is not None
    )
    return Outcome(
        processed.frame, [one.source for one in collection.collected], fit_record, rejected=processed.rejected,
        fitted=processed.fitted, profiles=processed.profiles, states=states, postponed=postponed,
        processed_rows=collection.processed_rows,
    )  # fmt: skip
