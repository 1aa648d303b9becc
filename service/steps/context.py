"""Context: what a step gets beside its settings, and the verbs by which it reports.

The fields are frozen. A context keeps its own private record of one step and answers it as a value: ``report``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from service.files.allowed_files import Files
from service.kit import placeholders
from service.network.pacing import HostLimiters
from service.network.policy import Network
from service.steps.frame import Explain, Frame, FrameFactory, Parts
from service.steps.report import CollectReport, ProcessReport, Rejected, Split, StepReport, StepWarning
from service.values.profile import Profile
from service.values.version_mode import BaseVersion, VersionMode

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class StoredVersion:
    """A stored version that a step reads: its Parquet parts, in order, and how many rows they hold."""

    pipeline: str
    version: int
    parts: tuple[Path, ...]
    rows: int


@dataclass(frozen=True)
class State:
    """Where a collector keeps files from one version to the next: new ones in ``folder``, which it makes; ``earlier``
    holds those of the newest version, if there are any. They move with the version, or not at all."""

    folder: Path
    earlier: Path | None = None


def _ignore(*_: Any) -> None:
    return None


def _no_engine(*_: Any, **__: Any) -> Frame:
    raise TypeError("this context was made without an engine, so that it cannot make frames")


@dataclass
class _Record:
    """What one step reported so far."""

    warnings: list[StepWarning] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rows: int = 0
    evidence: dict[str, Any] = field(default_factory=dict)
    blank_columns: set[str] = field(default_factory=set)
    kept_state: tuple[str, ...] = ()
    fitted: dict[str, Any] = field(default_factory=dict)
    profiles: list[Profile] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    dynamic_columns: list[str] = field(default_factory=list)
    row_counts: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True)
class Context:
    """What every step gets; a storage gets only this.

    ``step`` is its name in errors and progress, such as ``collectors[0]``. ``folder`` is the run's private staging
    folder, on the file system of the warehouse. ``memory_bytes`` is what the whole run may use (0: unknown).
    ``wanted_rows`` asks for a sample: a collector stops once it has this many rows. ``frames`` makes its frames.
    """

    step: str
    folder: Path
    memory_bytes: int = 0
    files: Files = field(default_factory=lambda: Files(()))
    secrets: Mapping[str, str] = field(default_factory=dict)
    wanted_rows: int | None = None
    frames: FrameFactory = _no_engine
    on_progress: Callable[[float, str], None] = _ignore
    log: Any = field(default_factory=lambda: structlog.get_logger("penstock.run"))
    _record: _Record = field(default_factory=_Record, init=False, repr=False, compare=False)

    @property
    def partial(self) -> bool:
        """Whether some rows are missing, so that nothing can be concluded about the whole."""
        return self.wanted_rows is not None

    def frame(
        self, lf: pl.LazyFrame, *, expensive: bool = True, explain: Explain | None = None, row_bytes: int = 0,
        parts: Parts | None = None,
    ) -> Frame:  # fmt: skip
        """A frame over a Polars plan; ``parts`` makes plans of the same rows, one after another, if there are several.

        ``expensive`` says that reading the source costs more than reading Parquet, so that it is read once. ``explain``
        may turn an engine error into a better one. ``row_bytes`` is the memory of a row, where it is known.
        """
        return self.frames(lf, self.folder, expensive=expensive, explain=explain, row_bytes=row_bytes, parts=parts)

    def scan_parquet(self, paths: Sequence[Path]) -> Frame:
        """A frame over Parquet files, in order, which a query may read as they are."""
        import polars as pl

        return self.frames(pl.scan_parquet(list(paths), glob=False), self.folder, expensive=False, files=paths)

    def progress(self, share: float, message: str = "") -> None:
        """Report how much of this step is done, 0 to 1."""
        self.on_progress(min(max(share, 0.0), 1.0), message)

    def warn(self, code: str, message: str, **details: Any) -> None:
        """Report something that a person should know and that does not stop the run."""
        self._record.warnings.append(StepWarning(self.step, code, message, details))
        self.log.warning("step.warning", step=self.step, code=code, message=message)

    def warn_once(self, code: str, message: str, **details: Any) -> None:
        """Like ``warn``, but only the first warning of this code in this step."""
        if not any(w.code == code for w in self._record.warnings):
            self.warn(code, message, **details)

    def reject(self, rows: int, file: str | None = None) -> None:
        """Count rows that were taken out; ``file`` is published beside the version's data."""
        self._record.rejected.append(Rejected(rows, file, self.step))

    def fill(self, text: str) -> str:
        """``text`` with every ``${NAME}`` replaced by the secret of that name.

        Raises ``errors.Permanent`` where the secret is not configured.
        """
        return placeholders.fill(text, self.secrets, self.step)

    def fill_all(self, value: Any) -> Any:
        """``fill`` for every string inside lists and dicts."""
        return placeholders.fill_all(value, self.secrets, self.step)

    def report(self) -> StepReport:
        """What the step has reported up to now."""
        return StepReport(tuple(self._record.warnings), tuple(self._record.rejected))


