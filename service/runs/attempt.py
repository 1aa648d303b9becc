"""Attempt: one run carried out in one child, from its order to its end.

A success is a ``Prepared`` message and a committed publication. Whatever else happens to the child (a crash, a
kill, a deadline, silence) raises an error that says so; the supervisor writes it down.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from service.catalog.history import History
from service.catalog.pipelines import Record
from service.kit import errors
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.run import Run
from service.model.version import Version
from service.processes.child import Child, Exit
from service.processes.limits import Limits
from service.runs import messages, publication, worker
from service.runs.live import Live
from service.runs.messages import Order
from service.steps import secrets as placeholders
from service.steps.layout import Layout
from service.steps.registry import Registry


@dataclass(frozen=True)
class Surroundings:
    """What every run of this process shares."""

    settings: Settings
    places: Layout
    history: History
    registry: Registry
    clock: Clock
    secrets: Mapping[str, str]

    def decode(self, record: Record) -> Pipeline:
        """The pipeline at the record's revision."""
        return pipelines.decode(record.document, self.registry)


class Attempt:
    """One run in one child. ``carry_out`` until the commit, then ``derive`` the native forms, then ``close``."""

    def __init__(self, around: Surroundings, live: Live, record: Record) -> None:
        self._around = around
        self._live = live
        self._record = record
        self._pipeline = around.decode(record)
        self._child: Child | None = None
        self._order: Order | None = None
        self._version: Version | None = None

    @property
    def limit(self) -> float:
        """How long the run may take, in seconds."""
        return min(self._pipeline.execution.timeout_seconds, self._around.settings.run_timeout_seconds)

    async def carry_out(self) -> bool:
        """Collect, process, store, commit. Answers whether forms are left to derive.

        Raises what the run failed with; ``TimeoutError`` after ``limit``.
        """
        live, history = self._live, self._around.history
        order = self._order = await asyncio.to_thread(self._make_order)
        live.begin()
        live.change(status="running", phase="collecting", start_time=self._around.clock.now())
        live.log("info", "run.started", revision=self._record.revision)
        child, _ = await asyncio.gather(
            Child.start(worker.work, messages.encode(order), self._limits(order)),
            asyncio.to_thread(history.update_run, live.run),
        )
        self._child = child
        async with asyncio.timeout(self.limit):
            prepared = await self._listen(child)
        live.committing = True
        completed, version = await asyncio.to_thread(
            publication.publish, history, self._around.places, self._pipeline, order, prepared, live.run,
            self._around.clock.now(), live.elapsed(),
        )  # fmt: skip
        live.log("info", "run.published", version=order.version, rows=prepared.rows, bytes=version.bytes)
        self._version = version
        live.become(completed)
        return bool(prepared.deferred)

    async def derive(self) -> None:
        """After the commit: let the child load the native forms, and remember each. Never raises for a form."""
        assert self._child is not None
        assert self._version is not None
        folder = self._around.places.version(self._version.pipeline, self._version.version)
        try:
            await self._child.send(messages.encode(messages.Commit(str(folder))))
            await self._take_loaded(self._child)
        except ConnectionError:
            self._live.log("error", "native.failed", message=str(await self._child.wait()))

    async def reload(self, version: Version) -> None:
        """Load the native forms of a version that a crash left without."""
        self._version = version
        order = self._order = await asyncio.to_thread(self._make_order, version)
        self._child = await Child.start(worker.work, messages.encode(order), self._limits(order))
        await self._take_loaded(self._child)

    async def close(self) -> None:
        """End the child if it is still there. Safe to call again."""
        if self._child is not None:
            self._child.kill()
            await self._child.wait()

    async def _listen(self, child: Child) -> messages.Prepared:
        live = self._live
        while (data := await child.receive()) is not None:
            match messages.said(data):
                case messages.Prepared() as prepared:
                    return prepared
                case messages.Failed() as failed:
                    live.change(
                        steps=failed.steps, warnings=failed.warnings, rows_collected=failed.rows_collected,
                        peak_memory_bytes=failed.peak_memory_bytes,
                    )  # fmt: skip
                    raise errors.from_body(failed.error)
                case messages.Progress(phase, step, progress, rows):
                    live.change(phase=phase, step=step, progress=progress, rows_collected=rows)
                    noted = {"phase": phase, "step": step, "progress": progress, "rows_collected": rows}
                    live.emit("progress", noted)
                case messages.Line() as line:
                    live.relay(line.fields)
        raise self._died(await child.wait())

    async def _take_loaded(self, child: Child) -> None:
        around, live = self._around, self._live
        assert self._version is not None
        assert self._order is not None
        version, order = self._version, self._order
        while (data := await child.receive()) is not None:
            match messages.said(data):
                case messages.Loaded() as loaded:
                    live.run, version = await asyncio.to_thread(
                        publication.note_loaded, around.history, order, live.run, version, loaded
                    )
                    live.log("info", "native.loaded", step=loaded.step, rows=loaded.written.rows)
                    keep = next((int(getattr(s, "keep_native", 1)) for s in self._pipeline.storage if s.deferred), 1)
                    await asyncio.to_thread(
                        publication.expire_native, around.history, around.places, self._record.id, keep
                    )
                case messages.Failed() as failed:
                    # The version stands and answers from Parquet; the next start tries again.
                    live.log("error", "native.failed", message=failed.error.message)
                case messages.Line() as line:
                    live.relay(line.fields)
        if any(stored.state == "loading" for stored in live.run.storage):
            live.log("error", "native.missing", message="the next start of the service tries again")
            live.run = await asyncio.to_thread(publication.note_unloaded, around.history, live.run)

    def _died(self, end: Exit) -> errors.PenstockError:
        if end.signal in (signal.SIGABRT, signal.SIGKILL):
            return errors.Permanent(
                f"the run's process was ended ({end}), most likely for want of memory: a run may use "
                f"{self._around.settings.run_memory_limit >> 20} MiB (PENSTOCK_RUN_MEMORY_LIMIT)",
                code="RUN_OUT_OF_MEMORY",
            )
        return errors.Permanent(
            f"the run's process ended without an answer ({end}); nothing was stored", code="RUN_CRASHED"
        )

    def _make_order(self, again: Version | None = None) -> Order:
        """The worker's order, its staging folder made. Blocks."""
        around, record, run = self._around, self._record, self._live.run
        staging = around.places.staging(run.run_id)
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = placeholders.names(str(record.document))
        reload = None
        if again is not None:
            folder = around.places.version(again.pipeline, again.version)
            parts = tuple(str(folder / f.name) for f in again.files)
            reload = messages.Reload(folder=str(folder), parts=parts, rows=again.rows)
        stored = {} if again is not None else self._stored()
        return Order(
            run_id=run.run_id, pipeline_id=record.id, document=record.document, revision=record.revision,
            version=again.version if again is not None else around.history.next_version(record.id),
            staging=str(staging), file_roots=(str(around.places.uploads), *around.settings.file_roots),
            allowed_private_hosts=around.settings.allowed_private_hosts,
            secrets={n: v for n, v in around.secrets.items() if n in wanted},
            memory_bytes=around.settings.run_memory_limit, created=around.clock.now(), reload=reload,
            stored=stored,
        )  # fmt: skip

    def _stored(self) -> dict[int, messages.Stored]:
        """The versions that collectors read, found before the run starts: all see what there is now. Blocks."""
        found = {}
        for index, collector in enumerate(self._pipeline.collectors):
            wanted = collector.upstream()
            if wanted is None:
                continue
            version = self._around.history.version_of(wanted.pipeline, wanted.version)
            if version is None:
                which = f"version {wanted.version}" if wanted.version is not None else "stored version"
                raise errors.Permanent(
                    f"there is no {which} of a pipeline '{wanted.pipeline}'; execute that pipeline first",
                    step=f"collectors[{index}]", field=f"collectors[{index}].name",
                )  # fmt: skip
            folder = self._around.places.version(version.pipeline, version.version)
            parts = tuple(str(folder / f.name) for f in version.files)
            found[index] = messages.Stored(
                pipeline=version.pipeline, version=version.version, parts=parts, rows=version.rows
            )
        return found

    def _limits(self, order: Order) -> Limits:
        parts = tuple(part for stored in order.stored.values() for part in stored.parts)
        return Limits(
            memory_bytes=order.memory_bytes, open_files=1024, network=order.reload is None,
            read=(*order.file_roots, *parts),
            write=(order.staging,) if order.reload is None else (order.staging, order.reload.folder),
        )  # fmt: skip


def interrupted(run: Run) -> errors.Body:
    """The error of a run that the service died under or was stopped under."""
    details = {"step": run.step} if run.step else {}
    return errors.Body(
        "RUN_INTERRUPTED", "the service stopped while the run was going; execute it again", details, "Transient"
    )
