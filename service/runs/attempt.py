"""One attempt of a run: one child process, from its order to its end.

An attempt succeeds with a ``Prepared`` message and a committed publication. Anything else that happens to the child
(a crash, a kill, a deadline, silence) raises an error that names it; the supervisor records it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from service.catalog.pipelines import PipelineRecord, Pipelines
from service.files import disk, shared_uploads
from service.jobs import entry, memory, messages
from service.jobs.messages import Order, Replay
from service.kit import errors
from service.model.version import Version
from service.processes.child import Child
from service.processes.kept import Workplace
from service.runs import (
    attempt_limits,
    attempt_records,
    cause_of_death,
    kept_runs,
    object_sources,
    publication,
    recovery,
    replay_request,
    traced_run,
    unchanged,
)
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.runs.run_progress import RunProgress
from service.telemetry import tracing

_STARTS = 3  # how often a child is started before the run gives up
_EARLIER = 5  # runs that an estimate looks at
_LOAD_DELAYS = (0.0, 1.0, 5.0)  # seconds before each attempt to load native forms


class Attempt:
    """One attempt in one child: ``run`` up to the commit, then ``derive`` the native forms, then ``close``.

    With ``full_refresh`` in the run the collectors start without their incremental state.
    """

    def __init__(
        self,
        resources: JobResources,
        pipelines: Pipelines,
        live: LiveRun,
        record: PipelineRecord,
        replay: Replay | None = None,
    ) -> None:
        self._resources = resources
        self._pipelines = pipelines
        self._live = live
        self._record = record
        self._replay = replay
        self._pipeline = resources.decode(record)
        self._child: Child | None = None
        self._place: Workplace | None = None  # of a child that may be kept
        self._is_clean = False  # whether the child did what it was asked to do
        self._gives_way: bool | None = None  # whether entirely
        self._folder = resources.layout.staging(live.run.run_id)  # what the child makes
        self._storing: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._order: Order | None = None
        self._version: Version | None = None

    @property
    def limit(self) -> float:
        """The longest that the attempt may take, in seconds."""
        return min(self._pipeline.execution.timeout_seconds, self._resources.settings.run_timeout_seconds)

    async def run(self, left: Callable[[], None]) -> bool:
        """Collect, process, store, commit. Returns whether there are deferred forms to derive.

        ``left`` is called when the child is at work no more, while the commit may be in progress. Raises the error of
        the run; ``TimeoutError`` after ``limit``.
        """
        live, history = self._live, self._resources.history
        is_stored = live.begin(attempt_records.begun(live.run, self._resources.clock.now()))
        live.progress = RunProgress(self._pipeline)
        live.log("info", "run.started", revision=self._record.revision, attempt=live.run.attempt)
        self._storing = asyncio.create_task(self._store_begin(is_stored))
        begun = await asyncio.gather(self._start(), asyncio.shield(self._storing), return_exceptions=True)
        for outcome in begun:  # both have ended, in whatever way, so that ``close`` knows of a child that began
            if isinstance(outcome, BaseException):
                raise outcome
        order = self._order
        assert order is not None
        async with asyncio.timeout(self.limit):
            prepared = await self._prepared(order)
        live.committing = True
        order = await self._taken_out(order)
        self._leaving = asyncio.create_task(self._leave(left))
        if prepared.unchanged is not None:
            completed, version = await asyncio.to_thread(
                unchanged.commit, history, self._resources.layout, order, prepared, live.run,
                self._resources.clock.now(), live.elapsed(), live.fence,
            )  # fmt: skip
            live.log("info", "run.unchanged", version=version.version, rows=version.rows)
            live.replace_run(completed)
            return False
        completed, version = await asyncio.to_thread(
            publication.publish, history, self._resources.layout, self._pipeline, order, prepared, live.run,
            self._resources.clock.now(), live.elapsed(), live.fence,
        )  # fmt: skip
        if version.held:
            live.log("warning", "run.held", version=order.version, because=[b.message for b in version.held_because])
        else:
            live.log("info", "run.published", version=order.version, rows=prepared.rows, bytes=version.bytes)
        self._version = version
        live.replace_run(completed)
        if prepared.loaded and not version.held and not self._pipeline.native_versions:
            await self._expire_native()
        return bool(prepared.deferred) and not prepared.loaded and not version.held

    async def derive(self) -> None:
        """After the commit: ``load`` the native forms of the new version. A form that fails raises nothing."""
        assert self._version is not None
        await self.load(self._version)

    async def load(self, version: Version) -> None:
        """Let a child load the native forms of a version; record each in the catalog. A lost child is replaced.

        A form that fails raises nothing: it is logged, readers use Parquet, and the next start tries again. There is
        nothing to load if newer versions have come meanwhile whose forms are kept in the place of this one's.
        """
        live, history = self._live, self._resources.history
        keep = self._pipeline.native_versions
        if await asyncio.to_thread(publication.is_superseded, history, self._record.id, keep, version):
            live.log("info", "native.superseded", version=version.version)
            await asyncio.to_thread(publication.forget_native, history, self._record.id, version, wanted=False)
            live.run = await asyncio.to_thread(history.run, live.run.run_id)
            return
        for delay in _LOAD_DELAYS:
            await asyncio.sleep(delay)
            await self.close()
            try:
                order = self._order = await asyncio.to_thread(self._make_order, version)
                await self._begin(order)
                finished = await self._take_loaded(order, version)
            except (errors.PenstockError, OSError) as error:
                live.log("error", "native.failed", message=str(error))
                finished = not isinstance(error, errors.Busy)
            finally:
                await self.close()
                folder = self._resources.layout.version(version.pipeline, version.version)
                await asyncio.to_thread(recovery.sweep_temporary, folder)
            if finished:
                break
        if any(stored.state == "loading" for stored in live.run.storage):
            live.log("error", "native.missing", message="the next start of the service tries again")
            live.run = await asyncio.to_thread(publication.note_unloaded, history, self._record.id, live.run)

    def give_way(self, *, entirely: bool) -> None:
        """Let the work take little of the cores from now on, as ``processes.priority``."""
        self._gives_way = entirely
        if self._child is not None:
            self._child.give_way(entirely=entirely)

    async def close(self) -> None:
        """End the child if it still runs and is not kept, and remove what it left. Safe to call again."""
        if self._storing is not None:  # the token that it takes must be known before the run's end is stored
            await asyncio.gather(self._storing, return_exceptions=True)
        if self._leaving is not None:
            await asyncio.gather(self._leaving, return_exceptions=True)
        await self._end_child()
        if self._folder.exists():
            await asyncio.to_thread(shutil.rmtree, self._folder, True)

    async def _taken_out(self, order: Order) -> Order:
        """The order with the folder of the version, out of the reach of a child that may be kept."""
        if self._place is None:
            return order
        made, self._folder = self._folder, self._resources.layout.staging(order.run_id)
        await asyncio.to_thread(_move, made, self._folder)
        grants = msgspec.structs.replace(order.grants, folder=str(self._folder))
        return msgspec.structs.replace(order, grants=grants)

    async def _leave(self, left: Callable[[], None]) -> None:
        await self._end_child()
        left()

    async def _end_child(self) -> None:
        """End the child, or let it wait for more work if it did what it was asked to do."""
        child, self._child = self._child, None
        place, self._place = self._place, None
        if place is not None:
            await self._resources.kept.finish(place, clean=self._is_clean)
        elif child is not None:
            child.kill()
            await child.wait()

    async def _start(self) -> None:
        """Make the order and start the child with it."""
        if self._replay is None and self._live.run.replay_of is not None:  # a run of an earlier process
            self._replay = await asyncio.to_thread(
                replay_request.build,
                self._pipelines,
                self._resources,
                self._record,
                self._live.run.replay_of,
                self._live.run.replayed_rows,
            )
        self._order = await self._with_objects(await asyncio.to_thread(self._make_order))
        shared = kept_runs.limits(self._pipeline, self._order)
        if shared is not None:
            self._place = await self._resources.kept.take(shared, self._resources.layout.staging_root)
            self._folder = self._place.folder / self._live.run.run_id
            grants = msgspec.structs.replace(self._order.grants, folder=str(self._folder))
            self._order = msgspec.structs.replace(self._order, grants=grants)
        await self._begin(self._order)

    async def _with_objects(self, order: Order) -> Order:
        """The order with copies of the objects that collectors read; a replay has no collectors."""
        if order.replay is not None:
            return order
        async with asyncio.timeout(self.limit):
            copies = await object_sources.fetched(self._resources, self._pipeline, self._folder)
        if copies:
            self._live.log("info", "run.objects_copied", objects=sum(map(len, copies.values())))
        return msgspec.structs.replace(order, grants=msgspec.structs.replace(order.grants, copies=copies))

    async def _store_begin(self, is_stored: bool) -> None:
        """Store that the attempt has begun, and take its fencing token."""
        if not is_stored:
            self._live.fence = await asyncio.to_thread(self._resources.history.begin_attempt, self._live.run)

    async def _begin(self, order: Order) -> None:
        for left in reversed(range(_STARTS)):
            try:
                self._child = await self._begun(order)
                break
            except errors.Unavailable as error:
                if not left:
                    raise
                self._live.log("warning", "worker.not_started", message=error.message)
                await asyncio.sleep(error.retry_after)
        assert self._child is not None
        if self._gives_way is not None:
            self._child.give_way(entirely=self._gives_way)
        settings = self._resources.settings
        self._child.watch(min(settings.heartbeat_seconds, settings.lease_seconds))

    async def _begun(self, order: Order) -> Child:
        resources, encoded = self._resources, messages.encode(order)
        if self._place is not None:
            return await resources.kept.start(self._place, entry.run, encoded, resources.spares)
        resources.kept.make_room()
        await asyncio.to_thread(Path(order.grants.folder).mkdir, 0o700, parents=True, exist_ok=True)
        return await resources.spares.start(entry.run, encoded, attempt_limits.of(order))

    async def _prepared(self, order: Order) -> messages.Prepared:
        """What the child has made.

        One that worked before has less memory left than a new one, which then does the work again: no run fails because
        of another one.
        """
        kept, place = self._resources.kept, self._place
        reused = place is not None and place.works > 0
        try:
            return await self._listen(order)
        except errors.PenstockError as error:
            if place is None or not reused or error.error_code != memory.OUT_OF_MEMORY["run"]:
                raise
            self._live.log("warning", "worker.replaced", message=error.message)
        await kept.renew(place)
        await self._begin(order)
        return await self._listen(order)

    async def _listen(self, order: Order) -> messages.Prepared:
        live, child = self._live, self._child
        assert child is not None
        while (data := await child.receive()) is not None:
            match messages.decode(data):
                case messages.Prepared() as prepared:
                    self._is_clean = True
                    traced_run.record_steps(self._resources.traces, order, prepared.steps)
                    return prepared
                case messages.Failed() as failed:
                    live.change(
                        steps=failed.steps, warnings=failed.warnings, rows_collected=failed.rows_collected,
                        peak_memory_bytes=failed.peak_memory_bytes,
                    )  # fmt: skip
                    step = failed.error.details.get("step")
                    traced_run.record_steps(self._resources.traces, order, failed.steps, step)
                    # Its files are still there: what they leave of the disk says why it found no memory either.
                    raise disk.explain(errors.from_body(failed.error), self._resources.layout.warehouse)
                case messages.Progress(phase, step, rows, steps):
                    await self._learn()
                    live.advance(phase, step, rows, steps)
                case messages.LogLine() as line:
                    live.relay(line.fields)
                case messages.Spans(spans):
                    self._resources.traces.record(spans)
        end = await child.wait()
        stderr = self._place.stderr if self._place is not None else None
        error = cause_of_death.explain(child, end, "run", order.grants, stderr, live.run.step)
        live.change(peak_memory_bytes=error.details.get("peak_memory_bytes"))
        raise error

    async def _learn(self) -> None:
        """Compare a run that takes a while with earlier ones, for its estimated end."""
        progress = self._live.progress
        if progress is None or not progress.wants_earlier_runs(self._live.attempt_seconds()):
            return
        try:
            earlier, _ = await asyncio.to_thread(
                self._resources.history.runs, self._record.id, limit=_EARLIER, offset=0, status="completed"
            )
        except errors.PenstockError as error:  # an estimate is not worth a run
            self._live.log("warning", "run.not_compared", message=error.message)
            earlier = []
        progress.learn(earlier)

    async def _take_loaded(self, order: Order, version: Version) -> bool:
        """Record the forms that the child loads. Returns whether it ended by itself, with or without success."""
        resources, live, child = self._resources, self._live, self._child
        assert child is not None
        failed = False
        while (data := await child.receive()) is not None:
            match messages.decode(data):
                case messages.Loaded() as loaded:
                    live.run, version = await asyncio.to_thread(
                        publication.note_loaded, resources.history, resources.layout, order, live.run, version, loaded
                    )
                    live.log("info", "native.loaded", step=loaded.step, rows=loaded.written.rows)
                    await self._expire_native()
                case messages.Failed() as failure:
                    failed = True
                    error = disk.explain(errors.from_body(failure.error), resources.layout.warehouse)
                    live.log("error", "native.failed", code=error.error_code, message=error.message)
                case messages.LogLine() as line:
                    live.relay(line.fields)
        end = await child.wait()
        if not end.ok and not failed:
            live.log("warning", "native.lost", message=f"the process that loads the native table ended ({end})")
        return end.ok or failed

    async def _expire_native(self) -> None:
        resources, keep = self._resources, self._pipeline.native_versions
        await asyncio.to_thread(publication.expire_native, resources.history, resources.layout, self._record.id, keep)

    def _make_order(self, again: Version | None = None) -> Order:
        """The worker's order. With ``again``, the forms of that version are derived in its own folder. Blocks."""
        resources, record, run = self._resources, self._record, self._live.run
        reload = None
        if again is None:
            folder = resources.layout.staging(run.run_id)
            shared_uploads.pull(resources.layout)
        else:
            folder = resources.layout.version(again.pipeline, again.version)
            parts, earlier = resources.parts(again), resources.native_before(record, again)
            reload = messages.Reload(folder=str(folder), parts=parts, rows=again.rows, earlier=earlier)
        stored = {} if again is not None else resources.stored(self._pipeline, resources.reads(record))
        if self._replay is not None and not self._is_newest(self._replay.base.version):
            raise errors.Permanent("another version was stored meanwhile; replay its quarantine", step="replay")
        remembered = base = None
        mode = self._pipeline.mode.mode
        if again is None and not run.full_refresh:
            remembered = resources.remembered(record)
        if again is None and (mode == "replace" or not run.full_refresh):
            base = resources.base(record, mode)
        self._live.reads = (
            *(part for read in stored.values() for part in read.parts),
            *(attempt_limits.replayed(self._replay) if self._replay is not None else ()),
            *([remembered.folder] if remembered is not None else []),
            *([base.version.folder] if base is not None else []),
        )
        return Order(
            run_id=run.run_id, pipeline_id=record.id, document=record.document, revision=record.revision,
            version=again.version if again is not None else resources.history.next_version(record.id),
            created=resources.clock.now(), trace=tracing.current_header(), reload=reload, replay=self._replay,
            remembered=remembered, base=base, attempt=run.attempt,
            grants=resources.grants(folder, record.document, stored),
        )  # fmt: skip

    def _is_newest(self, number: int) -> bool:
        newest = self._resources.history.newest(self._record.id)
        return newest is not None and newest.version == number


def _move(made: Path, target: Path) -> None:
    """Move a folder that a child could also have replaced: what it cannot reach any more is looked at."""
    made.replace(target)
    if target.is_symlink():
        target.unlink()
        raise errors.Permanent("the worker of the run left a link in the place of its folder")