@dataclass(frozen=True)
class CollectContext(Context):
    """What a collector gets.

    ``source`` is its id. ``stored`` is the version that it reads (``Collector.upstream``). ``parents`` are the rows of
    the collector that it depends on (``Collector.parent``), ``base`` the addresses of those above it, from the first
    on. ``state`` is None where nothing can be remembered, as in a preview. A rejected file goes into ``beside``, if it
    is set, else into ``folder``. ``now`` is the time of the run. ``spread`` calls a function for each value on a
    cluster, if there is one, and answers the results, whose type is given, in order.
    """

    network: Network = field(default_factory=Network)
    limiters: HostLimiters = field(default_factory=HostLimiters)
    source: str | None = None
    stored: StoredVersion | None = None
    parents: pl.LazyFrame | None = None
    base: tuple[str, ...] = ()
    state: State | None = None
    beside: Path | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    spread: Callable[[Callable[[Any], Any], Sequence[Any], Any], Sequence[Any]] | None = None
    on_rows: Callable[[int], None] = _ignore
    on_bytes: Callable[[int, int | None], None] = _ignore

    def collected(self, rows: int) -> None:
        """Report that this many more rows were fetched."""
        self._record.rows += rows
        self.on_rows(rows)

    def count_bytes(self, read: int, total: int | None = None) -> None:
        """Report that this many more bytes of the source were read, and how many it has in all, if that is known."""
        self.on_bytes(read, total)

    def set_row_count(self, rows: int) -> None:
        """Set the number of rows in all, where these are not just those that were fetched now."""
        self._record.rows = rows

    def add_evidence(self, facts: Mapping[str, Any]) -> None:
        """Add JSON-able facts that show how complete the rows are (pages, requests, bytes, why it stopped)."""
        self._record.evidence.update(facts)

    def add_blank_columns(self, names: Iterable[str]) -> None:
        """Name columns without any value, whose type is unknown."""
        self._record.blank_columns.update(names)

    def keep_state(self, names: Iterable[str]) -> None:
        """Name the files in ``state.earlier`` that the new version keeps as they are."""
        self._record.kept_state = tuple(names)

    def report(self) -> CollectReport:
        """What the collector has reported up to now."""
        found = self._record
        return CollectReport(
            tuple(found.warnings), tuple(found.rejected), rows=found.rows, evidence=dict(found.evidence),
            blank_columns=frozenset(found.blank_columns), kept_state=found.kept_state,
        )  # fmt: skip


@dataclass(frozen=True)
class ProcessContext(Context):
    """What a processor gets.

    ``source`` names the collector of the rows, if there is only one; ``sources`` are several whose rows follow one
    another, with their row counts, unless a step before took some out. ``source_rows`` counts the collected rows (0:
    unknown), ``rejected_before`` is what earlier steps took out, ``splits`` are theirs. ``upstreams`` are the stored
    versions that settings name, by their paths. ``replay``: the rows are quarantined ones that are tried again.
    ``dry``: there are no rows, only columns. ``now`` is the time of the run.
    """

    source: str | None = None
    sources: tuple[tuple[str, int], ...] = ()
    source_rows: int = 0
    rejected_before: tuple[Rejected, ...] = ()
    splits: tuple[Split, ...] = ()
    upstreams: Mapping[str, StoredVersion] = field(default_factory=dict)
    replay: bool = False
    dry: bool = False
    keep_originals: bool = False
    """Whether a later step wants the values that this one loses, in the column ``values.losses.ORIGINALS``."""
    untraced_by: str | None = None
    """The last step before this one whose rows cannot be traced to those that it read, such as an ``sql`` step."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def partial(self) -> bool:
        return self.dry or self.replay or self.wanted_rows is not None

    @property
    def split(self) -> Split | None:
        """The newest split, of this step or one before."""
        return next(reversed((*self.splits, *self._record.splits)), None)

    def record(self, name: str, value: Any) -> None:
        """Keep a fitted parameter (JSON-able) with the version: means, categories, bin edges."""
        self._record.fitted[name] = value

    def parameter(self, name: str, default: Any = None) -> Any:
        """A parameter that this step has recorded."""
        return self._record.fitted.get(name, default)

    def add_profile(self, profile: Profile) -> None:
        """Keep a profile with the version."""
        self._record.profiles.append(profile)

    def add_split(self, split: Split) -> None:
        """Let later fits use the rows of the split's training part only."""
        self._record.splits.append(split)

    def add_dynamic_columns(self, field: str) -> None:
        """Name a setting, relative to the step, whose columns are known only when rows were seen."""
        self._record.dynamic_columns.append(f"{self.step}.{field}")

    def set_row_counts(self, rows_in: int, rows_out: int) -> None:
        """Report how many rows came in and go out, where the step counts them anyway."""
        self._record.row_counts = rows_in, rows_out

    def report(self) -> ProcessReport:
        """What the processor has reported up to now."""
        found = self._record
        return ProcessReport(
            tuple(found.warnings), tuple(found.rejected), fitted=dict(found.fitted), profiles=tuple(found.profiles),
            splits=tuple(found.splits), dynamic_columns=tuple(found.dynamic_columns),
            rows_in=found.row_counts[0], rows_out=found.row_counts[1],
        )  # fmt: skip


@dataclass(frozen=True)
class StorageContext(Context):
    """What a storage gets: also the mode of the pipeline, and the version that this run continues, if it does."""

    mode: VersionMode = field(default_factory=VersionMode)
    base: BaseVersion | None = None
