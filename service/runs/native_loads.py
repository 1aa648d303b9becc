"""Native forms that are being loaded after the commit of their version, one at a time, in tasks of the event loop.

A load gives way to runs: from the moment that one has a worker, it gets only what is left of the cores. Where nothing
is left for long, it begins again with a small share of them. Versions that were replaced while they waited for their
turn are not loaded, so that loads keep pace with runs.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from service.catalog.pipelines import Pipelines
from service.kit import errors
from service.model.version import Version
from service.runs.attempt import Attempt
from service.runs.job_resources import JobResources
from service.runs.live_run import LiveRun
from service.runs.slots import Slots

_PATIENCE_SECONDS, _BYTES_A_SECOND = 20.0, 2_000_000  # for a load that gets only what is left of the cores
_log = structlog.get_logger("penstock.run")


class _Turn:
    """The turn of one load, which may have to give way."""

    def __init__(self, attempt: Attempt, live: LiveRun) -> None:
        self._attempt = attempt
        self._live = live
        self._entirely = True
        self._timeout = asyncio.timeout(None)

    async def take(self, load: Callable[[], Awaitable[None]], *, busy: bool) -> None:
        """Load; ``busy`` is whether a run has a worker at the beginning."""
        try:
            async with self._timeout:
                if busy:
                    self.give_way()
                await load()
        except TimeoutError:
            self._live.log("info", "native.begun_again", message="runs and other processes left nothing of the cores")
            self._entirely = False
            self.give_way()
            await load()

    def give_way(self) -> None:
        """Let the load take little of the cores from now on."""
        self._attempt.give_way(entirely=self._entirely)
        if self._entirely and self._timeout.when() is None:
            size = sum(stored.bytes for stored in self._live.run.storage)
            patience = _PATIENCE_SECONDS + size / _BYTES_A_SECOND
            self._timeout.reschedule(asyncio.get_running_loop().time() + patience)


class NativeLoads:
    """The loads of this process. A load holds as much memory as a run, so that they take turns."""

    def __init__(self, resources: JobResources, pipelines: Pipelines, slots: Slots) -> None:
        self._resources = resources
        self._pipelines = pipelines
        self._slots = slots
        self._turn = asyncio.Semaphore(1)
        self._present: _Turn | None = None
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._folders: dict[asyncio.Task[None], Path] = {}
        self._rebuilding: set[str] = set()
        slots.on_taken.append(self._give_way)

    async def start(self) -> None:
        """Begin to load the native tables that newest versions want and do not have."""
        for pipeline_id, version in await asyncio.to_thread(self._resources.history.without_native):
            self._begin(pipeline_id, self._reload(pipeline_id, version), self._folder(version))

    def finish(self, attempt: Attempt, live: LiveRun) -> None:
        """Begin to load the forms of the version that an attempt has committed; closes both afterwards."""
        folder = self._resources.layout.root / (live.run.storage_location or "")
        self._begin(live.pipeline_id, self._derive(attempt, live), folder)

    def load_missing(self, pipeline_id: str, version: Version) -> None:
        """Begin to load the native form of a version that wants one and has none."""
        if version.wants_native and version.native is None:
            self._begin(pipeline_id, self._reload(pipeline_id, version), self._folder(version))

    def rebuild(self, version: Version) -> None:
        """Begin to load the native table of a version again, whose file is damaged. Call it in the event loop."""
        if version.run_id not in self._rebuilding:
            self._rebuilding.add(version.run_id)
            self._begin(version.pipeline, self._rebuild(version), self._folder(version))

    async def cancel(self, *keys: str) -> None:
        """Stop the loads of a pipeline, named by its id or its name, and wait until their children have ended."""
        await self._stop([task for task, key in self._tasks.items() if key in keys])

    async def wait(self) -> None:
        """Wait until all loads have ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop all loads; the next start begins them again."""
        await self._stop(list(self._tasks))

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def is_loading(self, folder: Path) -> bool:
        """Whether a native form of the version in ``folder`` is being loaded, or waits for its turn."""
        return folder in self._folders.values()

    async def _in_turn(self, turn: _Turn, load: Callable[[], Awaitable[None]]) -> None:
        async with self._turn:
            self._present = turn
            try:
                await turn.take(load, busy=self._slots.held > 0)
            finally:
                self._present = None

    def _give_way(self) -> None:
        if self._present is not None:
            self._present.give_way()

    def _folder(self, version: Version) -> Path:
        return self._resources.layout.version(version.pipeline, version.version)

    def _begin(self, key: str, work: Coroutine[Any, Any, None], folder: Path) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = key
        self._folders[task] = folder
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task], self._folders[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("native.failed", message=str(error), exception=type(error).__name__)

    async def _derive(self, attempt: Attempt, live: LiveRun) -> None:
        try:
            await attempt.close()  # what its child holds would count twice
            await self._in_turn(_Turn(attempt, live), attempt.derive)
        finally:
            await attempt.close()
            live.close()

    async def _rebuild(self, version: Version) -> None:
        try:
            record = await asyncio.to_thread(self._pipelines.get, version.pipeline)
            await asyncio.to_thread(self._forget_native, record.id, version)
            await self._reload(record.id, msgspec.structs.replace(version, native=None, wants_native=True))
        except errors.Missing:  # it was deleted meanwhile
            pass
        finally:
            self._rebuilding.discard(version.run_id)

    def _forget_native(self, pipeline_id: str, version: Version) -> None:
        history, native = self._resources.history, version.native
        assert native is not None
        run = history.run(version.run_id)
        storage = [msgspec.structs.replace(s, state="loading") if s.type == "duckdb" else s for s in run.storage]
        without = msgspec.structs.replace(version, native=None, wants_native=True, bytes=version.bytes - native.bytes)
        history.note_native(pipeline_id, msgspec.structs.replace(run, storage=storage), without)

    async def _reload(self, pipeline_id: str, version: Version) -> None:
        run = await asyncio.to_thread(self._resources.history.run, version.run_id)
        record = await asyncio.to_thread(self._pipelines.get, version.pipeline, version.revision)
        live = LiveRun(pipeline_id, run, self._resources.journals.journal(run.run_id), self._resources.clock)
        attempt = Attempt(self._resources, self._pipelines, live, record)
        try:
            await self._in_turn(_Turn(attempt, live), functools.partial(attempt.load, version))
        finally:
            await attempt.close()
            live.close()
