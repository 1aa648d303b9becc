"""The sessions of attempts that ended without a version, or whose service is gone: they end on the cluster, too.

Spark goes on with a job whose client is dead. A child of its own reattaches and interrupts it; where the server does
not answer, that is tried again a few times. A server that is gone executes nothing any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog

from service.jobs import entry, spark_sessions
from service.jobs.spark_sessions import Failed, Order, Session
from service.kit import errors
from service.model.run import Run
from service.processes.limits import Limits
from service.processes.spares import Spares

_DELAYS = (1.0, 5.0, 25.0, 0.0)  # seconds after each try that failed
_TRY_SECONDS = 15.0
_CLOSE_SECONDS = 5.0
_RELEASE_SECONDS = 2.0
"""How long the server may take to close sessions that it has interrupted; Sail waits for the tasks at work."""
_MEMORY_BYTES = 512 << 20
_log = structlog.get_logger("penstock.spark")


class Line(NamedTuple):
    """A log line about a try."""

    level: str
    event: str
    fields: dict[str, Any]


class SparkSessions:
    """What this process ends on the cluster behind ``url``. Its methods belong to the event loop."""

    def __init__(self, url: str, spares: Spares) -> None:
        self._url, self._spares = url, spares
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def end(self, run_id: str, attempt: int) -> asyncio.Future[Line | None]:
        """Begin to end the session of an attempt. The answer is what the first try came to, None if nothing was left.

        Once that is cancelled, the log of the service gets it.
        """
        return self._begin([Session(run_id, attempt)])

    def end_taken(self, runs: Sequence[Run]) -> None:
        """Begin to end the sessions of runs whose process is gone. Any thread may call."""
        sessions = [Session(run.run_id, run.attempt) for run in runs if run.attempt]
        if sessions:
            self._loop.call_soon_threadsafe(lambda: self._begin(sessions).cancel())

    def _begin(self, sessions: Sequence[Session]) -> asyncio.Future[Line | None]:
        first: asyncio.Future[Line | None] = self._loop.create_future()
        task = asyncio.create_task(self._end(sessions, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return first

    async def close(self) -> None:
        """Finish the tries that are in progress, if they take no longer than seconds, and begin no others."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _end(self, sessions: Sequence[Session], first: asyncio.Future[Line | None]) -> None:
        for number, delay in enumerate(_DELAYS, 1):
            line, finished = await self._tried(sessions, number)
            if not first.done():
                first.set_result(line)
            elif line is not None:
                getattr(_log, line.level)(line.event, run_ids=[s.run_id for s in sessions], **line.fields)
            if finished or await self._is_closing(delay):
                return

    async def _is_closing(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._closing.wait()
        except TimeoutError:
            return False

    async def _tried(self, sessions: Sequence[Session], number: int) -> tuple[Line | None, bool]:
        """Try for the ``number``-th time. Returns what to say about it, and whether it was the last try."""
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                operations = await self._interrupted(sessions)
        except (errors.PenstockError, OSError, TimeoutError) as error:
            message = str(error) or f"no answer within {_TRY_SECONDS:g} s"
            if number < len(_DELAYS):
                return Line("warning", "spark.not_interrupted", {"message": message}), False
            hint = "what Spark still executes for it publishes nothing, and ends when the server gives it up"
            return Line("error", "spark.left", {"message": message, "hint": hint}), True
        is_news = operations or number > 1  # an earlier try may have done it, and its answer been late
        return (Line("info", "spark.interrupted", {"operations": operations}) if is_news else None), True

    async def _interrupted(self, sessions: Sequence[Session]) -> int:
        """How many operations a child has interrupted."""
        order = spark_sessions.encode(Order(self._url, list(sessions)))
        child = await self._spares.start(entry.interrupt, order, Limits(memory_bytes=_MEMORY_BYTES, network=True))
        operations = 0
        try:
            for _ in sessions:
                data = await child.receive()
                if data is None:
                    raise errors.Transient(f"the process that interrupts ended ({await child.wait()})")
                answer = spark_sessions.decode_answer(data)
                if isinstance(answer, Failed):
                    raise errors.from_body(answer.error)
                operations += answer.operations
            await child.wait(_RELEASE_SECONDS)
            return operations
        finally:
            child.kill()
            await child.wait()
