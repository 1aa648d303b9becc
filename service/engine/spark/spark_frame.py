"""SparkFrame: the Frame over an ordered list of Polars plans, one a part of the rows, which executors execute.

Row-local steps are applied to each plan. What needs other rows stages the parts first, so that a source is read once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from service.engine import known_answers
from service.engine.counters import Counters
from service.engine.known_answers import UNKNOWN
from service.engine.spark import column_tasks, file_parts, joined_parquet, messages, operations, plans
from service.engine.spark.cluster import Cluster
from service.engine.spark.exchange import OTHER, ROW, Step, place_of
from service.engine.spark.messages import Stage, Staged, Write
from service.engine.spark.remote_counter import RemoteCounter
from service.engine.spark.shared_files import SharedFiles
from service.kit import errors
from service.steps.frame import Explain, Frame, JoinHow, Keep, RowLocal
from service.steps.metric import Metric, Values
from service.values import polars_errors, staged, tagged_json
from service.values.losses import Conversion, LostValues, plain_values

_GROUP_ROWS = 122_880
_FEW = 2
"""Columns. More are read from a stage where reading puts files together."""
_ROWS = Metric("", "rows")


class SparkFrame:
    """A lazy table on ``cluster``. ``folder`` is shared with the executors; ``parts`` are plans of all rows, in order.

    The other arguments are those of ``PolarsFrame``.
    """

    def __init__(
        self,
        cluster: Cluster,
        parts: Sequence[pl.LazyFrame],
        folder: Path,
        *,
        expensive: bool = True,
        explain: Explain | None = None,
        progress: Counters | None = None,
    ) -> None:
        self._cluster, self._folder = cluster, folder
        self._parts = tuple(parts)
        self._expensive = expensive
        self._explainers: tuple[Explain, ...] = () if explain is None else (explain,)
        self._progress = progress or Counters()
        self._counters: tuple[RemoteCounter, ...] = ()
        self._joined = False  # reading it puts files together, each time
        self._heights: tuple[int, ...] | None = None
        self._files: tuple[SharedFiles, ...] = ()
        self._staged: list[staged.Staged] = []
        self._answers: dict[Metric, Any] = {}
        self._schema: pl.Schema | None = None

    @classmethod
    def of_file(cls, cluster: Cluster, path: Path, files: SharedFiles, progress: Counters) -> SparkFrame:
        """A frame over one of the ``files``, which it keeps."""
        frame = cls(cluster, file_parts.of(path), files.folder, expensive=False, progress=progress)
        frame._files = (files,)
        return frame

    @property
    def schema(self) -> pl.Schema:
        if self._schema is None:
            self._schema = self._parts[0].collect_schema()
        return self._schema

    @property
    def staged(self) -> Sequence[staged.Staged]:
        """The stages of this frame and its relatives so far."""
        return tuple(self._staged)

    @property
    def lazy(self) -> pl.LazyFrame:
        """The plan of all rows, for this process. Use it only while this frame lives, which has the files."""
        return self._parts[0] if len(self._parts) == 1 else pl.concat(self._parts)

    @property
    def parts(self) -> int:
        """How many plans the rows are divided into."""
        return len(self._parts)

    @property
    def known_rows(self) -> int | None:
        """The number of rows, if it was measured already."""
        return self._answers.get(_ROWS)

    def _next(self, parts: Sequence[pl.LazyFrame], *, expensive: bool, others: Sequence[SparkFrame] = ()) -> SparkFrame:
        frame = SparkFrame(self._cluster, parts, self._folder, expensive=expensive, progress=self._progress)
        frame._staged = self._staged
        frame._joined = any(one._joined for one in (self, *others))
        for one in (self, *others):
            frame._explainers += one._explainers
            frame._counters += one._counters
            frame._files += one._files
        return frame

    def rows(self, step: RowLocal) -> SparkFrame:
        made: list[SharedFiles] = []

        def folder() -> Path:
            made.append(SharedFiles(self._folder))
            return made[0].path

        frame = self._next(plans.applied(step, self._parts, self.schema, folder), expensive=self._expensive)
        frame._files += tuple(made)
        return frame

    def convert(self, step: str, expressions: Sequence[pl.Expr | Conversion], *, only: bool = False) -> SparkFrame:
        conversions = [e for e in expressions if isinstance(e, Conversion)]
        if not conversions:
            values = plain_values(expressions)
            return self.rows(lambda lf: lf.select(values) if only else lf.with_columns(values))
        counter = RemoteCounter.of(step, conversions, self.schema)
        frame = self._next(counter.applied(self._parts, expressions, only=only), expensive=True)
        frame._counters += (counter,)
        return frame

    @property
    def losses(self) -> Sequence[LostValues]:
        return [loss for one in self._counters for loss in one.counter.losses]

    def on_error(self, explain: Explain) -> SparkFrame:
        frame = self.rows(lambda lf: lf)
        frame._explainers += (explain,)
        return frame

    # -- executions --------------------------------------------------------------------------------------------

    def _executed(self, work: Callable[[], Any]) -> Any:
        """The result of ``work``; an error of the engine is explained, as far as somebody can."""
        with polars_errors.attributed(None):
            try:
                return work()
            except pl.exceptions.PolarsError as error:
                for explain in self._explainers:
                    better = explain(error)
                    if better is not None:
                        raise better from error
                raise

    def _stage(self) -> None:
        """Execute all parts and continue from their files."""
        files = SharedFiles(self._folder)
        tasks = [
            Stage(
                plans.encode(part), str(files.path), f"{number:06d}",
                dict(counter.tally(number) for counter in self._counters),
            )
            for number, part in enumerate(self._parts)
        ]  # fmt: skip
        for one in self._counters:
            one.counter.start()
        found = self._performed(tasks)
        for one in self._counters:
            one.take(found)
        self._continue_from(found, files)

    def _continue_from(self, found: Sequence[Staged], files: SharedFiles) -> None:
        schema, parts, heights = self.schema, list[pl.LazyFrame](), list[int]()
        for one in found:
            scan = pl.scan_parquet(one.path, glob=False, schema=schema)
            for at, rows in file_parts.slices(one.rows):
                parts.append(scan if rows == one.rows else scan.slice(at, rows))
                heights.append(rows)
        self._parts = tuple(parts) or (pl.LazyFrame(schema=schema),)
        self._heights = tuple(heights) or (0,)
        self._files, self._explainers, self._expensive, self._joined = (files,), (), False, False
        self._answers[_ROWS] = self._progress.expected = sum(heights)
        self._staged.append(staged.Staged("file", sum(heights), sum(one.bytes for one in found)))

    def _at_rest(self) -> tuple[pl.LazyFrame, ...]:
        """The parts in a form that may be read several times."""
        if self._expensive:
            self._stage()
        return self._parts

    def _counted_parts(self) -> tuple[Sequence[pl.LazyFrame], Sequence[int]]:
        """The parts, and how many rows each has."""
        parts = self._at_rest()
        if self._heights is None:
            tasks = [messages.Count(plans.encode(part)) for part in parts]
            found: list[messages.Counted] = self._executed(lambda: self._cluster.perform(tasks, messages.Counted))
            self._heights = tuple(one.rows for one in found)
            self._answers[_ROWS] = sum(self._heights)
        return parts, self._heights

    def _exchanged(self, sources: Sequence[pl.LazyFrame], files: SharedFiles, *steps: Step) -> list[Staged]:
        data = [plans.encode(p) for p in sources]
        found: list[Staged] = self._executed(
            lambda: self._cluster.exchange(data, *steps, done=lambda some: self._noted(some, len(data)))
        )
        return found

    def _noted(self, found: Sequence[Staged], tasks: int) -> None:
        """Show how far the present execution is."""
        rows, written = sum(one.rows for one in found), sum(one.bytes for one in found)
        self._progress.executed(len(found), tasks, rows, written)

    def _performed(self, tasks: Sequence[Stage | Write]) -> list[Staged]:
        found: list[Staged] = self._executed(
            lambda: self._cluster.perform(tasks, Staged, lambda some: self._noted(some, len(tasks)))
        )
        return found

    def measure(self, metrics: Iterable[Metric], *, steady: bool = False) -> Values:
        wanted = list(dict.fromkeys(metrics))
        missing = [m for m in wanted if known_answers.find(self._answers, m) is UNKNOWN]
        if missing:
            columns = len({m.column for m in missing})
            self._expensive |= self._joined and columns > _FEW
            with self._progress.measuring(columns, stages=self._expensive):
                parts = self._counted_parts()[0] if _ROWS in missing else self._at_rest()
                tasks = column_tasks.of(missing, lambda columns: [plans.encode(part.select(columns)) for part in parts])
                self._answers |= {m: None for m in missing if m.kind == "sample"}
                measured_by = self._executed(
                    lambda: self._cluster.perform(
                        tasks, messages.Measured, lambda found: self._progress.queried(len(found), len(tasks))
                    )
                )
                for measured in measured_by:
                    self._answers |= {metric: tagged_json.decode(value) for metric, value in measured.answers}
        return {m: known_answers.find(self._answers, m) for m in wanted}  # always steady

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        """Tasks write whole row groups of the file, which are then put together."""
        parts, heights = self._counted_parts()
        group, files = row_group_size or _GROUP_ROWS, SharedFiles(self._folder)
        pieces = [file_parts.between(parts, heights, *rows) for rows in file_parts.groups(sum(heights), group)]
        tasks = [
            Write(plans.encode(piece), str(files.path), f"{number:06d}", compression, compression_level, group)
            for number, piece in enumerate(pieces)
        ]
        found = self._performed(tasks)
        return joined_parquet.join([Path(one.path) for one in found], target)

    # -- operations --------------------------------------------------------------------------------------------

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> SparkFrame:
        subset = list(self.schema) if keys is None else list(keys)
        parts, files = self._at_rest(), SharedFiles(self._folder)
        found = self._exchanged(
            [operations.keyed(part, n, subset, [], len(parts)) for n, part in enumerate(parts)], files,
            Step(partial(operations.kept, subset, keep)), self._written(operations.in_order, files),
        )  # fmt: skip
        kept = {one.place: pl.scan_parquet(one.path, glob=False).select(place_of().alias(ROW)) for one in found}
        chosen = [
            part.with_row_index(ROW).join(kept[n], on=ROW, how="semi", maintain_order="left").drop(ROW)
            if n in kept else part.clear()
            for n, part in enumerate(parts)
        ]  # fmt: skip
        return self._with(chosen, files)

    def _written(self, apply: Callable[..., pl.LazyFrame], files: SharedFiles, *drop: str) -> Step:
        return Step(apply, str(files.path), "rows", drop)

    def _with(
        self, parts: Sequence[pl.LazyFrame], *files: SharedFiles, others: Sequence[SparkFrame] = ()
    ) -> SparkFrame:
        """The frame of plans that read ``files`` beside what this frame and others read."""
        frame = self._next(parts, expensive=False, others=others)
        frame._files += files
        frame._joined = True
        return frame

    def _of_files(self, schema: pl.Schema, found: Sequence[Staged], files: SharedFiles) -> SparkFrame:
        """The frame of rows that an exchange wrote, in the order of its buckets."""
        frame = self._next([pl.LazyFrame(schema=schema)], expensive=False)
        frame._continue_from(found, files)
        return frame

    def union(self, others: Sequence[Frame]) -> SparkFrame:
        frames = [_own(o) for o in others]
        united = operations.united([frame._parts for frame in (self, *frames)])
        made = self._next(united, expensive=True, others=frames)
        before = itertools.accumulate((frame.parts for frame in (self, *frames)), initial=0)
        counters = [[one.behind(at) for one in f._counters] for f, at in zip((self, *frames), before, strict=False)]
        made._counters = tuple(itertools.chain.from_iterable(counters))
        return made

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> SparkFrame:
        right = _own(other)
        left, others, files = self._at_rest(), right._at_rest(), SharedFiles(self._folder)
        count = max(len(left), len(others))
        sent = [operations.sent(p, n, on, right.schema, count, second=False) for n, p in enumerate(left)]
        sent += [operations.sent(p, n, on, self.schema, count, second=True) for n, p in enumerate(others)]
        renamed = {n: f"{n}_right" for n in right.schema if n in self.schema and n not in on}
        sent[len(left) :] = [p.rename(renamed) for p in sent[len(left) :]]
        theirs = pl.Schema({renamed.get(n, n): dtype for n, dtype in right.schema.items()})
        step = Step(partial(operations.partners, self.schema, theirs, len(left), on, how))
        found = self._exchanged(sent, files, step, self._written(operations.by_both, files, OTHER))
        empty = [pl.LazyFrame(schema=schema) for schema in (self.schema, right.schema)]
        whole = empty[0].join(empty[1], on=list(on), how=how, coalesce=True).collect_schema()
        matched = {one.place: pl.scan_parquet(one.path, glob=False) for one in found}
        nothing = pl.LazyFrame(schema=pl.Schema({ROW: pl.UInt32()} | {n: t for n, t in theirs.items() if n not in on}))
        kind: Any = "inner" if how == "inner" else "left"
        parts = [
            part.with_row_index(ROW).join(
                matched[n].with_columns(place_of()).drop(on, strict=False) if n in matched else nothing,
                on=ROW, how=kind, maintain_order="left_right",
            ).drop(ROW)
            for n, part in enumerate(left)
        ]  # fmt: skip
        parts += [matched[n].drop(ROW) for n in sorted(matched) if n >= len(left)]
        form = pl.LazyFrame(schema=whole)
        aligned = [pl.concat([form, part], how="diagonal_relaxed").cast(whole) for part in parts]
        return self._with(aligned, files, others=[right])

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> SparkFrame:
        frame = self.rows(lambda lf: lf.with_columns(prepared)) if prepared else self
        parts, files = frame._at_rest(), SharedFiles(self._folder)
        read = [name for e in aggregates for name in e.meta.root_names()]
        schema = pl.LazyFrame(schema=frame.schema).group_by(list(by)).agg(*aggregates).collect_schema()
        found = frame._exchanged(
            [operations.keyed(part, n, by, read, len(parts)) for n, part in enumerate(parts)], files,
            Step(partial(operations.grouped, by, aggregates)), self._written(operations.in_order, files, ROW),
        )  # fmt: skip
        return frame._of_files(schema, found, files)

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> SparkFrame:
        parts, files = self._at_rest(), SharedFiles(self._folder)
        read = [*order_by, *(name for e in made for name in e.meta.root_names())]
        names = [e.meta.output_name() for e in made]
        found = self._exchanged(
            [operations.keyed(part, n, by, read, len(parts)) for n, part in enumerate(parts)], files,
            Step(partial(operations.windowed, by, order_by, made)), self._written(operations.in_order, files, ROW),
        )  # fmt: skip
        schema = pl.LazyFrame(schema=self.schema).with_columns(made).collect_schema()
        columns = {one.place: pl.scan_parquet(one.path, glob=False).select(names) for one in found}
        new = [
            pl.concat([part.drop(names, strict=False), columns[n]], how="horizontal").select(schema.names())
            if n in columns else pl.LazyFrame(schema=schema)
            for n, part in enumerate(parts)
        ]  # fmt: skip
        return self._with(new, files)

    def scan(self, parts: Sequence[Path]) -> SparkFrame:
        scans = [scan for part in parts for scan in file_parts.of(part)]
        return SparkFrame(self._cluster, scans, self._folder, expensive=False, progress=self._progress)

    def query(self, sql: str) -> SparkFrame:
        raise errors.Permanent("a query needs all rows in one place, which Spark does not have; use the engine polars")

    def with_row_index(self, name: str) -> SparkFrame:
        parts, heights = self._counted_parts()
        before = itertools.accumulate(heights, initial=0)
        return self._with([part.with_row_index(name, offset) for part, offset in zip(parts, before, strict=False)])

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> SparkFrame:
        parts, files = self._at_rest(), SharedFiles(self._folder)
        keys = [pl.col(n).fill_nan(None) if self.schema[n].is_float() else pl.col(n) for n in by]
        first, dtype = by[0], self.schema[by[0]]
        bounds = self._bounds(first) if len(parts) > 1 and _is_divisible(dtype) else pl.Series(dtype=dtype)
        sent = [
            operations.ranged(part, n, first, bounds, descending=descending[0], is_float=dtype.is_float())
            for n, part in enumerate(parts)
        ]
        found = self._exchanged(sent, files, self._written(partial(operations.ordered, keys, descending), files, ROW))
        return self._of_files(self.schema, found, files)

    def _bounds(self, column: str) -> pl.Series:
        """Values that divide the rows into about as many ranges as there are parts."""
        shares = tuple(n / len(self._parts) for n in range(1, len(self._parts)))
        found = self.measure([Metric(column, "quantile", shares)])[Metric(column, "quantile", shares)]
        return pl.Series(sorted({value for value in found or () if value is not None}))


def _is_divisible(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or isinstance(dtype, pl.Date | pl.Datetime)


def _own(frame: Frame) -> SparkFrame:
    if not isinstance(frame, SparkFrame):
        raise TypeError(f"cannot combine a SparkFrame with a {type(frame).__name__}")
    return frame
