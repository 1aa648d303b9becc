"""The driver of runs: takes a run through its attempts to its end, and stores each change of its status.

A run holds a slot while a worker is at work for it (``runs.slots``), and none while it waits to be tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from service.catalog.pipelines import PipelineRecord, Pipelines
from service.files import disk
from service.jobs.messages import Replay
from service.kit import errors
from service.model import lifecycle
from service.model.lifecycle import WAITING, Status
from service.model.pipeline import Execution
from service.model.run import Run
from service.runs import attempt_records, traced_run
from service.runs.active_runs import ActiveRuns
from service.runs.attempt import Attempt
from service.runs.job_resources import JobResources
from service.runs.leases import Renewal
from service.runs.live_run import LiveRun, Reason
from service.runs.membership import Membership
from service.runs.native_loads import NativeLoads
from service.runs.run_errors import interrupted
from service.runs.run_records import RunRecords
from service.runs.slots import Slots
from service.telemetry import log_context

_PATIENCE = 2.0
"""Seconds that the end of an attempt waits until its job on a cluster is interrupted; that goes on without it."""


class RunDriver:
    """Drives runs in tasks of the event loop. ``runs`` has those that are active.

    ``resumes`` is whether the next start goes on with the runs that wait when this process ends.
    """

    def __init__(
        self,
        resources: JobResources,
        pipelines: Pipelines,
        slots: Slots,
        loads: NativeLoads,
        runs: ActiveRuns,
        membership: Membership,
    ) -> None:
        self.resumes = False
        self._resources = resources
        self._pipelines = pipelines
        self._history = resources.history
        self._loads = loads
        self._runs = runs
        self._release = runs.release
        self._shared = resources.history.queue.shared
        self._slots = slots
        self._membership = membership
        self._records = RunRecords(resources.history)
        if self._shared:  # then the catalog is asked
            self._records.on_refused = runs.forget
        self._renewal = Renewal(resources.history.lease, resources.clock, membership.renew)

    def open(self) -> None:
        """Begin to renew the lease of this process on its runs."""
        self._renewal.start()

    async def first_state(self, live: LiveRun) -> Run:
        """The state in which a new run is stored: with a free slot its first attempt begins at once."""
        if not (self._slots.has_free and (self._membership.own.fits(live.run.label) or not self._shared)):
            return live.run
        await self._slots.take(live.run.run_id)
        live.fence = 1
        live.stored_begin = attempt_records.begun(live.run, self._resources.clock.now())
        return live.stored_begin

    def abandon(self, live: LiveRun) -> None:
        """Forget a run that could not be stored."""
        self._slots.free(live.run.run_id)
        live.suspend()

    def start(self, live: LiveRun, record: PipelineRecord, replay: Replay | None = None) -> None:
        """Start the task of a run that is stored."""
        live.task = asyncio.create_task(self._drive(live, record, replay))

    def stop(self, live: LiveRun, why: Reason) -> None:
        """Stop the task of a run, once; its event ``settled`` is set when it has ended."""
        if live.stopped_as is not None:  # it is about to end, which must not be cut short
            return
        live.stopped_as = why
        if live.task is not None and live.has_begun:
            live.task.cancel()

    async def fail(self, live: LiveRun, error: errors.PenstockError) -> None:
        """End a run with an error. One whose worker was lost is ``interrupted``."""
        body = self._body(live, error)
        status: Status = "interrupted" if attempt_records.is_lost(error) else "failed"
        live.log("error", f"run.{status}", code=body.code, message=body.message)
        await self._end(live, status, body)

    @property
    def at_work(self) -> int:
        """How many runs have a worker."""
        return self._slots.held

    @property
    def unwritten(self) -> dict[str, Run]:
        """The runs whose end the catalog does not have yet, by id."""
        return self._records.unwritten

    async def close(self) -> None:
        """Write the ends of runs that could not be written yet, and let the lease run out."""
        await self._records.close()
        await self._renewal.close()

    async def _drive(self, live: LiveRun, record: PipelineRecord, replay: Replay | None) -> None:
        live.has_begun = True
        span = self._resources.traces.begin()
        log_context.bind(run_id=live.run.run_id, pipeline=live.run.pipeline, request_id=live.run.request_id)
        try:
            if live.stopped_as is not None:  # it was stopped before this task began
                raise asyncio.CancelledError
            if (misfit := self._membership.misfit(live.run.label)) is not None:
                await self.fail(live, errors.Permanent(misfit, field="execution.label"))
                return
            await self._wait(live)
            while (error := await self._attempt(live, record, replay)) is not None:
                again = attempt_records.has_more(live.run) and attempt_records.is_transient(error)
                delay = attempt_records.delay(live.run, execution(record), error)
                is_stored = again and await self._store_waiting(live, error, delay)
                if (again and self._shared) or (is_stored and self._slots.closed):
                    # whoever has a free slot goes on, at the latest when the lease is over; or the next start does
                    self._suspend(live)
                    return
                if not is_stored:
                    await self.fail(live, error)
                    return
                await self._wait(live)
        except (lifecycle.IllegalTransition, lifecycle.Superseded) as refusal:
            await self._take_over(live, refusal)
        except asyncio.CancelledError:
            await self._stopped(live)
        except Exception as error:  # a fault of ours; the run ends all the same
            live.log("error", "run.bug", exception=repr(error))
            await self.fail(live, _unexpected(error))
        finally:
            traced_run.end(span, live.run)
            self._slots.free(live.run.run_id)

    async def _wait(self, live: LiveRun) -> None:
        """Wait until the next attempt of a run may begin."""
        if live.run.retry_at is not None:
            await asyncio.sleep((live.run.retry_at - self._resources.clock.now()).total_seconds())
        await self._slots.take(live.run.run_id)

    async def _attempt(
        self, live: LiveRun, record: PipelineRecord, replay: Replay | None
    ) -> errors.PenstockError | None:
        """Make one attempt. Returns its error; None if it has committed."""
        attempt: Attempt | None = None
        has_committed = False
        try:
            attempt = Attempt(self._resources, self._pipelines, live, record, replay)
            unfinished = await attempt.run(functools.partial(self._slots.commit_without, live.run.run_id))
            has_committed = True
            self._release(live)
            if unfinished:
                self._loads.finish(attempt, live)
                attempt = None
            return None
        except TimeoutError:
            limit = attempt.limit if attempt is not None else 0
            message = f"the run took longer than {limit:g} s (execution.timeout_seconds)"
            return errors.Permanent(message, code="RUN_TIMEOUT")
        except (lifecycle.IllegalTransition, lifecycle.Superseded):
            live.stopped_as = live.stopped_as or "superseded"
            raise
        except errors.PenstockError as error:
            return error
        except Exception as error:
            if disk.is_full(error):
                return disk.storage_full()
            live.log("error", "run.bug", exception=repr(error))
            return _unexpected(error)
        finally:
            live.committing = False
            if attempt is not None:
                async with self._ending_session(live, record, is_left=not has_committed):
                    await attempt.close()
                live.close()
            self._slots.free(live.run.run_id)

    @contextlib.asynccontextmanager
    async def _ending_session(self, live: LiveRun, record: PipelineRecord, *, is_left: bool) -> AsyncIterator[None]:
        """End what the attempt may have left behind on a cluster, beside what else ends. Its log has the outcome."""
        spark = self._resources.spark
        if spark is None or not is_left or execution(record).engine == "polars":
            yield
            return
        ending = spark.end(live.run.run_id, live.run.attempt)
        yield
        await asyncio.wait({ending}, timeout=_PATIENCE)
        if not ending.cancel() and (line := ending.result()) is not None:
            live.log(line.level, line.event, **line.fields)

    async def _store_waiting(self, live: LiveRun, error: errors.PenstockError, delay: float) -> bool:
        """Store that a run waits for its next attempt. Returns whether the catalog could be written."""
        waiting = attempt_records.waiting(live.run, self._resources.clock.now(), self._body(live, error), delay)
        try:
            await asyncio.to_thread(self._history.change_run, waiting, live.fence)
        except (lifecycle.IllegalTransition, lifecycle.Superseded):
            raise
        except Exception as refusal:
            live.log("error", "run.not_written", status="retrying", reason=str(refusal))
            return False
        live.replace_run(waiting)
        live.log("warning", "run.retrying", attempt=waiting.attempt, seconds=round(delay, 3), message=error.message)
        live.close()
        return True

    # ends

    async def _stopped(self, live: LiveRun) -> None:
        if live.stored_begin is not None:
            live.begin(live.stored_begin)
        if live.stopped_as == "superseded":
            await self._take_over(live, lifecycle.superseded(live.run.run_id))
            return
        if live.stopped_as == "cancelled":
            live.log("warning", "run.cancelled")
            await self._end(live, "cancelled")
            return
        try:
            if self.resumes and await self._is_kept(live):
                live.log("warning", "run.suspended")
                self._suspend(live)
                return
        except (lifecycle.IllegalTransition, lifecycle.Superseded) as refusal:
            await self._take_over(live, refusal)
            return
        live.log("warning", "run.interrupted")
        await self._end(live, "interrupted", interrupted(live.run))

    async def _is_kept(self, live: LiveRun) -> bool:
        """Whether the next start goes on with a run; one whose attempt was stopped then needs another attempt."""
        if live.run.status in WAITING:
            return True
        error = errors.from_body(interrupted(live.run))
        if self._shared:  # it is handed to another process, and lost nothing by its own doing
            live.run = attempt_records.with_another(live.run)
        return attempt_records.has_more(live.run) and await self._store_waiting(live, error, 0.0)

    async def _take_over(self, live: LiveRun, refusal: errors.PenstockError) -> None:
        """Show the state that the catalog has of a run which it refused to change."""
        live.stopped_as = live.stopped_as or "superseded"
        live.log("warning", "run.superseded", message=refusal.message)
        try:
            live.replace_run(await asyncio.to_thread(self._history.run, live.run.run_id))
        except Exception as error:  # the catalog does not answer now
            live.log("warning", "run.not_read", reason=str(error))
        self._suspend(live)

    async def _end(self, live: LiveRun, status: Status, error: errors.Body | None = None) -> None:
        now = self._resources.clock.now()
        ended = msgspec.structs.replace(
            live.run, status=status, end_time=now, duration=live.elapsed(), phase=None, retry_at=None,
            waiting_for=None,
            attempts=attempt_records.closed(live.run, now, error), error=error,
        )  # fmt: skip
        self._release(live)
        live.replace_run(ended)  # whether or not the catalog can be written
        live.close()
        await self._records.write(ended, live.fence)

    def _suspend(self, live: LiveRun) -> None:
        self._release(live)
        if self._shared:
            self._runs.forget(live.run.run_id)
        live.suspend()
        live.close()

    def _body(self, live: LiveRun, error: errors.PenstockError) -> errors.Body:
        body = disk.explain(error, self._resources.layout.warehouse).as_body()
        return msgspec.structs.replace(body, details={"step": live.run.step, **body.details})


def execution(record: PipelineRecord) -> Execution:
    """How runs of the record are executed, also if another part of its document cannot be decoded any more."""
    try:
        return msgspec.convert(record.document.get("execution") or {}, Execution)
    except msgspec.ValidationError:
        return Execution()


def _unexpected(error: Exception) -> errors.PenstockError:
    if isinstance(error, OSError) and error.filename is not None:
        name = Path(os.fsdecode(error.filename)).name
        return errors.Permanent(f"the data directory cannot be written: {error.strerror} ({name})")
    return errors.Permanent(f"the run failed unexpectedly: {type(error).__name__}")
