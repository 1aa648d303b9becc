"""Job: what every job in a child puts around its steps: contexts, errors, progress, and a journal of ended steps.

A run, a preview and every other task that executes collectors and processors uses it. It holds no results: a step's
report is a value that ``collect``, ``process`` and ``store`` return.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from service.engine.counters import Counters
from service.engine.memory import Memory
from service.engine.polars_frame import PolarsFrame
from service.files import layout
from service.files.allowed_files import Files
from service.jobs import memory
from service.jobs.journal import Journal
from service.jobs.messages import Grants, Progress
from service.jobs.step_meter import StepMeter
from service.kit import errors, placeholders
from service.model.run import Phase, Step
from service.network.pacing import HostLimiters
from service.network.policy import Network
from service.steps.context import CollectContext, Context, ProcessContext, State, StorageContext, StoredVersion
from service.steps.frame import FrameFactory
from service.steps.report import StepReport, StepWarning
from service.values import polars_errors
from service.values.version_mode import BaseVersion, VersionMode

_SAMPLE_SECONDS = 0.25  # between two looks at the counters

_Value = TypeVar("_Value")


def _nobody(_: Progress) -> None:
    return None


class Job:
    """The surroundings of one job's steps. ``step`` is the current one; ``listen`` receives progress.

    ``wanted_rows`` and ``dry`` are those of contexts. ``remembers`` says whether the state of collectors will be kept;
    ``remembered`` is the folder of the version that has the state to begin with.
    """

    def __init__(
        self,
        grants: Grants,
        log: Any,
        listen: Callable[[Progress], None] = _nobody,
        *,
        wanted_rows: int | None = None,
        dry: bool = False,
        remembers: bool = False,
        remembered: Path | None = None,
    ) -> None:
        self.grants = grants
        self.wanted_rows, self.dry = wanted_rows, dry
        self.log = log
        self.step = ""
        self.rows_collected = 0
        self.journal = Journal()
        self._remembers, self._remembered = remembers, remembered
        self._limiters = HostLimiters(None if grants.pace is None else Path(grants.pace))
        self._listen = listen
        self._phase: Phase = "collecting"
        self._counters = Counters()
        self._frames: FrameFactory = functools.partial(PolarsFrame, progress=self._counters, memory=Memory())
        self._spread: Callable[..., Any] | None = None
        self._meters: dict[str, StepMeter] = {}
        self._reported: dict[str, Step] = {}
        self._reporting = threading.Lock()

    def executes_with(self, engine: Callable[[Counters], FrameFactory], spread: Callable[..., Any]) -> None:
        """Let another engine make the frames from now on; it gets the counters of this job."""
        self._frames, self._spread = engine(self._counters), spread

    @property
    def folder(self) -> Path:
        """The job's own folder."""
        return Path(self.grants.folder)

    def context(
        self,
        step: str,
        folder: Path | None = None,
        *,
        mode: VersionMode | None = None,
        base: BaseVersion | None = None,
    ) -> StorageContext:
        """What the storage ``step`` gets."""
        common = self._common(step) | ({"folder": folder} if folder is not None else {})
        return StorageContext(step, **common, mode=mode or VersionMode(), base=base)

    def collect_context(self, step: str) -> CollectContext:
        """What the collector ``step`` gets, except what depends on the pipeline."""
        return CollectContext(
            step, **self._common(step), limiters=self._limiters,
            on_rows=lambda rows: self.collected(rows, step),
            on_bytes=lambda read, total: self._count_bytes(step, read, total),
            network=Network(allowed_private_hosts=self.grants.allowed_private_hosts),
            stored=next(iter(self.stored(step).values()), None), spread=self._spread,
        )  # fmt: skip

    def process_context(self, step: str) -> ProcessContext:
        """What the processor ``step`` gets, except what depends on the steps before."""
        return ProcessContext(step, **self._common(step), dry=self.dry, upstreams=self.stored(step))

    def _common(self, step: str) -> dict[str, Any]:
        def progressed(part: float, message: str) -> None:
            if (meter := self._meters.get(step)) is not None:
                meter.advance(part)

        grants = self.grants
        return {
            "folder": self.folder, "memory_bytes": grants.memory_bytes, "secrets": grants.secrets,
            "files": Files(
                tuple(map(Path, grants.file_roots)), tuple(map(Path, grants.closed)), copies=grants.copies
            ),
            "wanted_rows": self.wanted_rows,
            "frames": self._frames,
            "on_progress": progressed,
            "log": self.log,
        }  # fmt: skip

    def stored(self, step: str) -> dict[str, StoredVersion]:
        """The stored versions that a step reads, by the settings that name them, relative to the step."""
        return {
            field.removeprefix(f"{step}."): StoredVersion(s.pipeline, s.version, tuple(map(Path, s.parts)), s.rows)
            for field, s in self.grants.stored.items()
            if field.startswith(f"{step}.")
        }

    def state(self, label: str) -> State | None:
        """Where the collector ``label`` finds and leaves its state; None where nothing is remembered."""
        if not self._remembers:
            return None
        earlier = self._remembered / layout.STATE / label if self._remembered is not None else None
        return State(self.folder / layout.STATE / label, earlier if earlier and earlier.is_dir() else None)

    def collected(self, rows: int, step: str = "") -> None:
        """Count rows that the collector ``step`` fetched, for progress."""
        self.rows_collected += rows
        self._counters.expected = self.rows_collected
        if (meter := self._meters.get(step)) is not None:
            meter.rows += rows

    def _count_bytes(self, step: str, read: int, total: int | None) -> None:
        if (meter := self._meters.get(step)) is not None:
            meter.bytes_read = (meter.bytes_read or 0) + read
            meter.bytes_total = total if total is not None else meter.bytes_total
            if meter.bytes_total:
                meter.advance(meter.bytes_read / meter.bytes_total)

    def enter(self, phase: Phase, step: str) -> None:
        """Move on to ``step``. Collectors work side by side; every other step follows the one before."""
        with self._reporting:
            self._phase, self.step = phase, step
            self._counters.begin(self.rows_collected or None)
            if phase != "collecting":
                self._meters = {name: m for name, m in self._meters.items() if m.phase == "collecting"}
            self._meters[step] = StepMeter(step, phase)
        self.report()

    def end(self, step: Step) -> None:
        """Add a step that has ended to the journal."""
        with self._reporting:
            meter = self._meters.pop(step.step, None)
            if meter is not None:
                if meter.phase != "collecting":
                    self._read_counters(meter)
                step = meter.end(step)
            self.journal.add(step)

    def report(self) -> None:
        """Send the counters of the steps that have changed."""
        with self._reporting:
            seen = [*self.journal.steps, *(self._looked(meter) for meter in self._meters.values())]
            changed = [step for step in seen if self._reported.get(step.step) != step]
            self._reported.update((step.step, step) for step in changed)
            if changed:
                shown = [msgspec.structs.replace(step, evidence=None) for step in changed]
                self._listen(Progress(self._phase, self.step, self.rows_collected, shown))

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report regularly, from a thread: most of the work is done by engines that call nobody."""
        ended = threading.Event()

        def work() -> None:
            with contextlib.suppress(OSError):  # the service has ended, and this process will
                while not ended.wait(_SAMPLE_SECONDS):
                    self.report()

        thread = threading.Thread(target=work, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _looked(self, meter: StepMeter) -> Step:
        if meter.phase != "collecting":
            self._read_counters(meter)
        return meter.look()

    def _read_counters(self, meter: StepMeter) -> None:
        counters = self._counters
        meter.counts_rows, meter.is_counting = counters.counted, counters.passing_rows
        meter.rows = counters.rows
        if counters.fraction is not None:
            meter.advance(counters.fraction)
        if meter.phase == "storing":
            meter.bytes_written = counters.bytes_written

    def warn(self, step: str, code: str, message: str, **details: Any) -> None:
        """Warn about ``step`` from outside of it."""
        self.log.warning("step.warning", step=step, code=code, message=message)
        self.journal.file(StepReport(warnings=(StepWarning(step, code, message, details),)))

    @contextmanager
    def running(self, ctx: Context) -> Iterator[None]:
        """Execute a step: its errors name it, and its report goes to the journal, also when it fails."""
        try:
            with self.translated(ctx.step):
                yield
        finally:
            self.journal.file(ctx.report())

    @contextmanager
    def translated(self, step: str) -> Iterator[None]:
        """Turn errors that libraries raise inside into errors that name the step."""
        try:
            yield
        except (errors.PenstockError, MemoryError, asyncio.CancelledError):
            raise
        except BaseException as error:  # a panic inside Polars is not an Exception
            if memory.is_exhausted(error):
                raise MemoryError from error
            raise polars_errors.translate(error, step) from error

    def body(self, error: errors.PenstockError) -> errors.Body:
        """The error as the caller may see it: with its step and the full path of the field, without secrets."""
        body = error.as_body()
        details = _with_whole_field({**({"step": self.step} if self.step else {}), **body.details})
        return self.hidden(msgspec.structs.replace(body, details=details))

    def hidden(self, value: _Value) -> _Value:
        """``value`` (a struct or a dict) with every secret masked."""
        if not self.grants.secrets:
            return value
        text = placeholders.mask(msgspec.json.encode(value).decode(), self.grants.secrets.values())
        return msgspec.json.decode(text, type=type(value))

    def masked(self, content: bytes) -> bytes:
        """JSON without any secret."""
        if not self.grants.secrets:
            return content
        return placeholders.mask(content.decode(), self.grants.secrets.values()).encode()

    def without_paths(self, text: str) -> str:
        """``text`` with every file named as its user would name it, not by its path on this machine."""
        grants = self.grants
        parts = [str(Path(part).parents[2]) for stored in grants.stored.values() for part in stored.parts]
        for root in sorted({grants.folder, *grants.file_roots, *parts}, key=len, reverse=True):
            text = text.replace(f"{root.rstrip('/')}/", "")
        return re.sub(r"\.collect-\d+/(head-\d+/)?|\.objects/\d+/", "", text)


def _with_whole_field(details: dict[str, Any]) -> dict[str, Any]:
    """``details`` with ``field`` made absolute: steps name it relative to themselves."""
    field, step = details.get("field"), str(details.get("step", ""))
    if isinstance(field, str) and field and step and not field.startswith((step, "combine", "records[")):
        return {**details, "field": f"{step}.{field}" if not field.startswith("[") else f"{step}{field}"}
    return details
