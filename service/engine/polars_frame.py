"""PolarsFrame: the Frame over a Polars lazy plan; it adds nothing to the plan's cost.

``measure`` *stages* if the plan since the last stage has an expensive source (text to parse) or a whole-frame
operation: it executes the plan once and continues from its rows (``engine.stage``), so that neither the metrics nor the
write parse or sort again. Row-local steps on top of a stage are cheap and do not stage anew.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from service.engine import (
    estimates,
    far_dates,
    kept_rows,
    key_hashes,
    known_answers,
    mixed_types,
    operations_in_parts,
    query_sql,
    read_ahead,
    spill,
    steady_sums,
    windows,
)
from service.engine import metrics as polars_metrics
from service.engine.counters import Counters
from service.engine.known_answers import UNKNOWN
from service.engine.loss_counter import LossCounter
from service.engine.memory import Memory
from service.engine.scratch import Engine, Scratch
from service.engine.stage import Stage, Staging
from service.steps.frame import Explain, Frame, JoinHow, Keep, Parts, RowLocal
from service.steps.metric import Metric, Values
from service.values import polars_errors
from service.values.losses import Conversion, LostValues, plain_values
from service.values.staged import Staged

_WIDE_ROW = 256
_GROUP_BYTES = 16 * 1024 * 1024
"""A row group is held until it is full, some eight times over; Polars counts rows only, a quarter of a million."""
_COLUMN_BYTES = 20 * 1024
"""Of a column in a row group, at least: its place there takes 1.5 KiB of memory until the file is written."""
_GROUP_ROWS = 122_880
"""About what Polars chooses, but exact: its sizes depend on how the rows arrive, so that equal rows would not make
equal files. Twice as many are held twice as long."""
_numbers = itertools.count(1)


class PolarsFrame:
    """A lazy table. ``folder`` takes the stage files and must exist; it is not published.

    ``expensive`` says that reading the source costs more than reading Parquet (CSV, JSON), so that it is read once.
    ``explain`` is asked about an error of the engine: it may know a better one (which file, which line), or None.
    ``files`` are Parquet files that hold exactly these rows and columns, where there are any.
    ``row_bytes`` is about what a row takes in memory, if the caller knows it: files of wide rows get small row groups.
    ``progress`` receives how far an execution is; ``memory`` is the run's budget (that of the process).
    """

    def __init__(
        self,
        lf: pl.LazyFrame,
        folder: Path,
        *,
        expensive: bool = True,
        explain: Explain | None = None,
        row_bytes: int = 0,
        files: Sequence[Path] = (),
        parts: Parts | None = None,  # this engine divides rows itself
        progress: Counters | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._lf = lf
        self._folder = folder
        self._expensive = expensive
        self._small = self._multiplied = False
        self._row_bytes = row_bytes
        self._explainers: tuple[Explain, ...] = () if explain is None else (explain,)
        self._stages: tuple[Stage, ...] = ()
        self._schema: pl.Schema | None = None
        self._answers: dict[Metric, Any] = {}
        self._staged: list[Staged] = []
        self._counters: tuple[LossCounter, ...] = ()
        self._files = tuple(files)
        self._progress = progress or Counters()
        self._memory = memory or Memory()

    @property
    def staged(self) -> Sequence[Staged]:
        """The stages of this frame and its relatives (made from it, or it from them) so far."""
        return tuple(self._staged)

    @property
    def needs_file(self) -> bool:
        """Whether measuring would first write these rows to a file, because they are known not to fit in memory."""
        return self._expensive and self._expected is not None and self._memory.for_stage(self._expected) == 0

    @property
    def _expected(self) -> int | None:
        """About how many bytes the rows take, where that is known."""
        rows = self._expected_rows
        return rows * self._row_bytes if rows is not None and self._row_bytes else None

    @property
    def _expected_rows(self) -> int | None:
        """The number of rows, if it is known; a join makes any number."""
        return None if self._multiplied else self._progress.expected

    @property
    def known_rows(self) -> int | None:
        """The number of rows, if it was measured already."""
        return self._answers.get(Metric("", "rows"))

    @property
    def lazy(self) -> pl.LazyFrame:
        """The plan. Use it only while this frame lives, because its stage file is removed with the frame."""
        return self._lf

    @property
    def schema(self) -> pl.Schema:
        if self._schema is None:
            self._schema = self._lf.collect_schema()
        return self._schema

    def _next(self, lf: pl.LazyFrame, *, expensive: bool, others: Sequence[PolarsFrame] = ()) -> PolarsFrame:
        width = max([self._row_bytes, *(o._row_bytes for o in others)])
        frame = type(self)(lf, self._folder, expensive=expensive, row_bytes=width)
        frame._staged, frame._progress, frame._memory = self._staged, self._progress, self._memory
        frame._explainers = (*self._explainers, *(e for o in others for e in o._explainers))
        frame._counters = (*self._counters, *(c for o in others for c in o._counters))
        frame._stages = (*self._stages, *(s for o in others for s in o._stages))
        frame._multiplied = any(f._multiplied for f in (self, *others))
        return frame

    def rows(self, step: RowLocal) -> PolarsFrame:
        frame = self._next(step(self._lf), expensive=self._expensive)
        frame._small = self._small
        return frame

    def convert(self, step: str, expressions: Sequence[pl.Expr | Conversion], *, only: bool = False) -> PolarsFrame:
        conversions = [e for e in expressions if isinstance(e, Conversion)]
        if not conversions:
            values = plain_values(expressions)
            return self.rows(lambda lf: lf.select(values) if only else lf.with_columns(values))
        counter = LossCounter(step, conversions, self.schema)
        # expensive: what is counted must be computed once, whole
        frame = self._next(counter.apply(self._lf, expressions, only=only), expensive=True)
        frame._counters = (*frame._counters, counter)
        return frame

    @property
    def counts_losses(self) -> bool:
        """Whether lost values are counted on the way to these rows."""
        return bool(self._counters)

    @property
    def losses(self) -> Sequence[LostValues]:
        return [loss for counter in self._counters for loss in counter.losses]

    def on_error(self, explain: Explain) -> PolarsFrame:
        frame = self.rows(lambda lf: lf)
        frame._explainers, frame._files = (*frame._explainers, explain), self._files
        return frame

    def measure(self, metrics: Iterable[Metric], *, steady: bool = False) -> Values:
        wanted = list(dict.fromkeys(metrics))
        missing = [m for m in wanted if self._known(m) is UNKNOWN]
        if missing:
            with self._progress.measuring(len({m.column for m in missing}), stages=self._expensive):
                if self._expensive:
                    self._stage()
                with self._executing():
                    how: Engine = "in-memory" if self._small else "streaming"
                    done = self._progress.queried
                    scratch = Scratch(self._memory, self._folder)
                    self._answers.update(
                        estimates.answer(self._lf, self.schema, missing, engine=how, scratch=scratch, done=done)
                    )
        found = {m: self._known(m) for m in wanted}
        if steady and not self._small:  # small ones are added in one order anyway
            with self._executing():
                found |= steady_sums.answer(self._lf, self._number, wanted, "streaming")
        return found

    def _known(self, metric: Metric) -> Any:
        """The answer, if it follows from what these rows were asked before."""
        return known_answers.find(self._answers, metric)

    def _number(self, column: str) -> pl.Expr:
        return polars_metrics.numeric(column, self.schema[column])

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """An execution that computes every row and column, so that lost values are counted."""
        with self._executing(), read_ahead.short():
            spill.refresh(self._memory)
            for counter in self._counters:
                counter.start()
            yield
            for counter in self._counters:
                counter.finish()

    @contextlib.contextmanager
    def _executing(self) -> Iterator[None]:
        with polars_errors.attributed(None):
            try:
                yield
            except pl.exceptions.PolarsError as error:
                for explain in self._explainers:
                    better = explain(error)
                    if better is not None:
                        raise better from error
                raise
            except far_dates.ERRORS as error:
                far = far_dates.explained(self._lf, self.schema)
                if far is None:
                    raise
                raise far from error

    def _stage(self, *, keep: bool = False) -> None:
        """Execute the plan and continue from its rows; ``keep`` leaves them in files, however few they are."""
        staging = Staging(self.schema, self._folder, self._memory, expected=self._expected, keep=keep)
        passing = self._progress.passing(self._lf, lambda: staging.bytes_written)
        with self._computing(), passing as lf:
            self._continue_from(staging.take(lf))

    def _continue_from(self, stage: Stage) -> None:
        self._staged.append(stage.report)
        self._lf, self._small, self._files, self._stages = stage.lf, stage.small, stage.files, (stage,)
        self._explainers = ()  # the sources were read to their end
        self._expensive = self._multiplied = False

    def _fits(self, columns: Sequence[str], *, beside: int = 0, unknown: bool = False) -> bool:
        """Whether a hash table of these columns and bytes ``beside`` fits the memory; ``unknown`` without a number."""
        rows = self._expected_rows if self.known_rows is None else self.known_rows
        if rows is None:
            return unknown
        return key_hashes.fit(rows, [self.schema[c] for c in columns], self._row_bytes, self._memory, beside)

    def _at_rest(self) -> pl.LazyFrame:
        """The rows in a form that may be read several times."""
        if self._expensive:
            self._stage()
        return self._lf

    def _after(self, stage: Stage) -> PolarsFrame:
        """The frame over the files that a whole-frame operation left, which are put together as they are read."""
        self._staged.append(stage.report)
        self._progress.expected = stage.report.rows
        frame = self._next(stage.lf, expensive=True)
        frame._stages, frame._explainers, frame._multiplied = (stage,), (), False
        return frame

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> PolarsFrame:
        subset = list(self.schema) if keys is None else list(keys)
        if keep in ("first", "any") and self._fits(subset):
            # a streaming filter on is_first_distinct; unordered it costs twice the CPU and three times the memory
            return self._next(self._lf.unique(subset, keep="first", maintain_order=True), expensive=True)
        rows = self._at_rest()
        with self._executing():
            frame = self._next(kept_rows.only(rows, subset, keep, self._memory), expensive=False)
        frame._small = self._small
        return frame

    def union(self, others: Sequence[Frame]) -> PolarsFrame:
        frames = [_own(o) for o in others]
        plans = [self._lf, *(f.lazy for f in frames)]
        mixed = mixed_types.names([self.schema, *(f.schema for f in frames)])
        if mixed:  # numbers beside text or dates: all become text, as nothing else holds both
            plans = [lf.with_columns(pl.col(mixed & set(lf.collect_schema())).cast(pl.String)) for lf in plans]
        return self._next(pl.concat(plans, how="diagonal_relaxed"), expensive=True, others=frames)

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> PolarsFrame:
        right = _own(other)
        if not right._fits(list(right.schema), unknown=True):
            rows = right._at_rest()
            with self._executing():
                stage = operations_in_parts.of_join(
                    self.schema, self._at_rest, rows, on, how, self._memory, self._folder
                )
            if stage is not None:
                return self._after(stage)
        lf = self._lf.join(right.lazy, on=list(on), how=how, coalesce=True, maintain_order="left_right")
        frame = self._next(lf, expensive=True, others=[right])
        frame._row_bytes, frame._multiplied = self._row_bytes + right._row_bytes, True
        return frame

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> PolarsFrame:
        frame = self.rows(lambda lf: lf.with_columns(prepared)) if prepared else self
        if not frame._fits(by, beside=operations_in_parts.beside(aggregates), unknown=True):
            rows = frame._at_rest()
            with frame._executing():
                stage = operations_in_parts.of_groups(rows, by, aggregates, frame._memory, frame._folder)
            if stage is not None:
                return frame._after(stage)
        return frame._next(frame._lf.group_by(list(by), maintain_order=True).agg(*aggregates), expensive=True)

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> PolarsFrame:
        if order_by:
            read = {*by, *order_by, *(name for e in made for name in e.meta.root_names())}
            held = bool(by) or self._fits([*read], unknown=True)
            return self._next(windows.ordered(self._lf, by, order_by, made, held=held), expensive=True)
        made = [e.over(list(by)) for e in made] if by else made
        return self._next(self._lf.with_columns(made), expensive=True)

    def scan(self, parts: Sequence[Path]) -> PolarsFrame:
        scan = pl.scan_parquet(list(parts), glob=False)
        frame = type(self)(scan, self._folder, expensive=False)
        frame._files, frame._progress, frame._memory = tuple(parts), self._progress, self._memory
        return frame

    def query(self, sql: str) -> PolarsFrame:
        """Executes: DuckDB reads the stage, or a Parquet source as it is, and writes the next stage."""
        query = query_sql.described(sql, self.schema)
        if self._files:
            with contextlib.suppress(query_sql.NotReadable):
                return self._answered(query, self._files)
        handed = self._next(self._lf.select(query_sql.handed_over(query.input)), expensive=False)
        handed._explainers = self._explainers
        handed._stage(keep=True)
        return self._answered(query, handed._files)

    def _answered(self, query: query_sql.Query, files: Sequence[Path]) -> PolarsFrame:
        target = self._folder / f"result-{next(_numbers)}.parquet"
        lf = query_sql.over_files(query, files, target, self._folder / f"spill-{next(_numbers)}")
        frame = self._next(lf, expensive=False)
        frame._continue_from(Stage.of_file(lf, target))
        return frame

    def with_row_index(self, name: str) -> PolarsFrame:
        return self._next(self._lf.with_row_index(name), expensive=self._expensive)

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> PolarsFrame:
        keys = [pl.col(n).fill_nan(None) if self.schema[n].is_float() else pl.col(n) for n in by]
        lf = self._lf.sort(keys, descending=list(descending), nulls_last=True, maintain_order=True)
        return self._next(lf, expensive=True)

    @property
    def _group_rows(self) -> int | None:
        """Rows in a row group; None for the default of Polars."""
        size = max(_GROUP_BYTES, _COLUMN_BYTES * len(self.schema))
        return max(1000, size // self._row_bytes) if self._row_bytes > _WIDE_ROW else None

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        passing = self._progress.passing(self._lf, lambda: target.stat().st_size)
        with self._computing(), passing as lf:
            lf.sink_parquet(
                target,
                compression=cast(Any, compression),  # the storage's enum lists what Polars knows
                compression_level=compression_level,
                row_group_size=row_group_size or self._group_rows or _GROUP_ROWS,
                engine="streaming",
            )
            return int(pl.scan_parquet(target, glob=False).select(pl.len()).collect().item())


def _own(frame: Frame) -> PolarsFrame:
    if not isinstance(frame, PolarsFrame):
        raise TypeError(f"cannot combine a PolarsFrame with a {type(frame).__name__}")
    return frame
