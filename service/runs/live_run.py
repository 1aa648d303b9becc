"""The state of a run in memory, its log lines and its events."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import structlog

from service.files.event_journal import MOST_BYTES, EventJournal, EventKind
from service.kit import clock
from service.kit.clock import Clock
from service.model.run import Phase, Run, Step, public
from service.runs import run_counts
from service.runs.event_stream import Batch, EventStream, Journal
from service.runs.run_progress import RunProgress

if TYPE_CHECKING:
    from service.runs.job_resources import JobResources

_LONGEST_LINE = 256 * 1024  # bytes of a log line
_SHOWN = 2000  # characters of a text in a longer one
_VITAL = frozenset({"error", "critical", "exception"})
_LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})


Reason = Literal["cancelled", "closing", "superseded"]
"""Why the task of a run is stopped; ``superseded`` is a run that another process has ended or taken over."""


class LiveRun:
    """The state of one run. Only the supervisor changes it; everything in the event loop may read it."""

    def __init__(
        self, pipeline_id: str, run: Run, journal: Journal | None, clock: Clock,
        on_ended: Callable[[Run], None] | None = None,
    ) -> None:  # fmt: skip
        self.pipeline_id = pipeline_id
        self.run = run
        self.task: asyncio.Task[None] | None = None
        self.committing = False
        self.reads: tuple[str, ...] = ()  # paths in the versions that it reads
        self.stopped_as: Reason | None = None
        self.fence: int | None = None  # the token of the present attempt
        self.stored_begin: Run | None = None  # the first attempt, if the catalog got it with the run
        self.has_begun = False  # whether its task has taken its first step
        self.settled = asyncio.Event()  # set when the run has ended, or waits for another process
        self._clock = clock
        self._began: float | None = None
        self._attempt_began = 0.0
        self.progress: RunProgress | None = None  # of the present attempt
        self._journal = journal or EventJournal(None)
        self._stream = EventStream(self._journal)
        self._log = structlog.get_logger("penstock.run")
        self._on_ended = on_ended

    @classmethod
    def of(cls, resources: JobResources, pipeline_id: str, run: Run) -> LiveRun:
        """A run of the service, which is counted when it ends."""
        counted = functools.partial(run_counts.count, resources.metrics)
        journal = resources.journals.journal(run.run_id, lambda: live.fence)
        live = cls(pipeline_id, run, journal, resources.clock, counted)
        return live

    def view(self) -> Run:
        """The run in its present state, with the time that it has taken so far and its estimated end."""
        if self._began is None or self.run.ended:
            return self.run
        end = None
        if self.progress is not None and self.run.status == "running":
            end = self.progress.estimated_end(self.attempt_seconds(), self._clock.now())
        return msgspec.structs.replace(self.run, duration=self.elapsed(), estimated_end=end)

    def elapsed(self) -> float:
        """Seconds since the run began; 0 before."""
        return 0.0 if self._began is None else round(self._clock.monotonic() - self._began, 6)

    def attempt_seconds(self) -> float:
        """Seconds since the present attempt began."""
        return self._clock.monotonic() - self._attempt_began

    def begin(self, begun: Run) -> bool:
        """Begin an attempt. Returns whether the catalog knows of it already."""
        self._journal.held = True
        self._attempt_began = self._clock.monotonic()
        stored, self.stored_begin = self.stored_begin, None
        run = stored or begun
        if self._began is None:
            assert run.start_time is not None
            before = max(0.0, (self._clock.now() - run.start_time).total_seconds())  # of attempts in other processes
            self._began = self._clock.monotonic() - before
        known = self.run.status
        self.run = msgspec.structs.replace(self.run, progress=0.0)  # progress never goes back within an attempt
        self.replace_run(run)
        if known == run.status:  # it was claimed with this attempt
            self.announce()
        return stored is not None

    def suspend(self) -> None:
        """End the stream and the waiting of listeners although the run has not ended: another process goes on."""
        self.settled.set()
        self._stream.suspend()

    def change(self, **fields: Any) -> None:
        """Set fields of the run; ``progress`` never goes back."""
        if "progress" in fields:
            fields["progress"] = max(fields["progress"], self.run.progress)
        status = fields.get("status")
        changed = status is not None and status != self.run.status
        self.run = msgspec.structs.replace(self.run, **fields)
        if changed:
            if self.run.ended and self._journal.left_out:
                fields = {**self._names(), "lines": self._journal.left_out}
                self._write_line("warning", "log.incomplete", fields, vital=True)
            self.announce()
            if self.run.ended:
                self.emit("end", public(self.run))
                self.settled.set()
                if self._on_ended is not None:
                    self._on_ended(self.run)

    def advance(self, phase: Phase, step: str, rows: int, steps: Sequence[Step]) -> None:
        """Note how far the present attempt is, and tell listeners now and then."""
        progress, elapsed = self.progress, self.attempt_seconds()
        assert progress is not None
        progress.update(steps, elapsed)
        self.change(phase=phase, step=step, rows_collected=rows, progress=progress.percent, steps=progress.steps)
        if progress.is_due(step, elapsed):
            shown = ("phase", "step", "progress", "estimated_end", "rows_collected", "duration")
            view = self.view()
            data = {name: getattr(view, name) for name in shown}
            self.emit("progress", {**data, "steps": [s for s in progress.steps if s.ended is None]})

    def replace_run(self, run: Run) -> None:
        """Replace the state by one that the catalog has."""
        self.change(**{name: getattr(run, name) for name in Run.__struct_fields__})

    def relay(self, fields: dict[str, Any]) -> None:
        """Log a line of the worker."""
        known = {k: v for k, v in fields.items() if k not in ("level", "event", "run_id", "pipeline", "request_id")}
        self.log(str(fields.get("level", "info")), str(fields.get("event", "")), **known)

    def announce(self) -> None:
        """Send the state of the run to all listeners."""
        self.emit("status", public(self.view()))

    def emit(self, kind: EventKind, data: dict[str, Any], *, vital: bool = False) -> None:
        """Write an event to the journal and send it to all listeners."""
        self._stream.emit(kind, msgspec.json.encode(data), vital=vital)

    def events(self, after: int, quiet_seconds: float) -> AsyncGenerator[Batch, None]:
        """Events with an id above ``after``, as they happen, up to the ``end`` event, as ``EventStream.follow``."""
        return self._stream.follow(after, quiet_seconds)

    def log(self, level: str, event: str, **fields: Any) -> None:
        """Write one log line of the run to the service's log, the run's journal and the listeners."""
        bound = {**self._names(), **fields}
        getattr(self._log, level if level in _LEVELS else "info")(event, **bound)
        left_out = self._journal.left_out
        self._write_line(level, event, bound, vital=level in _VITAL)
        if self._journal.left_out and not left_out:
            message = "the journal of the run is full: later lines are left out, except errors"
            fields = {**self._names(), "bytes": MOST_BYTES, "message": message}
            self._write_line("warning", "log.cut", fields, vital=True)

    def _names(self) -> dict[str, Any]:
        """What each line names: the run, its pipeline, and the request that started it."""
        request = {"request_id": self.run.request_id} if self.run.request_id is not None else {}
        return {"run_id": self.run.run_id, "pipeline": self.run.pipeline, **request}

    def _write_line(self, level: str, event: str, fields: dict[str, Any], *, vital: bool) -> None:
        line = {"time": clock.rfc3339(self._clock.now()), "level": level, "event": event, **fields}
        data = msgspec.json.encode(line)
        if len(data) > _LONGEST_LINE:
            short = {**line, "event": event[:_SHOWN], "message": str(fields.get("message", ""))[:_SHOWN]}
            kept = ("time", "level", "event", "run_id", "pipeline", "request_id", "step", "code", "message")
            short = {key: value for key, value in short.items() if key in kept}
            data = msgspec.json.encode({**short, "bytes_cut": len(data)})
        self._stream.emit("log", data, vital=vital)

    def close(self) -> None:
        """Close the journal; it is opened again for what comes later."""
        self._stream.close()
