"""The supervisor: queues, resumes, cancels and shows the runs of this process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import structlog

from service.catalog import trigger_inputs
from service.catalog.history import Alongside
from service.catalog.pipelines import PipelineRecord, Pipelines, missing, refuse_deleted
from service.catalog.store import Transaction
from service.jobs.messages import Replay
from service.kit import errors, ids
from service.model.lifecycle import Status
from service.model.run import ReplayedRow, Run
from service.model.service_process import ProcessKind, ServiceProcess
from service.model.version import Version
from service.runs import replay_request, shared_runs, version_upkeep
from service.runs.active_runs import ActiveRuns
from service.runs.driver import RunDriver, execution
from service.runs.event_stream import Batch
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.runs.membership import Membership
from service.runs.native_loads import NativeLoads
from service.runs.restorer import Restorer
from service.runs.shared_runs import SharedRuns
from service.runs.slots import Slots
from service.telemetry import log_context

_log = structlog.get_logger("penstock.server")


class Supervisor:
    """The runs of this process. ``on_freed`` are called when a run has ended and its pipeline may run again."""

    def __init__(self, resources: JobResources, pipelines: Pipelines) -> None:
        self.pipelines = pipelines
        self.history = resources.history
        self._resources = resources
        self._runs = ActiveRuns()
        self.on_freed = self._runs.on_freed
        self._membership = Membership(resources)
        self._slots = slots = Slots(resources.settings.max_concurrent_runs)
        self._loads = NativeLoads(resources, pipelines, slots)
        self._driver = RunDriver(resources, pipelines, slots, self._loads, self._runs, self._membership)
        queue = resources.history.queue
        if resources.spark is not None:
            queue.on_taken_over.append(resources.spark.end_taken)
        self._shared: SharedRuns | None = None
        if queue.shared:
            self._shared = SharedRuns(resources, pipelines, slots, self._driver, self._runs, self._membership)
        self.on_changed: list[Callable[[], None]] = self._shared.on_changed if self._shared is not None else []
        self._closing = False
        self._restorer = Restorer(resources, self._runs, self._driver, self._loads)

    # called by the API and the command line

    async def start(self) -> None:
        """Renew the leases of runs from now on, and load native tables that are missing."""
        self._driver.open()
        loop = asyncio.get_running_loop()
        self._resources.integrity.on_damaged_native = lambda version: _in_loop(loop, self._loads.rebuild, version)
        await self._loads.start()
        if self._shared is not None:
            self._shared.start()

    async def resume(self, kind: ProcessKind = "serve") -> None:
        """Go on with the runs that wait for an attempt since an earlier start; at the end leave such runs waiting.

        From now on workers wait for runs, and others see this process.
        """
        await asyncio.to_thread(self._membership.begin, kind)
        self._driver.resumes = True
        await self._resources.warm()
        if self._shared is not None:
            self._shared.look_soon()
            return
        for pipeline_id, run in await asyncio.to_thread(self.history.queue.waiting):
            live = LiveRun.of(self._resources, pipeline_id, run)
            try:
                record = await asyncio.to_thread(self.pipelines.get, run.pipeline, run.revision)
                if record.id != pipeline_id:
                    raise missing(run.pipeline)
                self._runs.refuse_second(record)
            except errors.PenstockError as error:
                await self._driver.fail(live, error)
                continue
            self._runs.add(live)
            live.announce()
            self._driver.start(live, record)

    async def execute(
        self, name: str, requested_by: str | None, *, full_refresh: bool = False, alongside: Sequence[Alongside] = ()
    ) -> Run:
        """Queue a run of the newest revision; with ``full_refresh`` collectors start without their state.

        ``alongside`` is committed with the run. Raises ``errors.Missing``, ``errors.Conflict`` (PIPELINE_RUNNING),
        ``errors.Unavailable``, and what ``alongside`` raises.
        """
        record = await self._idle(name)
        return await self._queue(record, requested_by, full_refresh=full_refresh, alongside=alongside)

    def processes(self) -> list[ServiceProcess]:
        """The processes that serve the installation, oldest first. Blocks."""
        return self._membership.all()

    def lacking(self, label: str | None) -> str | None:
        """What runs with that label would lack, if no process executes them; else None. Blocks."""
        return self._membership.lacking(label)

    def is_active(self, pipeline_id: str) -> bool:
        """Whether a run of the pipeline is waiting or in progress."""
        return self._runs.is_busy(pipeline_id)

    def reserved(self, record: PipelineRecord) -> AbstractContextManager[None]:
        """No run of the pipeline begins in the context. Raises ``errors.Conflict`` (PIPELINE_RUNNING)."""
        return self._runs.reserved(record)

    @property
    def statuses(self) -> list[Status]:
        """The statuses of the runs that have not ended."""
        return [live.run.status for live in self._runs.all if not live.run.ended]

    @property
    def workers(self) -> dict[str, int]:
        """How many processes of runs are ``busy``, and how many are ``kept``."""
        return {"busy": self._driver.at_work, "kept": self._resources.kept.waiting}

    def load_native(self, pipeline_id: str, version: Version) -> None:
        """Begin to load the native form of a version that was accepted after its run had ended."""
        self._runs.forget(version.run_id)
        self._loads.load_missing(pipeline_id, version)

    def reads(self, folder: Path) -> bool:
        """Whether a run in progress reads the version in ``folder``, or its native form is being loaded."""
        paths = (Path(path) for live in self._runs.all for path in live.reads)
        return self._loads.is_loading(folder) or any(path.is_relative_to(folder) for path in paths)

    async def replay(
        self, name: str, requested_by: str | None, version: int | str | None = None, *,
        rows: Sequence[ReplayedRow] = (), alongside: Sequence[Alongside] = (),
    ) -> Run:  # fmt: skip
        """Queue a run that retries ``rows`` (or all) of the quarantine of ``version`` (the newest by default).

        Raises as ``execute``; ``errors.Missing`` (NO_DATA, VERSION_NOT_FOUND) and ``errors.Invalid`` if there are no
        rows to retry.
        """
        record = await self._idle(name)
        replay = await asyncio.to_thread(replay_request.build, self.pipelines, self._resources, record, version, rows)
        return await self._queue(record, requested_by, replay, alongside=alongside)

    async def restore(
        self, name: str, number: int | str, requested_by: str | None, *, state: bool = False,
        alongside: Sequence[Alongside] = (),
    ) -> Version:  # fmt: skip
        """Commit the rows of a version as the newest version; the newest itself if it has them already.

        Collectors keep their state unless ``state``. Raises ``errors.Missing``, ``errors.Conflict`` (PIPELINE_RUNNING;
        CONFLICT for a held version) and ``errors.PenstockError`` (DATA_CORRUPT).
        """
        record = await self._idle(name)
        return await self._restorer.restore(
            record, number, requested_by, state=state, alongside=[*self._refusals(record), *alongside]
        )

    async def _idle(self, name: str) -> PipelineRecord:
        if self._closing:
            raise errors.Unavailable("the service is stopping", retry_after=10)
        known = self.pipelines.has(name)
        record = self.pipelines.get(name) if known else await asyncio.to_thread(self.pipelines.get, name)
        self._runs.refuse_second(record)
        return record

    async def _queue(
        self, record: PipelineRecord, requested_by: str | None, replay: Replay | None = None, *,
        full_refresh: bool = False, alongside: Sequence[Alongside] = (),
    ) -> Run:  # fmt: skip
        self._runs.refuse_second(record)
        settings = self._resources.settings
        if self._shared is None and len(self._runs) >= settings.max_concurrent_runs + settings.max_queued_runs:
            raise errors.Unavailable("too many runs are waiting; try again later", retry_after=5, limit="runs")
        how = execution(record)
        run = Run(
            run_id=ids.new("run"), pipeline=record.name, revision=record.revision, status="queued",
            requested_by=requested_by, request_id=log_context.request_id(), queued_at=self._resources.clock.now(),
            max_attempts=how.max_attempts,
            replay_of=replay.version if replay is not None else None, full_refresh=full_refresh,
            replayed_rows=list(replay.rows) if replay is not None else [], label=how.label,
        )  # fmt: skip
        live = LiveRun.of(self._resources, record.id, run)
        self._runs.add(live)
        await asyncio.shield(asyncio.create_task(self._begin(live, record, replay, alongside)))
        return live.view()

    async def _begin(
        self, live: LiveRun, record: PipelineRecord, replay: Replay | None, alongside: Sequence[Alongside]
    ) -> None:
        """Store a run and start its task. With a free slot the first attempt is stored with the run."""
        try:
            run, seen = await self._driver.first_state(live), functools.partial(_note_pipeline, record)
            is_left = self._shared is not None and live.stored_begin is None  # to whoever has a free slot
            if is_left:
                live.change(waiting_for=await asyncio.to_thread(self._membership.lacking, run.label))
                run = live.run
            waits: list[Alongside] = [shared_runs.note_queued] if is_left else []
            also: list[Alongside] = [*self._refusals(record), *alongside, seen, *waits]
            await asyncio.to_thread(self.history.add_run, record.id, run, also)
        except BaseException:
            self._runs.drop(live)
            self._driver.abandon(live)
            raise
        if self._shared is not None and is_left:
            self._runs.drop(live)
            self._shared.look_soon()
            return
        live.announce()
        self._driver.start(live, record, replay)

    def _refusals(self, record: PipelineRecord) -> list[Alongside]:
        """What the transaction that stores a run checks where other processes store runs, too."""
        return [functools.partial(self._shared.refuse, record.id)] if self._shared is not None else []

    async def wait(self, run_id: str, seconds: float) -> Run:
        """The run when it has ended, or its state after ``seconds``."""
        live = self._runs.find(run_id)
        if live is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.settled.wait(), seconds)
        if live is None and self._shared is not None:
            return await self._shared.wait(run_id, seconds)
        return await self.run(run_id)

    async def run(self, run_id: str) -> Run:
        """The present state of a run. Raises ``errors.Missing`` (RUN_NOT_FOUND)."""
        live = self._runs.find(run_id)
        return live.view() if live is not None else await asyncio.to_thread(self.history.run, run_id)

    async def newest(self, pipeline_id: str) -> Run | None:
        """The present state of the newest run of a pipeline."""
        live = self._runs.of(pipeline_id)
        if live is not None:
            return live.view()
        known = self.history.has_newest_run(pipeline_id)
        newest = self.history.newest_run
        run = newest(pipeline_id) if known else await asyncio.to_thread(newest, pipeline_id)
        return self._driver.unwritten.get(run.run_id, run) if run is not None else None

    def newest_statuses(self, pipeline_ids: Sequence[str]) -> dict[str, str]:
        """The present status of the newest run of each of these pipelines, by pipeline id. Blocks."""
        unwritten = self._driver.unwritten
        newest = {live.pipeline_id: live.run for live in self._runs.known}
        ended = {pipeline_id: run.status for pipeline_id, run in newest.items() if run.run_id in unwritten}
        return self.history.newest_statuses(pipeline_ids) | ended

    def present(self) -> dict[str, Run]:
        """The present state of runs that the catalog may lack, by run id."""
        return {live.run.run_id: live.view() for live in self._runs.all} | self._driver.unwritten

    async def runs(
        self, pipeline_id: str, *, limit: int, offset: int, status: Status | None = None
    ) -> tuple[list[Run], int]:
        """Runs in their present state, newest first, and how many there are in all.

        The catalog may lack the present status of a run: that of one that is going, and an end that could not be
        written yet. Such runs are few, and are filtered here.
        """
        present = {live.run.run_id: live.view() for live in self._runs.all if live.pipeline_id == pipeline_id}
        present |= self._driver.unwritten
        if status is None or not present:
            found, total = await asyncio.to_thread(
                self.history.runs, pipeline_id, limit=limit, offset=offset, status=status
            )
            return [present.get(run.run_id, run) for run in found], total
        every, _ = await asyncio.to_thread(self.history.runs, pipeline_id, limit=1 << 31, offset=0)
        chosen = [run for run in (present.get(run.run_id, run) for run in every) if run.status == status]
        return chosen[offset : offset + limit], len(chosen)

    async def cancel(self, run_id: str) -> Run:
        """End a run now and store nothing of it. A run that is committing or has ended is left as it is."""
        live = self._runs.find(run_id)
        if live is None and self._shared is not None:
            return await self._shared.cancel(run_id)
        if live is None or live.run.ended or live.committing:
            return await self.run(run_id)
        if self._shared is not None:  # first in the catalog: a process that lost the run to another one may not answer
            await self._shared.cancel(run_id)
        if not live.committing:
            self._driver.stop(live, "cancelled")
        await live.settled.wait()
        return live.view()

    async def events(self, run_id: str, after: int, quiet_seconds: float) -> AsyncGenerator[Batch, None]:
        """The run's events with an id above ``after``, up to its end; an empty batch after each quiet time.

        The stream ends without an end if another process goes on with the run. Raises ``errors.Missing``.
        """
        found = self._resources.journals.follow(await self.run(run_id), self._runs.find(run_id), after, quiet_seconds)
        async with contextlib.aclosing(found) as batches:
            async for batch in batches:
                yield batch

    async def log_lines(self, run_id: str) -> AsyncGenerator[Sequence[bytes], None]:
        """The log lines of a run so far, some at a time. Raises ``errors.Missing``."""
        journals, run = self._resources.journals, await self.run(run_id)
        await journals.flush(run)
        parts = journals.log_lines(run.run_id)
        while (lines := await asyncio.to_thread(next, parts, None)) is not None:
            yield lines

    async def delete(self, name: str, *, purge: bool, readable: frozenset[str] | None = None) -> None:
        """Delete a pipeline; with ``purge`` also its stored versions, even if it was deleted earlier.

        Raises ``errors.Missing``, ``errors.Conflict`` (PIPELINE_RUNNING), ``errors.Unavailable`` if the object store
        does not work: then ``purge`` must be repeated.
        """
        absent: errors.Missing | None = None
        try:
            record = await asyncio.to_thread(self.pipelines.get, name)
        except errors.Missing as error:
            absent = error
        else:
            idle = shared_runs.idle(self.history.queue, record.id)
            with self.reserved(record):
                await self._loads.cancel(record.id, name)
                await asyncio.to_thread(self.pipelines.delete, name, readable=readable, alongside=idle)
        self._resources.integrity.forget(name)
        purged = purge and await asyncio.to_thread(version_upkeep.purge, self._resources.layout, self.history, name)
        if absent is not None and not purged:
            raise absent

    @property
    def draining(self) -> bool:
        """Whether this process begins no run any more, since it ends soon."""
        return self._slots.closed

    async def drain(self, seconds: float, at_once: asyncio.Event) -> None:
        """Begin no run any more, let those that are going end, and close.

        After ``seconds``, or when ``at_once`` is set, those that have not ended are stopped, as ``close`` does.
        """
        self._slots.close()
        going = [live for live in self._runs.all if live.run.status == "running"]
        if going and seconds:
            _log.info("server.draining", runs=len(going), seconds=seconds)
            await asyncio.to_thread(self._membership.drain)
            ends = [asyncio.create_task(event.wait()) for event in (at_once, *(live.settled for live in going))]
            hurry, *rest = ends
            ended = asyncio.ensure_future(asyncio.wait(rest))
            await asyncio.wait([hurry, ended], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, *ends):
                task.cancel()
            await asyncio.gather(ended, *ends, return_exceptions=True)
        await self.close()

    async def close(self) -> None:
        """Stop; publications finish. Runs that another attempt may complete wait for the next start if it resumes
        them; others become ``interrupted``."""
        self._closing = True
        if self._shared is not None:
            await self._shared.close()
        going = [live for live in self._runs.all if not live.run.ended]
        for live in going:
            if not live.committing:
                self._driver.stop(live, "closing")
        for live in going:
            await live.settled.wait()
        tasks = [live.task for live in self._runs.known if live.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._restorer.close()
        await self._loads.close()
        await self._driver.close()
        await self._resources.journals.close()
        await asyncio.to_thread(self._membership.end)
        await self._resources.close()
        if self._shared is not None:
            await self._shared.pace.close()

    async def loaded(self) -> None:
        """Wait until all native tables that are being loaded are ready; for the command line and tests."""
        await self._loads.wait()


def _note_pipeline(record: PipelineRecord, transaction: Transaction, run: Run) -> None:
    refuse_deleted(record, transaction, run)
    trigger_inputs.note_run(transaction, record.id, record.document, run)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[Version], None], version: Version) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the service has stopped
        loop.call_soon_threadsafe(call, version)
