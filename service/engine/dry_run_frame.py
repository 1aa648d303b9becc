"""DryRunFrame: a Frame that executes nothing. It has columns and a plan, and measures as if it had no rows.

A dry run applies processors to it, to find what cannot work before anything is read, and to list what would be done:
``Trace`` notes the whole-frame operations of a step, and every place where a run would stage the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from service.engine import query_sql
from service.engine.known_answers import UNKNOWN
from service.engine.polars_frame import PolarsFrame
from service.steps.frame import Frame, JoinHow, Keep
from service.steps.metric import Metric, Values
from service.values.losses import Conversion, plain_values


@dataclass
class Trace:
    """The operations on a frame and those made from it, in order; with ``explaining`` their plans as text, too.

    ``metrics`` are those that were asked for.
    """

    explaining: bool = False
    operations: list[str] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)


class DryRunFrame(PolarsFrame):
    """A lazy table that is never executed."""

    def __init__(self, lf: pl.LazyFrame, folder: Path, *, expensive: bool = True) -> None:
        super().__init__(lf, folder, expensive=expensive)
        self._progress.expected = 0
        self._trace = Trace()

    @classmethod
    def of(
        cls, lf: pl.LazyFrame, folder: Path, trace: Trace, *, expensive: bool = True, like: PolarsFrame | None = None
    ) -> DryRunFrame:
        """A frame over ``lf`` that notes its operations in ``trace``; its rows lie where those of ``like`` do."""
        frame = cls(lf, folder, expensive=expensive if like is None else like._expensive)
        frame._trace, frame._files = trace, () if like is None else like._files
        return frame

    @property
    def plan(self) -> str:
        """The optimised plan as text; DF is a table in memory or one that was staged."""
        return self._lf.explain(optimized=True)

    def _next(self, lf: pl.LazyFrame, *, expensive: bool, others: Sequence[PolarsFrame] = ()) -> PolarsFrame:
        frame = type(self)(lf, self._folder, expensive=expensive)
        frame._trace = self._trace
        return frame

    def _stage(self, *, keep: bool = False) -> None:
        self._trace.operations.append("stage")
        if self._trace.explaining:
            self._trace.plans.append(self.plan)
        self._lf = pl.LazyFrame(schema=self.schema)
        self._expensive = False

    def convert(self, step: str, expressions: Sequence[pl.Expr | Conversion], *, only: bool = False) -> PolarsFrame:
        values = plain_values(expressions)
        lf = self._lf.select(values) if only else self._lf.with_columns(values)
        counts = any(isinstance(e, Conversion) for e in expressions)
        return self._next(lf, expensive=self._expensive or counts)

    def measure(self, metrics: Iterable[Metric], *, steady: bool = False) -> Values:
        wanted = list(dict.fromkeys(metrics))
        self._trace.metrics += wanted
        unknown = [m for m in wanted if self._known(m) is UNKNOWN]
        if unknown or (steady and wanted):
            self._trace.operations.append("measure")
            if self._expensive:
                self._stage()
            self._answers.update({m: nothing(m) for m in unknown})
        return {m: nothing(m) for m in wanted}

    def distinct(self, keys: Sequence[str] | None = None, *, keep: Keep = "first") -> PolarsFrame:
        self._trace.operations.append("distinct")
        if keep in ("last", "none") and self._expensive:
            self._stage()  # where a run looks for these rows
        return super().distinct(keys, keep="first")

    def union(self, others: Sequence[Frame]) -> PolarsFrame:
        self._trace.operations.append("union")
        return super().union(others)

    def join(self, other: Frame, on: Sequence[str], *, how: JoinHow = "inner") -> PolarsFrame:
        self._trace.operations.append("join")
        return super().join(other, on, how=how)

    def group(
        self, by: Sequence[str], aggregates: Sequence[pl.Expr], *, prepared: Sequence[pl.Expr] = ()
    ) -> PolarsFrame:
        self._trace.operations.append("group")
        return super().group(by, aggregates, prepared=prepared)

    def per_group(self, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr]) -> PolarsFrame:
        self._trace.operations.append("per_group")
        return super().per_group(by, order_by, made)

    def query(self, sql: str) -> PolarsFrame:
        self._trace.operations.append("query")
        query = query_sql.described(sql, self.schema)
        if not self._files:
            self._stage()  # handed over; a stage that is a file already would do
        return self._next(pl.LazyFrame(schema=query.schema), expensive=False)

    def with_row_index(self, name: str) -> PolarsFrame:
        self._trace.operations.append("with_row_index")
        return super().with_row_index(name)

    def sort(self, by: Sequence[str], *, descending: Sequence[bool]) -> PolarsFrame:
        self._trace.operations.append("sort")
        return super().sort(by, descending=descending)

    def write(
        self, target: Path, *, compression: str, compression_level: int | None, row_group_size: int | None
    ) -> int:
        return 0


_COUNTS = frozenset({"rows", "duplicates", "nulls", "distinct", "zeros", "negatives", "nan", "true"})


def nothing(metric: Metric) -> Any:
    """The value of a metric over no rows."""
    match metric.kind:
        case "quantile":
            return [None] * len(metric.argument if isinstance(metric.argument, tuple) else ())
        case "top" | "categories" | "means":
            return []
        case "forms":
            return {}
        case "lengths":
            return {"min": None, "max": None, "empty": 0}
        case kind:
            return 0 if kind in _COUNTS else None
