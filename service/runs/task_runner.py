"""The runner of one-shot tasks: each task is answered by a child, with a deadline that SIGKILL enforces.

Tasks that wait for sources (previews, probes) or read whole versions (comparisons) have separate slots: however many of
them hang on a slow server, plans, validations and applies still find a free slot.
Messages to hooks have slots for themselves, and events for an OpenLineage service have one.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

from service.files import deleted_version, disk, shared_uploads
from service.jobs import application, entry, messages
from service.jobs.application import ApplyAnswer, ApplyRequest
from service.jobs.messages import LogLine
from service.jobs.tasks import task as task_messages
from service.jobs.tasks.task import (
    Application,
    AtStep,
    Call,
    Comparing,
    LineageDelivery,
    Notification,
    Preview,
    Probing,
    ProfilePage,
    Task,
    TaskAnswer,
    TaskError,
)
from service.kit import errors, ids
from service.model import pipeline as pipelines
from service.model.pipeline import Pipeline
from service.model.registry import is_ours
from service.model.rights import Readable
from service.model.version import Version
from service.processes.places import Places, share
from service.runs import apply_pool, cause_of_death, job_resources, object_sources
from service.runs.apply_pool import ApplyPool, Document, Key, key_of
from service.runs.job_resources import JobResources

MOST_BATCHES = 8
"""How many receivers get messages to hooks at once, each from a child."""
_MOST_KNOWN = 1_024
_LONG = (Preview, Probing, Comparing)
_DRAWING_BYTES = 768 << 20  # addresses that the engine of the charts (V8) reserves; it holds some 120 MiB of them


class TaskRunner:
    """The tasks of this process: at most ``most`` at a time without network, and ``most_long`` that take long (what
    memory allows by default).

    A task waits at most ``patience`` seconds for a free slot.
    """

    def __init__(
        self, resources: JobResources, most: int | None = None, most_long: int | None = None, *, patience: float = 5.0
    ) -> None:
        self.resources = resources
        budget = resources.settings.budget
        long = most_long or max(1, budget.tasks * 3 // 7)
        short = most or max(1, budget.tasks - long)
        self._short, self._long = self._shared(short), self._shared(long)
        self._sending = {Notification: self._shared(MOST_BATCHES), LineageDelivery: self._shared(1)}
        self._memory_bytes = budget.task_bytes
        self._patience = patience
        self._reading: dict[int, list[Path]] = {}  # by their identity
        self._ours: OrderedDict[Key, bool] = OrderedDict()  # whether the steps of a version are all ours
        self._appliers = ApplyPool(resources, short, self._memory_bytes)

    def _shared(self, most: int) -> Places:
        settings = self.resources.settings
        each, queue = share(most, settings.user_share), settings.max_queued_queries
        return Places(most, each=each, queue=queue, what="requests of this kind", limit="tasks")

    async def ask(
        self,
        task: Task,
        *,
        seconds: float,
        document: Any = None,
        stored: Mapping[str, messages.StoredParts] | None = None,
        network: bool = False,
        hosts: tuple[str, ...] = (),
        reading: Pipeline | None = None,
    ) -> bytes:
        """The answer of a child that may use the secrets that ``document`` names, and the versions in ``stored``.

        With ``network`` it may call what collectors may, and the private ``hosts``. It gets copies of the objects that
        the pipeline ``reading`` names.

        Raises the task's error, ``errors.TimedOut`` after ``seconds``, ``errors.Unavailable`` if too many tasks are
        running, ``errors.Missing`` if a version was deleted meanwhile, and ``errors.Permanent`` if the child died.
        """
        slots = self._sending.get(type(task)) or (self._long if isinstance(task, _LONG) else self._short)
        with self._noted(stored or {}):
            async with self._places(slots.turn(self._patience)):
                with self._appliers.displacing() if slots is self._short else contextlib.nullcontext():
                    return await self._ask(task, seconds, document, stored, network, hosts, reading)

    @contextlib.contextmanager
    def _noted(self, stored: Mapping[str, messages.StoredParts]) -> Iterator[None]:
        """Note what a task reads, before it waits for a place. An error for want of a version names that."""
        parts = [Path(part) for read in stored.values() for part in read.parts]
        versions = ((read.pipeline, read.version, Path(part)) for read in stored.values() for part in read.parts[:1])
        self._reading[id(parts)] = parts
        try:
            with deleted_version.named(versions):
                yield
        finally:
            del self._reading[id(parts)]

    async def apply(
        self, version: Version, document: Document, request: ApplyRequest, *, seconds: float
    ) -> ApplyAnswer:
        """The answer of a worker that applies a version, made by the revision that ``document`` finds.

        Steps of third parties get a worker of their own each time. Raises as ``ask``, and ``errors.Missing`` (NO_DATA)
        for a version of a release that kept no fit record.
        """
        ours = self._ours.get(key_of(version))
        if ours is None:
            pipeline = pipelines.decode(await document(), self.resources.registry)
            ours = self._ours[key_of(version)] = all(map(is_ours, pipeline.processors))
            if len(self._ours) > _MOST_KNOWN:
                self._ours.popitem(last=False)
        if ours:
            async with self._places(self._appliers.turn(version), self._short.turn(self._patience)):
                return await self._appliers.ask(version, document, request, seconds=seconds)
        found = await document()
        path = await asyncio.to_thread(self.resources.fit_record, version)
        task = Application(document=found, version=version.version, fit_record=path, request=request)
        stored = apply_pool.readable(version, path)
        answer = await self.ask(task, seconds=seconds, document=found.get("processors"), stored=stored)
        return application.decode_answer(answer)

    @contextlib.asynccontextmanager
    async def _places(self, *places: AbstractAsyncContextManager[None]) -> AsyncIterator[None]:
        """Wait for all ``places`` in turn. Raises ``errors.Unavailable`` if that takes too long."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience):
                    for place in places:
                        await stack.enter_async_context(place)
            except TimeoutError:
                raise errors.Unavailable(
                    "too many requests of this kind are running; try again later", retry_after=5
                ) from None
            yield

    async def _ask(
        self, task: Task, seconds: float, document: Any, stored: Mapping[str, messages.StoredParts] | None,
        network: bool, hosts: tuple[str, ...], reading: Pipeline | None,
    ) -> bytes:  # fmt: skip
        folder, steps = self.resources.layout.staging(ids.new("task")), [""]
        try:
            await asyncio.to_thread(self._make, folder, uploads=document is not None)
            reserved = _DRAWING_BYTES if isinstance(task, ProfilePage) else 0
            grants = self.resources.grants(folder, document, stored, self._memory_bytes + reserved)
            allowed = (*grants.allowed_private_hosts, *hosts)
            grants = msgspec.structs.replace(grants, allowed_private_hosts=allowed)
            async with asyncio.timeout(seconds):
                if reading is not None:
                    most, heads = object_sources.SAMPLE_BYTES, isinstance(task, Preview)
                    copies = await object_sources.fetched(self.resources, reading, folder, most_bytes=most, heads=heads)
                    grants = msgspec.structs.replace(grants, copies=copies)
                call = Call(grants, task)
                return await self._answer(call, steps, network=network)
        except TimeoutError:
            raise _timed_out(steps[-1], seconds) from None
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, True)

    def reads(self, folder: Path) -> bool:
        """Whether a task reads the version in ``folder``, or soon will. Kept workers that may read it end."""
        reading = (part for parts in self._reading.values() for part in parts)
        return self._appliers.reads(folder) or any(part.is_relative_to(folder) for part in reading)

    def _make(self, folder: Path, *, uploads: bool) -> None:
        """Make the folder of a task; with ``uploads`` it may read them."""
        if uploads:
            shared_uploads.pull(self.resources.layout)
        try:
            folder.mkdir(0o700)
        except OSError as error:
            if disk.is_full(error):
                raise disk.storage_full() from error
            raise

    async def ask_about(
        self, pipeline: Pipeline, task: Task, *, seconds: float, network: bool = False, readable: Readable = None
    ) -> bytes:
        """``ask`` with the secrets that the pipeline names and the ``readable`` versions that it reads.

        Raises what ``ask`` and ``stored`` raise.
        """
        stored = await self.stored(pipeline, readable)
        return await self.ask(
            task, seconds=seconds, document=pipeline.document, stored=stored, network=network, reading=pipeline
        )

    @property
    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that are configured."""
        return frozenset(self.resources.secrets)

    async def stored(self, pipeline: Pipeline, readable: Readable = None) -> Mapping[str, messages.StoredParts]:
        """The ``readable`` versions that a pipeline reads. Raises ``errors.Permanent`` if one does not exist."""
        return await asyncio.to_thread(self.resources.stored, pipeline, readable)

    @property
    def waiting(self) -> int:
        """How many tasks wait for a place."""
        return sum(places.waiting for places in (self._short, self._long, *self._sending.values()))

    @property
    def workers(self) -> dict[str, int]:
        """How many workers that apply versions are ``busy``, and how many are ``kept``."""
        return self._appliers.workers

    async def close(self) -> None:
        """End the workers that are kept."""
        await self._appliers.close()

    async def _answer(self, call: Call, steps: list[str], *, network: bool) -> bytes:
        """The answer of a child; the step that it works at is added to ``steps``."""
        limits = job_resources.limits(call.grants, network=network)
        child = await self.resources.spares.start(entry.task, task_messages.encode(call), limits)
        child.watch(self.resources.settings.heartbeat_seconds)
        try:
            while (data := await child.receive()) is not None:
                match task_messages.decode(data):
                    case TaskAnswer(content):
                        return content
                    case TaskError(error):
                        raise disk.explain(errors.from_body(error), self.resources.layout.warehouse)
                    case AtStep(step):
                        steps.append(step)
                    case LogLine() as line:
                        task_messages.log(line)
            raise cause_of_death.explain(child, await child.wait(), "request", call.grants)
        finally:
            child.kill()
            await child.wait()


def _timed_out(step: str, seconds: float) -> errors.TimedOut:
    if not step:
        return errors.TimedOut(f"this took longer than {seconds:g} s and was stopped")
    return errors.TimedOut(f"{step}: this took longer than {seconds:g} s and was stopped", step=step)
