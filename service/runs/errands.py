"""Errands: sends children to answer questions, a few at a time, each with a deadline that SIGKILL keeps."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from typing import Any

from service.kit import errors, ids
from service.model.pipeline import Pipeline
from service.processes.child import Child
from service.runs import errand as errand_module
from service.runs import messages, premises
from service.runs.errand import Answer, Call, Errand, Line, Refusal
from service.runs.premises import Premises

_WAIT_SECONDS = 5.0  # in line for a free place


class Errands:
    """All errands of this process; ``most`` at a time."""

    def __init__(self, around: Premises, most: int = 4) -> None:
        self.premises = around
        self._slots = asyncio.Semaphore(most)

    async def ask(
        self,
        errand: Errand,
        *,
        seconds: float,
        document: Any = None,
        stored: Mapping[str, messages.Stored] | None = None,
        network: bool = False,
    ) -> bytes:
        """The answer of a child that may use what ``document`` names of the secrets, and ``stored`` versions.

        Raises what the errand raises, ``errors.TimedOut`` after ``seconds``, ``errors.Unavailable`` where too many
        are on their way, and ``errors.Permanent`` where the child died.
        """
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise errors.Unavailable("too many requests of this kind are being answered", retry_after=5) from None
        folder = self.premises.places.staging(ids.new("errand"))
        try:
            await asyncio.to_thread(folder.mkdir, 0o700)
            call = Call(self.premises.allowance(folder, document, stored), errand)
            async with asyncio.timeout(seconds):
                return await self._answer(call, network=network)
        except TimeoutError:
            raise errors.TimedOut(f"this took longer than {seconds:g} s and was stopped") from None
        finally:
            self._slots.release()
            await asyncio.to_thread(shutil.rmtree, folder, True)

    async def ask_about(self, pipeline: Pipeline, errand: Errand, *, seconds: float, network: bool = False) -> bytes:
        """``ask`` with all that the pipeline names: its secrets, and the stored versions that it reads.

        Raises what ``ask`` and ``stored`` raise.
        """
        stored = await self.stored(pipeline)
        return await self.ask(errand, seconds=seconds, document=pipeline.document, stored=stored, network=network)

    async def stored(self, pipeline: Pipeline) -> Mapping[str, messages.Stored]:
        """The stored versions that a pipeline reads. Raises ``errors.Permanent`` where one is not there."""
        return await asyncio.to_thread(self.premises.stored, pipeline)

    async def _answer(self, call: Call, *, network: bool) -> bytes:
        limits = premises.limits(call.allowance, network=network)
        child = await Child.start(errand_module.work, errand_module.encode(call), limits)
        try:
            while (data := await child.receive()) is not None:
                match errand_module.said(data):
                    case Answer(content):
                        return content
                    case Refusal(error):
                        raise errors.from_body(error)
                    case Line() as line:
                        errand_module.note(line)
            raise premises.died(await child.wait(), "request", call.allowance.memory_bytes)
        finally:
            child.kill()
            await child.wait()
