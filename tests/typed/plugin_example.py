"""The public surface as a plug-in author uses it; mypy checks this file in strict mode."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, assert_type

import msgspec
import polars as pl

from service.steps import (
    CollectContext,
    Collector,
    CollectReport,
    Context,
    Dataset,
    Declared,
    File,
    Frame,
    Metric,
    Permanent,
    Problem,
    ProcessContext,
    Processor,
    ProcessReport,
    Split,
    StepWarning,
    Storage,
    StoredVersion,
    Transient,
    Upstream,
    Values,
    Written,
)


class Copy(Collector, frozen=True, kw_only=True, tag="copy"):
    """The rows of a stored version."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "copy", "name": "orders"}
    local: ClassVar[bool] = True
    name: Annotated[str, msgspec.Meta(description="The pipeline.")]

    def problems(self) -> Iterable[Problem]:
        if not self.name:
            yield Problem("name", "must not be empty")

    def upstream(self) -> Upstream:
        return Upstream(self.name)

    def declared(self) -> Declared:
        return Declared(pl.Schema({"id": pl.Int64()}), closed=False)

    async def collect(self, ctx: CollectContext) -> Frame:
        assert_type(ctx.stored, StoredVersion | None)
        if ctx.stored is None:
            raise Permanent(f"no stored version of '{self.name}'", step=ctx.step, field="name")
        if not ctx.stored.parts:
            raise Transient("it is being replaced", step=ctx.step)
        ctx.collected(ctx.stored.rows)
        ctx.add_evidence({"version": ctx.stored.version})
        return ctx.scan_parquet(ctx.stored.parts)


class Clip(Processor, frozen=True, kw_only=True, tag="clip"):
    """Takes out the rows above the mean."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "clip", "config": {"column": "price"}}
    read_only: ClassVar[bool] = True
    column: Annotated[str, msgspec.Meta(description="A number column.")]

    def again(self) -> Self:
        return self

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        mean, rows = Metric(self.column, "mean"), Metric("", "rows")
        answers = frame.measure([mean, rows])
        assert_type(answers, Values)
        assert_type(ctx.split, Split | None)
        kept = frame.rows(lambda lf: lf.filter(pl.col(self.column) <= answers[mean]))
        left = kept.measure([rows])[rows]
        ctx.reject(answers[rows] - left)
        ctx.set_row_counts(answers[rows], left)
        ctx.warn("clipped", f"{answers[rows] - left} rows were above the mean", column=self.column)
        return kept


class Count(Storage, frozen=True, kw_only=True, tag="count"):
    """A file with the number of rows."""

    deferred: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "count"}

    def load(self, dataset: Dataset, folder: Path, ctx: Context) -> Written:
        size = (folder / "count").write_text(str(dataset.rows))
        ctx.progress(1.0)
        return Written("count", [File("count", size, dataset.rows, "")], dataset.rows)


def reports(collecting: CollectContext, processing: ProcessContext) -> None:
    assert_type(collecting.report(), CollectReport)
    assert_type(processing.report(), ProcessReport)
    assert_type(collecting.report().warnings, tuple[StepWarning, ...])
