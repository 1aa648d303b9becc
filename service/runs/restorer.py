"""The restorer: runs that restore a version. They have no worker, are over soon, and cannot be cancelled."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from service.catalog.history import Alongside
from service.catalog.pipelines import PipelineRecord, refuse_deleted
from service.files import disk
from service.kit import errors, ids
from service.model.run import Run
from service.model.version import Version
from service.runs import attempt_records, restoration
from service.runs.active_runs import ActiveRuns
from service.runs.driver import RunDriver
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.runs.native_loads import NativeLoads
from service.telemetry import log_context


class Restorer:
    """The restorations of this process, which ``runs`` has while they are going."""

    def __init__(self, resources: JobResources, runs: ActiveRuns, driver: RunDriver, loads: NativeLoads) -> None:
        self._resources = resources
        self._history = resources.history
        self._runs = runs
        self._driver = driver
        self._loads = loads
        self._going: set[asyncio.Task[Version]] = set()

    async def restore(
        self, record: PipelineRecord, number: int | str, requested_by: str | None, *, state: bool,
        alongside: Sequence[Alongside],
    ) -> Version:  # fmt: skip
        """As ``Supervisor.restore``, which found the pipeline idle."""
        source = await asyncio.to_thread(self._history.version, record.id, record.name, number)
        restoration.refuse_held(source)
        newest = await asyncio.to_thread(self._history.version, record.id, record.name)
        await asyncio.to_thread(self._resources.integrity.require, source, source.base_files)
        await asyncio.to_thread(self._resources.integrity.require, newest, newest.state)
        if restoration.equals(source, newest, state=state):
            return newest
        self._runs.refuse_second(record)
        now = self._resources.clock.now()
        run = Run(
            run_id=ids.new("run"), pipeline=record.name, revision=source.revision, status="queued",
            requested_by=requested_by, queued_at=now, restored_from=source.version,
            request_id=log_context.request_id(),
        )  # fmt: skip
        live = LiveRun.of(self._resources, record.id, run)
        live.committing = True
        live.reads = tuple(str(self._resources.layout.version(v.pipeline, v.version)) for v in (source, newest))
        self._runs.add(live)
        there = functools.partial(refuse_deleted, record)
        work = asyncio.create_task(self._restore(live, source, newest, state=state, alongside=[there, *alongside]))
        self._going.add(work)
        work.add_done_callback(self._going.discard)
        return await asyncio.shield(work)

    async def close(self) -> None:
        """Wait for those that are going."""
        await asyncio.gather(*self._going, return_exceptions=True)

    async def _restore(
        self, live: LiveRun, source: Version, newest: Version, *, state: bool, alongside: Sequence[Alongside]
    ) -> Version:
        history, now = self._history, self._resources.clock.now()
        begun = attempt_records.begun(live.run, now)
        try:
            # Its files stay from here on, since ``live`` reads them; it must not have been deleted before.
            await asyncio.to_thread(history.version, live.pipeline_id, source.pipeline, source.version)
            await asyncio.to_thread(history.add_run, live.pipeline_id, begun, alongside)
        except BaseException:
            self._runs.drop(live)
            live.suspend()
            raise
        live.begin(begun)
        try:
            completed, version = await asyncio.to_thread(
                restoration.commit, history, self._resources.layout, live.pipeline_id, source, newest, begun,
                self._resources.clock.now(), state=state,
            )  # fmt: skip
        except Exception as error:
            known = (
                error
                if isinstance(error, errors.PenstockError)
                else disk.storage_full()
                if disk.is_full(error)
                else errors.Permanent(f"the version was not restored: {error}")
            )
            await self._driver.fail(live, known)
            raise known from error
        self._runs.release(live)
        live.log("info", "run.restored", version=version.version, restored_from=source.version)
        live.replace_run(completed)
        live.close()
        self._loads.load_missing(live.pipeline_id, version)
        return version
