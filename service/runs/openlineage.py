"""OpenLineage: sends the events of runs to the service at PENSTOCK_OPENLINEAGE_URL, in order, by a child.

Events wait in the catalog until that service has accepted them, for at most a day, so that they survive restarts and
hold up no run. While it does not answer, one event at a time is tried, with growing pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

import msgspec
import structlog

from service.catalog.lineage_events import LineageEvents, Waiting
from service.jobs.tasks.task import Delivered, LineageDelivery
from service.kit import errors
from service.kit.settings import Settings
from service.model.lineage import TracedColumns
from service.runs import lineage_graph
from service.runs.openlineage_event import EventEncoder, is_traceable
from service.runs.supervisor import Supervisor
from service.runs.task_runner import TaskRunner

_PATH = "/api/v1/lineage"
_BATCH, _BATCH_SECONDS = 100, 60.0
_LOOK = 2.0  # seconds between two looks into the queue; the ends of runs are seen at once
_PACE = 1.0  # seconds between two batches, so that short runs do not start a child each
_FIRST_DELAY, _LONGEST_DELAY = 5.0, 300.0
_TRACING_SECONDS = 30.0
_KNOWN = 256  # traced configurations that are remembered
_log = structlog.get_logger("penstock.openlineage")


class OpenLineage:
    """The sender of this process. Its methods belong to the event loop."""

    def __init__(self, supervisor: Supervisor, tasks: TaskRunner, events: LineageEvents, settings: Settings) -> None:
        self._supervisor, self._tasks, self._events, self._settings = supervisor, tasks, events, settings
        self._encoder = EventEncoder(tasks.resources, events, settings.openlineage_namespace)
        self._traced: dict[bytes, TracedColumns] = {}
        self._failures = 0
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send, first what an earlier process left; nothing without a URL."""
        if self._settings.openlineage_url is not None:
            self._supervisor.on_freed.append(self._woken.set)
            self._task = asyncio.create_task(self._run(self._settings.openlineage_url))

    async def close(self) -> None:
        """Stop; the next start sends what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, address: str) -> None:
        url, host = endpoint(address)
        while True:
            try:
                pause = await self._send(url, host)
            except Exception as error:  # the catalog cannot be read or written, or no child has a place now
                _log.error("openlineage.stopped", reason=str(error), exception=type(error).__name__)
                pause = _FIRST_DELAY
            if pause:
                await asyncio.sleep(pause)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), _LOOK)

    async def _send(self, url: str, host: str) -> float:
        """Send what waits. Returns the seconds to wait before the next look; 0 if nothing was there."""
        self._woken.clear()
        if dropped := await asyncio.to_thread(self._events.trim):
            _log.error("openlineage.dropped", events=dropped)
        batch = await asyncio.to_thread(self._events.next, 1 if self._failures else _BATCH)
        if not batch:
            return 0.0
        events = [await self._encoded(waiting) for waiting in batch]
        task = LineageDelivery(url=url, api_key=self._settings.openlineage_api_key, events=events)
        answer = await self._tasks.ask(task, seconds=_BATCH_SECONDS, network=True, hosts=(host,))
        delivered = msgspec.json.decode(answer, type=Delivered)
        if delivered.done:
            await asyncio.to_thread(self._events.remove, batch[delivered.done - 1].sequence)
        for place, reason in delivered.refused.items():
            run = batch[place].run
            _log.error("openlineage.refused", run_id=run.run_id, type=batch[place].event, reason=reason)
        if delivered.error is None:
            self._failures = 0
            return _PACE
        self._failures += 1
        pause = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(self._failures - 1, 20))
        _log.warning("openlineage.not_sent", tries=self._failures, next_try_seconds=pause, reason=delivered.error)
        return pause

    async def _encoded(self, waiting: Waiting) -> str:
        columns = await self._columns(waiting) if is_traceable(waiting) else None
        return await asyncio.to_thread(self._encoder.encode, waiting, columns)

    async def _columns(self, waiting: Waiting) -> TracedColumns:
        """The origins of the columns of the run's version. Equal configurations and sources are traced once."""
        task = lineage_graph.tracing(waiting.document, waiting.version)
        key = msgspec.json.encode(task)
        if (known := self._traced.get(key)) is None:
            try:
                answer = await self._tasks.ask(task, seconds=_TRACING_SECONDS, document=waiting.document)
                known = msgspec.json.decode(answer, type=TracedColumns)
            except errors.Unavailable:
                raise
            except errors.PenstockError as error:
                known = TracedColumns(columns=None, why=error.message)
            while len(self._traced) >= _KNOWN:
                del self._traced[next(iter(self._traced))]
            self._traced[key] = known
        return known


def endpoint(address: str) -> tuple[str, str]:
    """The URL that takes events, and its host and port as the egress rules name them."""
    parts = urlsplit(address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    url = parts._replace(path=_PATH).geturl() if parts.path in ("", "/") else address
    return url, f"{host}:{port}"
