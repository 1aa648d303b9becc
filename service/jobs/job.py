"""Stage: what every job in a child has around its steps: contexts, times, warnings, counts and progress.

A run, a preview and whatever else drives collectors and processors shares it; who listens is the caller's affair.
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
import polars as pl

from service.engine.fit_record import Recorder
from service.files import layout
from service.files.allowed_files import Files
from service.jobs.messages import Grants, Progress
from service.kit import errors, placeholders
from service.model.run import Phase, Step
from service.network.pacing import HostLimiters
from service.network.policy import Network
from service.steps.context import Context, Rejected, Split, State, StoredVersion
from service.values import polars_errors

# The share of the whole that each phase ends at, in percent.
_ENDS: dict[Phase, tuple[float, float]] = {"collecting": (0, 35), "processing": (35, 60), "storing": (60, 99)}
_NOTICE_SECONDS = 0.2  # progress is said no more often than this

_Value = TypeVar("_Value")


def _nobody(_: Progress) -> None:
    return None


class Job:
    """The surroundings of one job's steps. ``step`` is where it stands; ``listen`` hears of progress.

    ``wanted_rows`` and ``dry`` are what contexts say of them. ``remembers`` says that what collectors remember will be
    kept; ``remembered`` is the folder of the version whose they find.
    """

    def __init__(
        self,
        grants: Grants,
        log: Any,
        listen: Callable[[Progress], None] = _nobody,
        *,
        wanted_rows: int | None = None,
        dry: bool = False,
    ) -> None:
        self.grants = grants
        self.wanted_rows, self.dry = wanted_rows, dry
        self.dynamic_columns: list[str] = []
        self.log = log
        self.step = ""
        self.rows_collected = self.source_rows = 0
        self.brought: dict[str, int] = {}
        self.states: dict[str, State] = {}
        self.remembered: Path | None = None
        self.remembers = False
        self.steps: list[Step] = []
        self.warnings: list[dict[str, Any]] = []
        self.rejected: list[Rejected] = []
        self.splits: list[Split] = []
        self.fitted: dict[str, Any] = {}
        self.profiles: list[dict[str, Any]] = []
        self.tape = Recorder(pl.Schema())
        self._governors = HostLimiters(None if grants.pace is None else Path(grants.pace))
        self._listen = listen
        self._phase: Phase = "collecting"
        self._progress = 0.0
        self._noticed = 0.0

    @property
    def folder(self) -> Path:
        """The job's own folder."""
        return Path(self.grants.folder)

    def context(self, step: str, share: tuple[int, int] = (0, 1)) -> Context:
        """What the step ``step`` is given. ``share`` is its place and the number of steps of its phase."""
        allowed = self.grants

        def progressed(part: float, message: str) -> None:
            low, high = _ENDS[self._phase]
            self._notice(low + (high - low) * (share[0] + part) / share[1])

        return Context(
            step=step, folder=self.folder, memory_bytes=allowed.memory_bytes,
            files=Files(tuple(Path(r) for r in allowed.file_roots)),
            network=Network(allowed_private_hosts=allowed.allowed_private_hosts), secrets=allowed.secrets,
            limiters=self._governors, warnings=self.warnings, rejected=self.rejected, splits=self.splits,
            profiles=self.profiles, on_progress=progressed, log=self.log,
            wanted_rows=self.wanted_rows, dry=self.dry, dynamic_columns=self.dynamic_columns,
        )  # fmt: skip

    def stored(self, step: str) -> dict[str, StoredVersion]:
        """The stored versions that a step reads, by the settings that name them, relative to it."""
        return {
            field.removeprefix(f"{step}."): StoredVersion(s.pipeline, s.version, tuple(map(Path, s.parts)), s.rows)
            for field, s in self.grants.stored.items()
            if field.startswith(f"{step}.")
        }

    def state(self, label: str) -> State | None:
        """What a collector remembers, and may leave to be remembered."""
        if not self.remembers:
            return None
        earlier = self.remembered / layout.STATE / label if self.remembered is not None else None
        found = State(self.folder / layout.STATE / label, earlier if earlier and earlier.is_dir() else None)
        self.states[label] = found
        return found

    def collected(self, rows: int) -> None:
        """So many more rows have come."""
        self.rows_collected += rows

    def enter(self, phase: Phase, step: str) -> None:
        """The job has come to ``step``."""
        self._phase, self.step = phase, step
        self._notice(_ENDS[phase][0], always=True)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Keep how long the step took; its errors are ours."""
        self.step = step
        began = time.perf_counter()
        with self.translated(step):
            yield
        self.steps.append(Step(step=step, duration=time.perf_counter() - began))

    @contextmanager
    def translated(self, step: str) -> Iterator[None]:
        """What libraries raise inside becomes an error that names the step."""
        try:
            yield
        except (errors.PenstockError, MemoryError, asyncio.CancelledError):
            raise
        except BaseException as error:  # a panic inside Polars is no Exception
            raise polars_errors.translate(error, step) from error

    def body(self, error: errors.PenstockError) -> errors.Body:
        """The error as the caller may hear it: the step named, the path whole, no secret in it."""
        body = error.as_body()
        details = _pathed({**({"step": self.step} if self.step else {}), **body.details})
        return self.hidden(msgspec.structs.replace(body, details=details))

    def hidden(self, value: _Value) -> _Value:
        """``value`` with every secret masked, wherever it slipped in."""
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
        """``text`` with every file named as its user would, not by where it lies on this machine."""
        allowed = self.grants
        parts = [str(Path(part).parents[2]) for stored in allowed.stored.values() for part in stored.parts]
        for root in sorted({allowed.folder, *allowed.file_roots, *parts}, key=len, reverse=True):
            text = text.replace(f"{root.rstrip('/')}/", "")
        return re.sub(r"\.collect-\d+/(head-\d+/)?", "", text)

    def _notice(self, progress: float, *, always: bool = False) -> None:
        now = time.monotonic()
        self._progress = max(self._progress, progress)
        if always or now - self._noticed >= _NOTICE_SECONDS:
            self._noticed = now
            self._listen(Progress(self._phase, self.step, round(self._progress, 1), self.rows_collected))


def _pathed(details: dict[str, Any]) -> dict[str, Any]:
    """``field`` made absolute: steps name it relative to themselves."""
    field, step = details.get("field"), str(details.get("step", ""))
    if isinstance(field, str) and field and step and not field.startswith((step, "combine", "records[")):
        return {**details, "field": f"{step}.{field}" if not field.startswith("[") else f"{step}{field}"}
    return details
