"""The pool of workers that apply versions: those at work, and those that are kept with their version's compiled steps.

A worker is confined to one version for its whole life: it reads the fit record of that and nothing else. It answers
again after a clean answer; any other end replaces it, and a deadline ends it with SIGKILL. Kept workers wait only where
another task could be at work, so that they need no memory of their own: the one that was used least recently goes
first, when another version or task needs the place.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from service.files import disk
from service.files.layout import STDERR
from service.jobs import entry, memory
from service.jobs.application import ApplyAnswer, ApplyRequest, ApplySetup
from service.jobs.messages import Grants, LogLine, StoredParts
from service.jobs.tasks import task as task_messages
from service.jobs.tasks.task import TaskError
from service.kit import errors, ids
from service.model.version import Version
from service.processes.child import Child
from service.processes.limits import Limits
from service.runs import cause_of_death
from service.runs.job_resources import JobResources

_IDLE_SECONDS = 300.0
_SCRATCH = "scratch"
_log = structlog.get_logger("penstock.apply")

Key = tuple[str, int, str]
"""A version: its pipeline and number, and the run that made it, since a deleted pipeline may be created again."""
Document = Callable[[], Awaitable[dict[str, Any]]]
"""Finds the document of the revision that made a version."""


def key_of(version: Version) -> Key:
    """The key of a version."""
    return version.pipeline, version.version, version.run_id


def readable(version: Version, fit_record: str) -> dict[str, StoredParts]:
    """What a worker that applies a version may read."""
    return {"fit_record": StoredParts(pipeline=version.pipeline, version=version.version, parts=(fit_record,), rows=0)}


@dataclass(eq=False)
class ApplyWorker:
    """A child that applies the version ``key``, and its private folder."""

    key: Key
    folder: Path
    grants: Grants
    child: Child
    expiry: asyncio.TimerHandle | None = None


class ApplyPool:
    """At most ``most`` workers, those that are kept and the tasks in ``displacing`` included."""

    def __init__(self, resources: JobResources, most: int, memory_bytes: int) -> None:
        self._resources = resources
        self._most = most
        self._most_of_one = max(1, min(most - 1, os.cpu_count() or 1))
        self._memory_bytes = memory_bytes
        self._taken = 0  # places of workers at work, and of tasks
        self._busy: set[ApplyWorker] = set()
        self._idle: list[ApplyWorker] = []  # those that wait longest first
        self._turns: dict[Key, tuple[asyncio.Semaphore, int]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._closed = False

    @contextlib.asynccontextmanager
    async def turn(self, version: Version) -> AsyncIterator[None]:
        """A turn of the version: one has few at once, so that it cannot take all places."""
        key = key_of(version)
        turns, users = self._turns.get(key) or (asyncio.Semaphore(self._most_of_one), 0)
        self._turns[key] = turns, users + 1
        try:
            async with turns:
                yield
        finally:
            _, users = self._turns[key]
            self._turns[key] = turns, users - 1
            if users == 1:
                del self._turns[key]

    @contextlib.contextmanager
    def displacing(self) -> Iterator[None]:
        """Count a place as taken, by a task or a worker at work; a kept worker ends if there are too many."""
        self._taken += 1
        while self._idle and len(self._idle) + self._taken > self._most:
            self._expire(self._idle[0])
        try:
            yield
        finally:
            self._taken -= 1

    async def ask(self, version: Version, document: Document, request: ApplyRequest, *, seconds: float) -> ApplyAnswer:
        """The answer of a worker of the version. What a kept worker cannot do, a new one tries again.

        Raises the worker's error, ``errors.TimedOut`` after ``seconds``, ``errors.Permanent`` if the worker died,
        and DATA_CORRUPT if the fit record is damaged: what a kept worker has read of it must be what is stored now.
        """
        record = await asyncio.to_thread(self._resources.fit_record, version)
        kept = self._kept(key_of(version))
        with self.displacing():
            try:
                async with asyncio.timeout(seconds):
                    answer = await self._answer(kept, request) if kept is not None else None
                    if answer is None or _is_exhausted(answer):
                        answer = await self._answer(await self._start(version, record, document), request, is_new=True)
            except TimeoutError:
                raise errors.TimedOut(f"this took longer than {seconds:g} s and was stopped") from None
        assert answer is not None
        if isinstance(answer, TaskError):
            raise disk.explain(errors.from_body(answer.error), self._resources.layout.warehouse)
        return answer

    @property
    def workers(self) -> dict[str, int]:
        """How many workers are ``busy``, and how many are ``kept``."""
        return {"busy": len(self._busy), "kept": len(self._idle)}

    def reads(self, folder: Path) -> bool:
        """Whether a worker applies the version in ``folder`` just now. Workers of it that are kept end."""

        def inside(worker: ApplyWorker) -> bool:
            return self._resources.layout.version(worker.key[0], worker.key[1]) == folder

        if any(map(inside, self._busy)):
            return True
        for worker in list(filter(inside, self._idle)):
            self._expire(worker)
        return False

    async def close(self) -> None:
        """End all workers."""
        self._closed = True
        while self._idle:
            self._expire(self._idle[0])
        for worker in self._busy:
            worker.child.kill()
        while self._ends:
            await asyncio.wait(set(self._ends))

    def _kept(self, key: Key) -> ApplyWorker | None:
        """The kept worker of the version that worked last."""
        for ended in [w for w in self._idle if w.child.has_ended]:
            self._expire(ended)
        worker = next((w for w in reversed(self._idle) if w.key == key), None)
        if worker is not None:
            self._leave(worker)
        return worker

    async def _start(self, version: Version, record: str, document: Document) -> ApplyWorker:
        if self._closed:
            raise errors.Unavailable("the service is stopping", retry_after=5.0)
        resources, found = self._resources, await document()
        folder = resources.layout.staging(ids.new("task"))
        stored = readable(version, record)
        grants = resources.grants(folder / _SCRATCH, found.get("processors"), stored, self._memory_bytes)
        grants = msgspec.structs.replace(grants, file_roots=(), pace=None, allowed_private_hosts=())
        setup = ApplySetup(grants=grants, document=found, version=version.version, fit_record=record)
        limits = Limits(
            memory_bytes=self._memory_bytes,
            read=(record,),
            write=(grants.folder,),
            stderr=str(folder / STDERR),
            give_way=5,  # as queries: somebody waits for the answer
        )
        try:
            await asyncio.to_thread(_make, folder)
            child = await resources.spares.start(entry.apply, task_messages.encode(setup), limits)
        except BaseException:
            self._task(asyncio.to_thread(shutil.rmtree, folder, True))
            raise
        child.watch(resources.settings.heartbeat_seconds)
        return ApplyWorker(key_of(version), folder, grants, child)

    async def _answer(
        self, worker: ApplyWorker, request: ApplyRequest, *, is_new: bool = False
    ) -> ApplyAnswer | TaskError | None:
        """The answer of a worker, which is kept if it is free then; None if it was lost and is not new."""
        self._busy.add(worker)
        free = False
        try:
            with contextlib.suppress(ConnectionError):  # it has ended, which is explained below
                await worker.child.send(task_messages.encode(request))
            while (data := await worker.child.receive()) is not None:
                match task_messages.decode(data):
                    case ApplyAnswer() | TaskError() as answer:
                        free = answer.free
                        return answer
                    case LogLine() as line:
                        task_messages.log(line)
            if not is_new:
                _log.warning("apply.lost", pid=worker.child.pid)
                return None
            end = await worker.child.wait()
            raise cause_of_death.explain(worker.child, end, "request", worker.grants, worker.folder / STDERR)
        finally:
            self._finish(worker, free=free)

    def _finish(self, worker: ApplyWorker, *, free: bool) -> None:
        self._busy.discard(worker)
        if free and not self._closed:
            worker.expiry = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._expire, worker)
            self._idle.append(worker)
        else:
            self._end(worker)

    def _leave(self, worker: ApplyWorker) -> None:
        self._idle.remove(worker)
        if worker.expiry is not None:
            worker.expiry.cancel()

    def _expire(self, worker: ApplyWorker) -> None:
        self._leave(worker)
        self._end(worker)

    def _end(self, worker: ApplyWorker) -> None:
        worker.child.kill()
        self._task(self._bury(worker))

    async def _bury(self, worker: ApplyWorker) -> None:
        await worker.child.wait()
        await asyncio.to_thread(shutil.rmtree, worker.folder, True)

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


def _is_exhausted(answer: ApplyAnswer | TaskError) -> bool:
    """Whether a worker had too little memory left. A kept one may hold what it needed before in other arenas."""
    return isinstance(answer, TaskError) and answer.error.code == memory.OUT_OF_MEMORY["request"]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(0o700)
        (folder / _SCRATCH).mkdir(0o700)
    except OSError as error:
        if disk.is_full(error):
            raise disk.storage_full() from error
        raise
