"""The pool of query workers: those at work, those that are kept for the next query, and one that knows no query yet.

A kept worker may read the sources that its first query brought, and answers any query over some of them. There are at
most ``max_concurrent`` workers, kept ones included, and the spare: a query that no kept worker can answer takes the
spare, and ends the worker that waits longest if there is no place. The next spare is started when a query has ended,
not while it competes for the cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Coroutine, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from service.files.layout import SCRATCH, Layout
from service.kit import caller, errors
from service.processes import watch
from service.processes.child import Child
from service.processes.limits import Limits
from service.processes.places import Place, Places
from service.query import entry
from service.query.scope import EVERYTHING, Scope
from service.sandbox import source
from service.sandbox.source import TableSource

_START_SECONDS = 10.0
_IDLE_SECONDS = 60.0


Chosen = Callable[[TableSource], bool]
"""Whether a source is one of those that are meant."""


class Group(NamedTuple):
    """Queries that may share workers: of callers of the same scope.

    ``ordered`` are those that filter rows and keep their order, for which DuckDB is set up differently.
    """

    scope: Scope = EVERYTHING
    ordered: bool = False


class PooledWorker:
    """A child that is connected and waits for a query, and its private scratch folder.

    ``sources`` are those that it may read, by table; None before its first query. ``may_stay`` says whether it may be
    kept after its present query. ``place`` is the one that it has while it works.
    """

    def __init__(self, child: Child, spill: Path, oom_kills: int) -> None:
        self.child = child
        self.spill = spill
        self.group: Group | None = None
        self.sources: dict[str, TableSource] | None = None
        self.may_stay = True
        self.place: Place | None = None
        self.idle_since = 0.0
        self.expiry: asyncio.TimerHandle | None = None
        self._oom_kills = oom_kills  # when it was started

    def was_out_of_memory(self) -> bool:
        """Whether the kernel killed a process for want of memory since the start of this one."""
        return watch.oom_kills() > self._oom_kills

    def holds(self, wanted: Iterable[TableSource]) -> bool:
        """Whether it may read these sources."""
        return self.sources is not None and all(self.sources.get(s.table) == s for s in wanted)

    def has(self, chosen: Chosen) -> bool:
        """Whether it may read a chosen source, whose files it may have open."""
        return any(map(chosen, (self.sources or {}).values()))

    async def receive(self) -> tuple[bytes, bytes] | None:
        """Kind and payload of the next message; None when the worker has ended."""
        message = await self.child.receive()
        return None if message is None else (message[:1], message[1:])


class Pool:
    """At most ``max_concurrent`` workers, of which one caller has at most ``per_caller``. Sizes are bytes.

    ``max_waiting`` queries of a caller may wait for ``wait_seconds``. No query takes longer than ``most_seconds``.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        memory_bytes: int,
        spill_bytes: int,
        max_concurrent: int,
        per_caller: int,
        max_waiting: int,
        wait_seconds: float,
        most_seconds: float,
        sandbox: bool,
    ) -> None:
        self._layout = layout
        self._memory = memory_bytes
        self._spill = spill_bytes
        self._most = max_concurrent
        self._wait_seconds = wait_seconds
        self._most_seconds = most_seconds
        self._sandbox = sandbox
        self._places = Places(
            max_concurrent, each=per_caller, slow=max(1, max_concurrent // 2), queue=max_waiting, what="queries"
        )
        self._spare: asyncio.Task[PooledWorker] | None = None
        self._busy: set[PooledWorker] = set()
        self._idle: list[PooledWorker] = []  # those that wait longest first
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def take(
        self, group: Group, wanted: Collection[TableSource] | None, *, streamed: bool = False
    ) -> PooledWorker:
        """A worker for one query over the sources ``wanted`` (None: not known yet); give it to ``finish`` afterwards.

        It has these sources, or none yet. Raises ``errors.Unavailable`` if none is free.
        """
        if self._closed:
            raise errors.Unavailable("the service is stopping", retry_after=5.0)
        place = await self._places.take(caller.current(), self._wait_seconds, slow=streamed)
        return await self._chosen(place, group, wanted)

    async def exchange(
        self, worker: PooledWorker, group: Group, wanted: Collection[TableSource] | None, *, blank: bool = False
    ) -> PooledWorker:
        """Another worker in place of one that has not begun; a ``blank`` one has no sources yet. Raises as ``take``."""
        self._busy.discard(worker)
        place, worker.place = worker.place, None
        assert place is not None
        self._keep(worker)
        return await self._chosen(place, group, None if blank else wanted, blank=blank)

    def finish(self, worker: PooledWorker, *, free: bool = False) -> None:
        """Take the worker back: keep it if it is ``free``, else end it. May be called again."""
        if worker not in self._busy:
            return
        self._busy.discard(worker)
        if free and worker.may_stay and worker.sources is not None and not self._closed:
            self._keep(worker)
        else:
            self._retire(worker)
        place, worker.place = worker.place, None
        assert place is not None
        place.release()
        self._refill()

    @property
    def waiting(self) -> int:
        """How many queries wait for a worker."""
        return self._places.waiting

    @property
    def workers(self) -> dict[str, int]:
        """How many workers are ``busy``, and how many are ``kept``."""
        return {"busy": len(self._busy), "kept": len(self._idle)}

    def let_go(self, chosen: Chosen) -> None:
        """End the workers that wait and may read a chosen source; keep none of those at work."""
        for worker in [w for w in self._idle if w.has(chosen)]:
            self._expire(worker)
        for worker in self._busy:
            worker.may_stay = worker.may_stay and not worker.has(chosen)

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
        for worker in list(self._busy):
            self.finish(worker)
        for worker in list(self._idle):
            self._expire(worker)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _chosen(
        self, place: Place, group: Group, wanted: Collection[TableSource] | None, *, blank: bool = False
    ) -> PooledWorker:
        try:
            worker = None if blank else self._kept(group, wanted)
            if worker is None:
                while self._idle and len(self._idle) + self._places.taken > self._most:
                    self._expire(self._idle[0])
                worker = await self._ready()
                worker.group = group
        except BaseException:
            place.release()
            raise
        worker.place = place
        self._busy.add(worker)
        return worker

    def _kept(self, group: Group, wanted: Collection[TableSource] | None) -> PooledWorker | None:
        """The kept worker that worked last among those that can answer."""
        for worker in [w for w in self._idle if w.child.has_ended]:
            self._expire(worker)
        for worker in reversed(self._idle):
            if worker.group == group and (wanted is None or worker.holds(wanted)):
                self._idle.remove(worker)
                return worker
        return None

    def _keep(self, worker: PooledWorker) -> None:
        if worker.sources is None:  # it was dismissed by its first query, which it has judged
            self._retire(worker)
            return
        loop = asyncio.get_running_loop()
        worker.idle_since = loop.time()
        if worker.expiry is None:  # one timer for all the times that it waits
            worker.expiry = loop.call_later(_IDLE_SECONDS, self._look, worker)
        self._idle.append(worker)

    def _look(self, worker: PooledWorker) -> None:
        """End a worker that has waited long enough, or look again when it may have."""
        loop = asyncio.get_running_loop()
        worker.expiry = None
        if worker not in self._idle:
            return
        left = worker.idle_since + _IDLE_SECONDS - loop.time()
        if left > 0:
            worker.expiry = loop.call_later(left, self._look, worker)
        else:
            self._expire(worker)

    def _expire(self, worker: PooledWorker) -> None:
        self._idle.remove(worker)
        self._retire(worker)

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
                self.task(self._discard(spare))
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
            give_way=5,  # less than runs: somebody waits for the answer
        )
        try:
            child = await Child.start(entry.serve, msgspec.msgpack.encode(order), limits)
        except BaseException:
            self.task(self._remove(spill))
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
        setup = source.WorkerSetup(str(warehouse), str(spill), self._memory, self._spill, threads, self._most_seconds)
        return spill, setup, watch.oom_kills()

    def _refill(self) -> None:
        if self._spare is None and not self._closed:
            self._spare = self.task(self._start())

    def _retire(self, worker: PooledWorker) -> None:
        if worker.expiry is not None:
            worker.expiry.cancel()
        worker.child.kill()
        self.task(self._bury(worker))

    async def _bury(self, worker: PooledWorker) -> None:
        await worker.child.wait()
        await self._remove(worker.spill)

    @staticmethod
    async def _remove(folder: Path) -> None:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` beside the queries; ``close`` waits for its end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # callers that await the task get it; a spare that failed is started again
