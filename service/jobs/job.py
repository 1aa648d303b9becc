"""Job: what every job in a child puts around its steps: contexts, errors, progress, and a journal of ended steps.

A run, a preview and every other task that executes collectors and processors uses it. It holds no results: a step's
report is a value that ``collect``, ``process`` and ``store`` return.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from service.engine.polars_frame import PolarsFrame
from service.files import layout
from service.files.allowed_files import Files
from service.jobs.journal import Journal
from service.jobs.messages import Grants, Progress
from service.kit import errors, placeholders
from service.model.run import Phase
from service.network.pacing import HostLimiters
from service.network.policy import Network
from service.steps.context import CollectContext, Context, ProcessContext, State, StorageContext, StoredVersion
from service.steps.report import StepReport, StepWarning
from service.values import polars_errors
from service.values.version_mode import BaseVersion, VersionMode

# The share of the whole at which each phase begins and ends, in percent.
_ENDS: dict[Phase, tuple[float, float]] = {"collecting": (0, 35), "processing": (35, 60), "storing": (60, 99)}
_NOTICE_SECONDS = 0.2  # the shortest time between two progress messages

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
        self._progress = 0.0
        self._noticed = 0.0

    @property
    def folder(self) -> Path:
        """The job's own folder."""
        return Path(self.grants.folder)

    def context(
        self,
        step: str,
        share: tuple[int, int] = (0, 1),
        folder: Path | None = None,
        *,
        mode: VersionMode | None = None,
        base: BaseVersion | None = None,
    ) -> StorageContext:
        """What the storage ``step`` gets. ``share`` is its place and the number of steps of its phase."""
        common = self._common(share) | ({"folder": folder} if folder is not None else {})
        return StorageContext(step, **common, mode=mode or VersionMode(), base=base)

    def collect_context(self, step: str, share: tuple[int, int] = (0, 1)) -> CollectContext:
        """What the collector ``step`` gets, except what depends on the pipeline."""
        return CollectContext(
            step, **self._common(share), limiters=self._limiters, on_rows=self.collected,
            network=Network(allowed_private_hosts=self.grants.allowed_private_hosts),
            stored=next(iter(self.stored(step).values()), None),
        )  # fmt: skip

    def process_context(self, step: str, share: tuple[int, int] = (0, 1)) -> ProcessContext:
        """What the processor ``step`` gets, except what depends on the steps before."""
        return ProcessContext(step, **self._common(share), dry=self.dry, upstreams=self.stored(step))

    def _common(self, share: tuple[int, int]) -> dict[str, Any]:
        def progressed(part: float, message: str) -> None:
            low, high = _ENDS[self._phase]
            self._notice(low + (high - low) * (share[0] + part) / share[1])

        grants = self.grants
        return {
            "folder": self.folder, "memory_bytes": grants.memory_bytes, "secrets": grants.secrets,
            "files": Files(tuple(Path(r) for r in grants.file_roots)), "wanted_rows": self.wanted_rows,
            "frames": PolarsFrame, "on_progress": progressed, "log": self.log,
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

    def collected(self, rows: int) -> None:
        """Count rows that a collector fetched, for progress."""
        self.rows_collected += rows

    def enter(self, phase: Phase, step: str) -> None:
        """Move on to ``step``."""
        self._phase, self.step = phase, step
        self._notice(_ENDS[phase][0], always=True)

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
        return re.sub(r"\.collect-\d+/(head-\d+/)?", "", text)

    def _notice(self, progress: float, *, always: bool = False) -> None:
        now = time.monotonic()
        self._progress = max(self._progress, progress)
        if always or now - self._noticed >= _NOTICE_SECONDS:
            self._noticed = now
            self._listen(Progress(self._phase, self.step, round(self._progress, 1), self.rows_collected))


def _with_whole_field(details: dict[str, Any]) -> dict[str, Any]:
    """``details`` with ``field`` made absolute: steps name it relative to themselves."""
    field, step = details.get("field"), str(details.get("step", ""))
    if isinstance(field, str) and field and step and not field.startswith((step, "combine", "records[")):
        return {**details, "field": f"{step}.{field}" if not field.startswith("[") else f"{step}{field}"}
    return details
