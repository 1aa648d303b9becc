"""Supervisor: starts run workers, believes only what it sees, and is alone in writing a run's state.

A success is a ``Prepared`` message and a committed publication; whatever else happens to the child (a crash,
a kill, a deadline, silence) ends its run with an error that says so, and harms nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from service.catalog.history import History
from service.catalog.pipelines import Pipelines, Record
from service.kit import errors, ids
from service.kit.clock import Clock
from service.kit.settings import Settings
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.run import Event, Run
from service.model.version import Version
from service.processes.child import Child, Exit
from service.processes.limits import Limits
from service.runs import messages, publication, repair, worker
from service.runs.live import Live
from service.runs.messages import Order
from service.steps import secrets as placeholders
from service.steps.layout import Layout
from service.steps.registry import Registry

_REMEMBERED = 200  # ended runs whose events can still be replayed


@dataclass
class Supervisor:
    """All runs of this process."""

    settings: Settings
    places: Layout
    pipelines: Pipelines
    history: History
    registry: Registry
    clock: Clock
    secrets: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.settings.max_concurrent_runs)
        self._active: dict[str, Live] = {}
        self._recent: OrderedDict[str, Live] = OrderedDict()
        self._loads: set[asyncio.Task[None]] = set()
        self._closing = False

    # what callers ask for

    async def start(self) -> None:
        """Repair what an earlier process left, and load native tables that are missing."""
        await asyncio.to_thread(repair.repair, self.history, self.places, self.clock.now())
        for pipeline_id, version in await asyncio.to_thread(self.history.without_native):
            self._later(self._reload(pipeline_id, version))

    async def execute(self, name: str, requested_by: str | None) -> Run:
        """Queue a run of the newest revision.

        Raises ``errors.Missing``, ``errors.Conflict`` (PIPELINE_RUNNING), ``errors.Unavailable``.
        """
        if self._closing:
            raise errors.Unavailable("the service is stopping", retry_after=10)
        record = await asyncio.to_thread(self.pipelines.get, name)
        pipeline = pipelines.decode(record.document, self.registry)
        if record.id in self._active:
            raise self._running(name, self._active[record.id].run)
        if len(self._active) >= self.settings.max_concurrent_runs + self.settings.max_queued_runs:
            raise errors.Unavailable("too many runs are waiting; try again later", retry_after=5)
        run = Run(
            run_id=ids.new("run"), pipeline=name, revision=record.revision, status="queued",
            requested_by=requested_by, queued_at=self.clock.now(),
        )  # fmt: skip
        live = Live(record.id, run, self.places.log(run.run_id), self.clock)
        self._active[record.id] = self._recent[run.run_id] = live
        while len(self._recent) > _REMEMBERED:
            self._forget_oldest()
        try:
            await asyncio.to_thread(self.history.add_run, record.id, run)
        except BaseException:
            del self._active[record.id], self._recent[run.run_id]
            raise
        live.emit("status", msgspec.to_builtins(run))
        live.task = asyncio.create_task(self._drive(live, record, pipeline))
        return live.view()

    async def wait(self, run_id: str, seconds: float) -> Run:
        """The run when it has ended, or as it stands after ``seconds``."""
        live = self._recent.get(run_id)
        if live is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.settled.wait(), seconds)
        return await self.run(run_id)

    async def run(self, run_id: str) -> Run:
        """The run as it stands. Raises ``errors.Missing`` (RUN_NOT_FOUND)."""
        live = self._recent.get(run_id)
        return live.view() if live is not None else await asyncio.to_thread(self.history.run, run_id)

    async def newest(self, pipeline_id: str) -> Run | None:
        """The newest run of a pipeline as it stands."""
        live = self._active.get(pipeline_id)
        return live.view() if live is not None else await asyncio.to_thread(self.history.newest_run, pipeline_id)

    def is_running(self, pipeline_id: str) -> bool:
        """Whether a run of the pipeline is queued or going."""
        return pipeline_id in self._active

    async def cancel(self, run_id: str) -> Run:
        """End a run now; nothing of it is stored. One that is past its commit, or has ended, stays as it is."""
        live = self._recent.get(run_id)
        if live is None or live.run.ended or live.committing:
            return await self.run(run_id)
        self._stop(live, "cancelled")
        await live.settled.wait()
        return live.view()

    async def events(self, run_id: str, after: int) -> AsyncIterator[Event]:
        """The run's events with an id above ``after``; ends with the run. Raises ``errors.Missing``."""
        live = self._recent.get(run_id)
        if live is not None:
            async for event in live.events(after):
                yield event
            return
        run = msgspec.to_builtins(await self.run(run_id))
        for number, kind in ((1, "status"), (2, "end")):
            if number > after:
                yield Event(id=number, kind=kind, data=run)  # type: ignore[arg-type]

    async def delete(self, name: str, *, purge: bool) -> None:
        """Forget a pipeline; with ``purge`` its stored versions too, also those of one deleted earlier.

        Raises ``errors.Missing``, ``errors.Conflict`` (PIPELINE_RUNNING).
        """
        folder = self.places.pipeline(name)
        try:
            record = await asyncio.to_thread(self.pipelines.get, name)
        except errors.Missing:
            if not (purge and folder.is_dir()):
                raise
        else:
            if record.id in self._active:
                raise self._running(name, self._active[record.id].run)
            await asyncio.to_thread(self.pipelines.delete, name)
        if purge and folder.is_dir():
            gone = self.places.staging(ids.new("purged"))  # a rename is at once; what a crash leaves, a start removes
            folder.replace(gone)
            await asyncio.to_thread(shutil.rmtree, gone, ignore_errors=True)

    async def close(self) -> None:
        """Stop: runs that are going become ``interrupted``, publications finish."""
        self._closing = True
        going = [live for live in self._active.values() if not live.run.ended]
        for live in going:
            if not live.committing:
                self._stop(live, "interrupted")
        for live in going:
            await live.settled.wait()
        pending = [t for t in self._loads if not t.done()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def loaded(self) -> None:
        """Wait until every native table that is on its way is there; for the command line and tests."""
        while self._loads:
            await asyncio.gather(*self._loads, return_exceptions=True)

    # one run

    async def _drive(self, live: Live, record: Record, pipeline: Pipeline) -> None:
        child: Child | None = None
        staging = self.places.staging(live.run.run_id)
        ended = False
        try:
            async with self._slots:
                order = await asyncio.to_thread(self._order, live, record)
                live.begin()
                live.change(status="running", phase="collecting", start_time=self.clock.now())
                live.log("info", "run.started", revision=record.revision)
                child, _ = await asyncio.gather(
                    Child.start(worker.work, messages.encode(order), self._limits(order)),
                    asyncio.to_thread(self.history.update_run, live.run),
                )
                limit = min(pipeline.execution.timeout_seconds, self.settings.run_timeout_seconds)
                async with asyncio.timeout(limit):
                    prepared = await self._listen(live, child)
                version = await self._publish(live, pipeline, order, prepared)
                ended = True
                self._release(live)
                if prepared.deferred:
                    self._later(self._derive(live, child, order, version, _kept(pipeline)))
                    child = None
        except TimeoutError:
            error = errors.Permanent(f"the run took longer than {limit:g} s (execution.timeout_seconds)")
            await self._fail(live, error, code="RUN_TIMEOUT")
        except errors.PenstockError as error:
            await self._fail(live, error)
        except asyncio.CancelledError:
            await self._cancelled(live)
        except Exception as error:
            live.log("error", "run.bug", exception=repr(error))
            await self._fail(live, errors.Permanent(f"the run could not be carried out: {type(error).__name__}"))
        finally:
            if child is not None:
                child.kill()
                await child.wait()
            if not ended:
                self._release(live)
            await asyncio.to_thread(shutil.rmtree, staging, True)
            if ended is False or live.run.storage == []:
                live.close()

    async def _listen(self, live: Live, child: Child) -> messages.Prepared:
        """Take in what the child says until it is prepared. Raises what it failed with."""
        while (data := await child.receive()) is not None:
            said = messages.said(data)
            match said:
                case messages.Prepared():
                    return said
                case messages.Failed():
                    live.change(
                        steps=said.steps, warnings=said.warnings, rows_collected=said.rows_collected,
                        peak_memory_bytes=said.peak_memory_bytes,
                    )  # fmt: skip
                    raise errors.from_body(said.error)
                case _:
                    self._heard(live, said)
        raise self._died(live, await child.wait())

    def _heard(self, live: Live, said: messages.Said) -> None:
        match said:
            case messages.Progress(phase, step, progress, rows):
                live.change(phase=phase, step=step, progress=progress, rows_collected=rows)
                live.emit("progress", {"phase": phase, "step": step, "progress": progress, "rows_collected": rows})
            case messages.Line(fields):
                known = {k: v for k, v in fields.items() if k not in ("level", "event", "run_id", "pipeline")}
                live.log(str(fields.get("level", "info")), str(fields.get("event", "")), **known)

    async def _publish(self, live: Live, pipeline: Pipeline, order: Order, prepared: messages.Prepared) -> Version:
        live.committing = True
        completed, version = await asyncio.to_thread(
            publication.publish, self.history, self.places, pipeline, order, prepared, live.run, self.clock.now(),
            live.elapsed(),
        )  # fmt: skip
        live.log("info", "run.published", version=version.version, rows=version.rows, bytes=version.bytes)
        live.change(**{f: getattr(completed, f) for f in Run.__struct_fields__})
        return version

    async def _derive(self, live: Live, child: Child, order: Order, version: Version, keep: int) -> None:
        """After the commit: let the child load the deferred forms, and remember each."""
        try:
            folder = self.places.version(version.pipeline, version.version)
            await child.send(messages.encode(messages.Commit(str(folder))))
            await self._take_loaded(live, child, order, version, keep)
        except Exception as error:
            live.log("error", "native.failed", exception=repr(error))
        finally:
            child.kill()
            await child.wait()
            live.close()

    async def _take_loaded(self, live: Live, child: Child, order: Order, version: Version, keep: int) -> None:
        while (data := await child.receive()) is not None:
            said = messages.said(data)
            match said:
                case messages.Loaded():
                    run, version = await asyncio.to_thread(
                        publication.note_loaded, self.history, order, live.run, version, said
                    )
                    live.run = run
                    live.log("info", "native.loaded", step=said.step, bytes=run.storage[-1].bytes)
                    await asyncio.to_thread(
                        publication.expire_native, self.history, self.places, order.pipeline_id, keep
                    )
                case messages.Failed():
                    # The version stands and answers from Parquet; the next start tries again.
                    live.log("error", "native.failed", message=said.error.message)
                case _:
                    self._heard_late(live, said)

    def _heard_late(self, live: Live, said: messages.Said) -> None:
        if isinstance(said, messages.Line):
            self._heard(live, said)

    async def _reload(self, pipeline_id: str, version: Version) -> None:
        """Load the native table of a version that a crash left without."""
        run = await asyncio.to_thread(self.history.run, version.run_id)
        record = await asyncio.to_thread(self.pipelines.get, version.pipeline)
        revision = await asyncio.to_thread(self.pipelines.get, version.pipeline, version.revision)
        pipeline = pipelines.decode(revision.document, self.registry)
        live = Live(pipeline_id, run, self.places.log(run.run_id), self.clock)
        order = await asyncio.to_thread(self._order, live, record, version)
        child = await Child.start(worker.work, messages.encode(order), self._limits(order))
        try:
            await self._take_loaded(live, child, order, version, _kept(pipeline))
        finally:
            child.kill()
            await child.wait()
            live.close()

    # ends

    async def _fail(self, live: Live, error: errors.PenstockError, *, code: str | None = None) -> None:
        body = error.as_body()
        body = msgspec.structs.replace(body, code=code or body.code, details={"step": live.run.step, **body.details})
        live.log("error", "run.failed", code=body.code, message=body.message)
        await self._end(live, status="failed", error=body)

    async def _cancelled(self, live: Live) -> None:
        status = live.cancelled_as or "interrupted"
        error = None
        if status == "interrupted":
            stopped = errors.Transient("the service stopped while the run was going; execute it again")
            error = msgspec.structs.replace(stopped.as_body(), code="RUN_INTERRUPTED", details={"step": live.run.step})
        live.log("warning", f"run.{status}")
        await self._end(live, status=status, error=error)

    async def _end(self, live: Live, **fields: Any) -> None:
        ended = msgspec.structs.replace(
            live.run, end_time=self.clock.now(), duration=live.elapsed(), phase=None, **fields
        )
        await asyncio.to_thread(self.history.update_run, ended)
        self._release(live)
        live.change(**{f: getattr(ended, f) for f in Run.__struct_fields__})

    def _died(self, live: Live, end: Exit) -> errors.PenstockError:
        limit = f"{self.settings.run_memory_limit >> 20} MiB"
        if end.signal in (signal.SIGABRT, signal.SIGKILL):
            return errors.Permanent(
                f"the run's process was ended ({end}), most likely for want of memory: a run may use {limit} "
                "(PENSTOCK_RUN_MEMORY_LIMIT)", code="RUN_OUT_OF_MEMORY",
            )  # fmt: skip
        return errors.Permanent(
            f"the run's process ended without an answer ({end}); nothing was stored", code="RUN_CRASHED"
        )

    def _stop(self, live: Live, status: str) -> None:
        live.cancelled_as = status
        if live.task is not None:
            live.task.cancel()

    def _release(self, live: Live) -> None:
        if self._active.get(live.pipeline_id) is live:
            del self._active[live.pipeline_id]

    # what it needs

    def _order(self, live: Live, record: Record, again: Version | None = None) -> Order:
        """The worker's order, its staging folder made. Blocks."""
        staging = self.places.staging(live.run.run_id)
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {n: v for n, v in self.secrets.items() if n in placeholders.names(str(record.document))}
        reload = None
        if again is not None:
            folder = self.places.version(again.pipeline, again.version)
            parts = tuple(str(folder / f.name) for f in again.files)
            reload = messages.Reload(folder=str(folder), parts=parts, rows=again.rows)
        return Order(
            run_id=live.run.run_id, pipeline_id=record.id, document=record.document, revision=record.revision,
            version=again.version if again is not None else self.history.next_version(record.id),
            staging=str(staging), file_roots=(str(self.places.uploads), *self.settings.file_roots),
            allowed_private_hosts=self.settings.allowed_private_hosts, secrets=known,
            memory_bytes=self.settings.run_memory_limit, created=self.clock.now(), reload=reload,
        )  # fmt: skip

    def _limits(self, order: Order) -> Limits:
        write = (order.staging,) if order.reload is None else (order.staging, order.reload.folder)
        return Limits(
            memory_bytes=order.memory_bytes, open_files=1024, network=order.reload is None, read=order.file_roots,
            write=write,
        )  # fmt: skip

    def _running(self, name: str, run: Run) -> errors.Conflict:
        return errors.Conflict(
            f"'{name}' is being run ({run.run_id}); wait for it or cancel it",
            code="PIPELINE_RUNNING",
            run_id=run.run_id,
        )

    def _later(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._loads.add(task)
        task.add_done_callback(self._loads.discard)

    def _forget_oldest(self) -> None:
        for run_id, live in self._recent.items():
            if live.run.ended:
                del self._recent[run_id]
                return


def _kept(pipeline: Pipeline) -> int:
    """How many of the newest versions keep their native file."""
    return next((int(getattr(s, "keep_native", 1)) for s in pipeline.storage if s.deferred), 1)
