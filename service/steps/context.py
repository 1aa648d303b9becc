"""What a step is given beside its settings: folders, secrets, files, the network policy, and ears."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import structlog

from service.files.allowed_files import Files
from service.network.pacing import HostLimiters
from service.network.policy import Network


@dataclass(frozen=True)
class StoredVersion:
    """A stored version that a step reads: its Parquet parts, in order, and how many rows they hold."""

    pipeline: str
    version: int
    parts: tuple[Path, ...]
    rows: int


@dataclass(frozen=True)
class Rejected:
    """Rows that ``step`` took out of the data, and the Parquet file in ``folder`` that keeps them, if one does."""

    rows: int
    file: str | None = None
    step: str = ""


@dataclass(frozen=True)
class Split:
    """A column that names each row's part, and the part that later steps fit their numbers by."""

    column: str
    training: str


@dataclass
class State:
    """What one collector remembers from one version to the next, as files; it moves with the version, or not at all.

    ``folder`` takes the new files (it may not exist yet). ``earlier`` holds those of the newest version (None: there
    is no earlier state). ``stays`` takes the names of the earlier files that the new version keeps as they are.
    """

    folder: Path
    earlier: Path | None = None
    stays: list[str] = field(default_factory=list)


def _now() -> datetime:
    return datetime.now(UTC)


def _ignore(*_: Any) -> None:
    return None


@dataclass
class Context:
    """One step's surroundings in one run. Created by the run worker, one for each step.

    ``step`` is the step's name in errors, progress and fitted parameters, such as ``collectors[0]:csv``;
    ``folder`` is the run's private staging folder, on the same file system as the warehouse; ``memory_bytes``
    is what the whole run may use (0: unknown). ``evidence`` is what a collector can say for the completeness of
    what it brought (pages, requests, bytes, why it stopped …; JSON-able): it is kept with the version's sources.
    ``beside`` is where a collector writes a file that is to lie beside the version (``reject``), if not ``folder``.
    ``source`` names the collector that the rows come from, where there is but one; ``sources`` are several whose rows
    stand one after another, each with their number, unless a step before took some out. ``source_rows`` is how many
    rows the collectors brought (0: unknown). ``stored`` is the version that a collector reads, ``upstreams`` are those
    that a processor's settings name, by their paths. ``replay`` says that the rows are quarantined ones that are
    tried again: how many they are says nothing.
    ``wanted_rows`` asks collectors for a sample: to stop as soon as they have so many rows. ``dry`` says that there are
    no rows at all, only columns; ``dynamic_columns`` are the settings whose columns are known only when rows were seen.
    ``parents`` are the rows of the collector that a collector depends on (``Collector.parent``), ``base`` are the
    addresses of those above, from the first on. ``state`` is what a collector remembers (None: nothing can be
    remembered, as in a preview). ``blank`` takes up a collector's columns without any value, whose type nobody knows.
    ``rows_in`` and ``rows_out`` are what the step said by ``counted``.
    """

    step: str
    folder: Path
    memory_bytes: int = 0
    files: Files = field(default_factory=lambda: Files(()))
    network: Network = field(default_factory=Network)
    secrets: Mapping[str, str] = field(default_factory=dict)
    warnings: list[dict[str, Any]] = field(default_factory=list)
    fitted: dict[str, Any] = field(default_factory=dict)
    profiles: list[dict[str, Any]] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    stored: StoredVersion | None = None
    upstreams: Mapping[str, StoredVersion] = field(default_factory=dict)
    source: str | None = None
    sources: tuple[tuple[str, int], ...] = ()
    source_rows: int = 0
    replay: bool = False
    beside: Path | None = None
    limiters: HostLimiters = field(default_factory=HostLimiters)
    rows_in: int | None = None
    rows_out: int | None = None
    rejected: list[Rejected] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    wanted_rows: int | None = None
    dry: bool = False
    dynamic_columns: list[str] = field(default_factory=list)
    parents: pl.LazyFrame | None = None
    base: tuple[str, ...] = ()
    state: State | None = None
    blank: set[str] = field(default_factory=set)
    now: Callable[[], datetime] = _now
    on_progress: Callable[[float, str], None] = _ignore
    on_rows: Callable[[int], None] = _ignore
    on_brought: Callable[[int], None] = _ignore
    log: Any = field(default_factory=lambda: structlog.get_logger("penstock.run"))

    @property
    def partial(self) -> bool:
        """Whether not all rows are here, so that nothing can be said of the whole."""
        return self.dry or self.replay or self.wanted_rows is not None

    def progress(self, share: float, message: str = "") -> None:
        """How much of this step is done, 0 to 1."""
        self.on_progress(min(max(share, 0.0), 1.0), message)

    def collected(self, rows: int) -> None:
        """A collector fetched this many more rows."""
        self.on_rows(rows)

    def set_row_count(self, rows: int) -> None:
        """So many rows a collector brings in all, where these are not those that it fetched just now."""
        self.on_brought(rows)

    def warn(self, code: str, message: str, **details: Any) -> None:
        """Note something that a person should know and that does not stop the run."""
        self.warnings.append({"step": self.step, "code": code, "message": message, "details": details})
        self.log.warning("step.warning", step=self.step, code=code, message=message)

    def warn_once(self, code: str, message: str, **details: Any) -> None:
        """Like ``warn``, but only the first of its kind in this step: what may be so for each of thousands of lists."""
        if not any(w["step"] == self.step and w["code"] == code for w in self.warnings):
            self.warn(code, message, **details)

    def counted(self, rows_in: int, rows_out: int) -> None:
        """A step that counted its rows anyway says how many came and go on."""
        self.rows_in, self.rows_out = rows_in, rows_out

    def reject(self, rows: int, file: str | None = None) -> None:
        """Count rows that were taken out; ``file`` is published beside the version's data."""
        self.rejected.append(Rejected(rows, file, self.step))

    def record(self, name: str, value: Any) -> None:
        """Keep a fitted parameter (JSON-able) with the version: means, categories, bin edges."""
        self.fitted[name] = value

    def fill(self, text: str) -> str:
        """``text`` with every ``${NAME}`` replaced by the secret of that name.

        Raises ``errors.Permanent`` where the secret is not configured.
        """
        from service.kit import placeholders

        return placeholders.fill(text, self.secrets, self.step)

    def fill_all(self, value: Any) -> Any:
        """``fill`` for every string inside lists and dicts."""
        if isinstance(value, str):
            return self.fill(value)
        if isinstance(value, Mapping):
            return {k: self.fill_all(v) for k, v in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.fill_all(v) for v in value]
        return value
