"""The state of a run in memory, its event stream and its log file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, TextIO

import msgspec
import structlog

from service.kit import clock
from service.kit.clock import Clock
from service.model.run import Event, EventKind, Run

_MOST_EVENTS = 5000  # later listeners miss the oldest log lines, never the end
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})


class LiveRun:
    """The state of one run. Only the supervisor changes it; everything in the event loop may read it."""

    def __init__(self, pipeline_id: str, run: Run, log_path: Path | None, clock: Clock) -> None:
        self.pipeline_id = pipeline_id
        self.run = run
        self.task: asyncio.Task[None] | None = None
        self.committing = False
        self.reads: tuple[str, ...] = ()  # paths in the versions that it reads
        self.stopped_as: Literal["cancelled", "closing"] | None = None
        self.fence: int | None = None  # the token of the present attempt
        self.stored_begin: Run | None = None  # the first attempt, if the catalog got it with the run
        self.has_begun = False  # whether its task has taken its first step
        self.has_slot = False
        self.settled = asyncio.Event()  # set when the run has ended, or waits for another process
        self._clock = clock
        self._began: float | None = None
        self._events: list[Event] = []
        self._last = 0
        self._suspended = False
        self._end = 0  # the id of the event that ends the stream
        self._changed = asyncio.Condition()
        self._waiters: set[asyncio.Task[None]] = set()
        self._log_path = log_path
        self._file: TextIO | None = None
        self._log = structlog.get_logger("penstock.run")

    def view(self) -> Run:
        """The run in its present state, with the time that it has taken so far."""
        if self._began is not None and not self.run.ended:
            return msgspec.structs.replace(self.run, duration=round(self._clock.monotonic() - self._began, 6))
        return self.run

    def elapsed(self) -> float:
        """Seconds since the run began; 0 before."""
        return 0.0 if self._began is None else round(self._clock.monotonic() - self._began, 6)

    def begin(self, begun: Run) -> bool:
        """Begin an attempt. Returns whether the catalog knows of it already."""
        stored, self.stored_begin = self.stored_begin, None
        run = stored or begun
        if self._began is None:
            assert run.start_time is not None
            before = max(0.0, (self._clock.now() - run.start_time).total_seconds())  # of attempts in other processes
            self._began = self._clock.monotonic() - before
        self.run = msgspec.structs.replace(self.run, progress=0.0)  # progress never goes back within an attempt
        self.replace_run(run)
        return stored is not None

    def suspend(self) -> None:
        """End the stream and the waiting of listeners although the run has not ended: another process goes on."""
        self._suspended = True
        self.settled.set()
        self._wake()

    def change(self, **fields: Any) -> None:
        """Set fields of the run; ``progress`` never goes back."""
        if "progress" in fields:
            fields["progress"] = max(fields["progress"], self.run.progress)
        status = fields.get("status")
        changed = status is not None and status != self.run.status
        self.run = msgspec.structs.replace(self.run, **fields)
        if changed:
            self.emit("status", msgspec.to_builtins(self.view()))
            if self.run.ended:
                self.emit("end", msgspec.to_builtins(self.run))
                self.settled.set()

    def replace_run(self, run: Run) -> None:
        """Replace the state by one that the catalog has."""
        self.change(**{name: getattr(run, name) for name in Run.__struct_fields__})

    def relay(self, fields: dict[str, Any]) -> None:
        """Log a line of the worker."""
        known = {k: v for k, v in fields.items() if k not in ("level", "event", "run_id", "pipeline")}
        self.log(str(fields.get("level", "info")), str(fields.get("event", "")), **known)

    def emit(self, kind: EventKind, data: dict[str, Any]) -> None:
        """Send an event to all listeners."""
        self._last += 1
        self._events.append(Event(id=self._last, kind=kind, data=data))
        if kind == "end":
            self._end = self._last
        if len(self._events) > _MOST_EVENTS:
            del self._events[: _MOST_EVENTS // 10]
        self._wake()

    def _wake(self) -> None:
        task = asyncio.get_running_loop().create_task(self._notify())
        self._waiters.add(task)
        task.add_done_callback(self._waiters.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def events(self, after: int) -> AsyncIterator[Event]:
        """Events with an id above ``after``, as they happen, up to the ``end`` event.

        An id that no event has yet comes from an earlier process: the stream then begins at the first event.
        """
        if after > self._last:
            after = 0
        while not 0 < self._end <= after:
            fresh = [e for e in self._events if e.id > after]
            for event in fresh:
                yield event
                after = event.id
                if event.kind == "end":
                    return
            if self._suspended:
                return
            async with self._changed:
                await self._changed.wait_for(lambda seen=after: self._last > seen or self._suspended)  # type: ignore[misc]

    def log(self, level: str, event: str, **fields: Any) -> None:
        """Write one log line of the run to the service's log, the run's file and the listeners."""
        bound = {"run_id": self.run.run_id, "pipeline": self.run.pipeline, **fields}
        getattr(self._log, level if level in _LEVELS else "info")(event, **bound)
        line = {"time": clock.rfc3339(self._clock.now()), "level": level, "event": event, **bound}
        self.emit("log", line)
        if self._log_path is not None:
            with contextlib.suppress(OSError):  # a run does not fail because its log file cannot be written
                if self._file is None:
                    self._file = self._log_path.open("a", encoding="utf-8", buffering=1)
                self._file.write(msgspec.json.encode(line).decode() + "\n")

    def close(self) -> None:
        """Close the log file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
