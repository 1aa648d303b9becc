"""The pool of query workers: their number, the spare worker that waits, and the removal of used ones.

A worker is used once. The next spare is started when a query has ended, not while it competes for the cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from service.files.layout import SCRATCH, Layout
from service.kit import errors
from service.processes import watch
from service.processes.child import Child
from service.processes.limits import Limits
from service.query import entry
from service.sandbox import source

_START_SECONDS = 10.0


class PooledWorker:
    """A child that is connected and waits for its query, and its private scratch folder."""

    def __init__(self, child: Child, spill: Path, oom_kills: int) -> None:
        self.child = child
        self.spill = spill
        self._oom_kills = oom_kills  # when it was started

    def was_out_of_memory(self) -> bool:
        """Whether the kernel killed a process for want of memory since the start of this one."""
        return watch.oom_kills() > self._oom_kills

    async def receive(self) -> tuple[bytes, bytes] | None:
        """Kind and payload of the next message; None when the worker has ended."""
        message = await self.child.receive()
        return None if message is None else (message[:1], message[1:])


class Pool:
    """At most ``max_concurrent`` busy workers; ``max_waiting`` queries may wait for ``wait_seconds``."""

    def __init__(
        self,
        layout: Layout,
        *,
        memory_bytes: int,
        spill_bytes: int,
        max_concurrent: int,
        max_waiting: int,
        wait_seconds: float,
        sandbox: bool,
    ) -> None:
        self._layout = layout
        self._memory = memory_bytes
        self._spill = spill_bytes
        self._max_waiting = max_waiting
        self._wait_seconds = wait_seconds
        self._sandbox = sandbox
        self._slots = asyncio.Semaphore(max_concurrent)
        self._waiting = 0
        self._spare: asyncio.Task[PooledWorker] | None = None
        self._live: set[PooledWorker] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def take(self) -> PooledWorker:
        """A worker for one query; give it to ``finish`` afterwards. Raises ``errors.Unavailable`` if none is free."""
        await self._acquire()
        try:
            taken = await self._ready()
        except BaseException:
            self._slots.release()
            raise
        self._live.add(taken)
        return taken

    def finish(self, worker: PooledWorker) -> None:
        """End the worker, free its place, and start the next spare. May be called again."""
        if worker in self._live:
            self._live.discard(worker)
            self._retire(worker)
            self._slots.release()
            self._refill()

    async def warm(self) -> None:
        """Start the spare worker, so that the first query need not wait for it."""
        self._refill()
        if self._spare is not None:
            await asyncio.wait([self._spare])

    async def close(self) -> None:
        """End every worker and remove its files."""
        self._closed = True
        spare, self._spare = self._spare, None
        if spare is not None:
            await self._discard(spare)
        for worker in list(self._live):
            self.finish(worker)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _acquire(self) -> None:
        if self._closed:
            raise errors.Unavailable("the service is stopping", retry_after=5.0)
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise errors.Unavailable("too many queries are waiting; try again shortly", retry_after=2.0)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise errors.Unavailable("no query worker became free in time", retry_after=5.0) from None
        finally:
            self._waiting -= 1

    async def _ready(self) -> PooledWorker:
        spare, self._spare = self._spare, None
        if spare is not None:
            try:
                worker = await asyncio.shield(spare)
                if not worker.child.has_ended:
                    return worker
                self._retire(worker)  # it was killed while it waited
            except (errors.PenstockError, OSError):
                pass  # the spare did not start; a new one reports why
            except asyncio.CancelledError:
                self._task(self._discard(spare))
                raise
        return await self._start()

    async def _discard(self, spare: asyncio.Task[PooledWorker]) -> None:
        with contextlib.suppress(errors.PenstockError, OSError):
            self._retire(await spare)

    async def _start(self) -> PooledWorker:
        spill, order, oom_kills = await asyncio.to_thread(self._prepared)
        limits = Limits(
            memory_bytes=self._memory,
            file_bytes=self._spill,
            read=(order.warehouse,),
            write=(order.spill,),
            sandbox=self._sandbox,
        )
        try:
            child = await Child.start(entry.serve, msgspec.msgpack.encode(order), limits)
        except BaseException:
            self._task(self._remove(spill))
            raise
        worker = PooledWorker(child, spill, oom_kills)
        try:
            async with asyncio.timeout(_START_SECONDS):
                if await worker.receive() is None:
                    raise errors.PenstockError(f"a query worker could not start ({await child.wait()})")
        except TimeoutError:
            self._retire(worker)
            raise errors.Unavailable("a query worker did not start in time", retry_after=2.0) from None
        except BaseException:
            self._retire(worker)
            raise
        return worker

    def _prepared(self) -> tuple[Path, source.WorkerSetup, int]:
        """The private folder (mode 0700) and the setup of a new worker, and the OOM kills before it."""
        spill = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self._layout.spill)).resolve()
        warehouse = self._layout.warehouse.resolve()
        threads = min(os.cpu_count() or 2, 4)
        setup = source.WorkerSetup(str(warehouse), str(spill), self._memory, self._spill, threads)
        return spill, setup, watch.oom_kills()

    def _refill(self) -> None:
        if self._spare is None and not self._closed:
            self._spare = self._task(self._start())

    def _retire(self, worker: PooledWorker) -> None:
        worker.child.kill()
        self._task(self._bury(worker))

    async def _bury(self, worker: PooledWorker) -> None:
        await worker.child.wait()
        await self._remove(worker.spill)

    @staticmethod
    async def _remove(folder: Path) -> None:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # callers that await the task get it; a spare that failed is started again
