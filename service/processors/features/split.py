"""Splitting rows into parts such as train and test, by a stable hash of a key; and fitting by the training part.

Rows of the same key are always in the same part, in every version and on every machine. What follows a split fits its
numbers to the training rows alone (the part called ``train``, else the first one), so that nothing of the test rows
is known to what will be judged by them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Annotated

import msgspec
import polars as pl

from service.processors.settings import columns
from service.processors.settings.columns import Name
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Metric, Values
from service.steps.report import Split as Known
from service.values import stable_hash

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class SplitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new column that names each row's part."""

    key: Annotated[Name | list[Name], msgspec.Meta(description="Rows that agree in these stay together.")]
    column: Annotated[Name, msgspec.Meta(description="The new column.")] = "split"
    shares: Annotated[
        dict[Name, Share], msgspec.Meta(min_length=1, max_length=20, description="Part to its share; together 1.")
    ] = msgspec.field(default_factory=lambda: {"train": 0.8, "test": 0.2})
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53, description="Another seed is another split.")] = 0

    @property
    def keys(self) -> list[str]:
        return [self.key] if isinstance(self.key, str) else self.key

    @property
    def training(self) -> str:
        return "train" if "train" in self.shares else next(iter(self.shares))

    def wrong(self) -> Iterable[tuple[str, str]]:
        """What cannot be combined, as (setting, message)."""
        if abs(sum(self.shares.values()) - 1) > 1e-9:
            yield "shares", f"they make {sum(self.shares.values()):g} together, not 1"
        if not self.keys:
            yield "key", "name at least one column"


def split(frame: Frame, setting: SplitSettings, ctx: ProcessContext) -> Frame:
    """The frame with the new column; later fits of the run go by its training rows."""
    schema = frame.schema
    columns.free(ctx, "split.column", setting.column, schema)
    for key in setting.keys:
        if key not in schema:
            raise columns.missing(ctx, "split.key", key, schema)
        if schema[key].is_nested():
            raise columns.refused(ctx, "split.key", f"'{key}' is a list or struct, which is no key")
    place = stable_hash.share(setting.keys, schema, setting.seed)
    bounds = list(itertools.accumulate(setting.shares.values()))
    names = list(setting.shares)
    part = pl.lit(names[-1])
    for name, bound in reversed(list(zip(names[:-1], bounds[:-1], strict=True))):
        part = pl.when(place < bound).then(pl.lit(name)).otherwise(part)
    ctx.record("split", {**msgspec.to_builtins(setting), "hash": stable_hash.NAME})
    ctx.add_split(Known(setting.column, setting.training))
    return frame.rows(lambda lf: lf.with_columns(part.alias(setting.column)))


def known(schema: pl.Schema, ctx: ProcessContext) -> Known | None:
    """The split whose training rows to fit by, if one came before; one whose column is gone is warned of."""
    last = ctx.split
    if last is not None and last.column not in schema:
        ctx.warn("split_lost", f"the split column '{last.column}' is gone; fitted by all rows", column=last.column)
        return None
    if last is not None:
        ctx.record("fitted_by", {"column": last.column, "part": last.training})
    return last


def measured(frame: Frame, wanted: list[Metric], ctx: ProcessContext) -> Values:
    """The answers to fit by: of the rows of the training part where a split came before, else of all."""
    if not wanted:
        return {}
    last = known(frame.schema, ctx)
    if last is None:
        return frame.measure(wanted)
    column, part = last.column, last.training
    frame.measure([Metric("", "rows")])  # stages here, so that the rows are not made twice
    return frame.rows(lambda lf: lf.filter(pl.col(column) == part)).measure(wanted)
