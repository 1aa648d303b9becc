"""Errands: sends children to answer questions, a few at a time, each with a deadline that SIGKILL keeps.

Those that wait for sources (previews, probes) have places of their own: however many of them hang on a slow server,
a plan, a validation or an apply finds a free place.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from typing import Any

from service.jobs import messages
from service.jobs.messages import LogLine
from service.jobs.tasks import entry as errand_module
from service.jobs.tasks.entry import Call, Task, TaskAnswer, TaskError
from service.jobs.tasks.preview import Preview
from service.jobs.tasks.probe import Probing
from service.kit import errors, ids
from service.model.pipeline import Pipeline
from service.processes.child import Child
from service.runs import job_resources
from service.runs.job_resources import JobResources

_LONG = (Preview, Probing)


class TaskRunner:
    """All errands of this process: at a time ``most`` that read what is here, and ``most_long`` that ask sources.

    ``patience`` is how many seconds one stands in line for a free place.
    """

    def __init__(self, resources: JobResources, most: int = 4, most_long: int = 3, *, patience: float = 5.0) -> None:
        self.premises = resources
        self._short, self._long = asyncio.Semaphore(most), asyncio.Semaphore(most_long)
        self._patience = patience

    async def ask(
        self,
        task: Task,
        *,
        seconds: float,
        document: Any = None,
        stored: Mapping[str, messages.StoredParts] | None = None,
        network: bool = False,
    ) -> bytes:
        """The answer of a child that may use what ``document`` names of the secrets, and ``stored`` versions.

        Raises what the errand raises, ``errors.TimedOut`` after ``seconds``, ``errors.Unavailable`` where too many
        are on their way, and ``errors.Permanent`` where the child died.
        """
        places = self._long if isinstance(task, _LONG) else self._short
        try:
            async with asyncio.timeout(self._patience):
                await places.acquire()
        except TimeoutError:
            raise errors.Unavailable("too many requests of this kind are being answered", retry_after=5) from None
        folder = self.premises.places.staging(ids.new("errand"))
        try:
            await asyncio.to_thread(folder.mkdir, 0o700)
            call = Call(self.premises.grants(folder, document, stored), task)
            async with asyncio.timeout(seconds):
                return await self._answer(call, network=network)
        except TimeoutError:
            raise errors.TimedOut(f"this took longer than {seconds:g} s and was stopped") from None
        finally:
            places.release()
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def ask_about(self, pipeline: Pipeline, task: Task, *, seconds: float, network: bool = False) -> bytes:
        """``ask`` with all that the pipeline names: its secrets, and the stored versions that it reads.

        Raises what ``ask`` and ``stored`` raise.
        """
        stored = await self.stored(pipeline)
        return await self.ask(task, seconds=seconds, document=pipeline.document, stored=stored, network=network)

    async def stored(self, pipeline: Pipeline) -> Mapping[str, messages.StoredParts]:
        """The stored versions that a pipeline reads. Raises ``errors.Permanent`` where one is not there."""
        return await asyncio.to_thread(self.premises.stored, pipeline)

    async def _answer(self, call: Call, *, network: bool) -> bytes:
        limits = job_resources.limits(call.grants, network=network)
        child = await Child.start(errand_module.work, errand_module.encode(call), limits)
        try:
            while (data := await child.receive()) is not None:
                match errand_module.decode(data):
                    case TaskAnswer(content):
                        return content
                    case TaskError(error):
                        raise errors.from_body(error)
                    case LogLine() as line:
                        errand_module.note(line)
            raise job_resources.died(await child.wait(), "request", call.grants.memory_bytes)
        finally:
            child.kill()
            await child.wait()
