"""A third-party package as its author would write it: of the service it imports only ``service.steps``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
import polars as pl

from service.steps import (
    CollectContext,
    Collector,
    Context,
    Dataset,
    File,
    Frame,
    Metric,
    ProcessContext,
    Processor,
    Storage,
    Written,
)


class Counted(Collector, frozen=True, kw_only=True, tag="counted"):
    """The numbers from 0 on."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "counted", "rows": 3}
    rows: Annotated[int, msgspec.Meta(ge=0, description="How many.")]

    async def collect(self, ctx: CollectContext) -> Frame:
        ctx.collected(self.rows)
        return ctx.frame(pl.LazyFrame({"n": range(self.rows)}), expensive=False)


class Doubled(Processor, frozen=True, kw_only=True, tag="doubled"):
    """A column times two."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "doubled", "config": {"column": "n"}}
    column: Annotated[str, msgspec.Meta(description="Which.")]

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        return frame.rows(lambda lf: lf.with_columns(pl.col(self.column) * 2))


class Share(Processor, frozen=True, kw_only=True, tag="share"):
    """A column as a share of its sum, which is learnt from the data."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "share", "config": {"column": "n"}}
    column: Annotated[str, msgspec.Meta(description="Which.")]

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        total = Metric(self.column, "sum")
        whole = frame.measure([total])[total] or 1
        ctx.record("share", {self.column: {"of": whole}})
        return frame.rows(lambda lf: lf.with_columns((pl.col(self.column) * (1 / whole)).alias("share")))


class Listing(Storage, frozen=True, kw_only=True, tag="listing"):
    """A text file with the number of rows, beside the Parquet."""

    deferred: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {"type": "listing", "file": "rows.txt"}
    file: Annotated[str, msgspec.Meta(description="Its name.")] = "rows.txt"

    def load(self, dataset: Dataset, folder: Path, ctx: Context) -> Written:
        (folder / self.file).write_text(str(dataset.rows))
        return Written("listing", [File(self.file, len(str(dataset.rows)), dataset.rows, "")], dataset.rows)
