"""Splits of rows into parts such as train and test by a stable hash of a key, and fits on the training part.

Rows of the same key are always in the same part, in every version and on every machine. Steps after a split fit their
parameters on the training rows alone (the part ``train``, or else the first one), so that no information of the test
rows leaks into them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec

from service.kit import lazy
from service.processors.settings import columns
from service.processors.settings.columns import Name
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Metric, Values
from service.steps.report import Split as Known
from service.values import stable_hash

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class SplitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new column that names each row's part."""

    key: Annotated[
        Name | list[Name], msgspec.Meta(description="Rows that agree in these columns are in the same part.")
    ]
    column: Annotated[Name, msgspec.Meta(description="The new column.")] = "split"
    shares: Annotated[
        dict[Name, Share],
        msgspec.Meta(min_length=1, max_length=20, description="Part to its share; the shares add up to 1."),
    ] = msgspec.field(default_factory=lambda: {"train": 0.8, "test": 0.2})
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53, description="Another seed gives another split.")] = 0

    @property
    def keys(self) -> list[str]:
        return columns.as_list(self.key)

    @property
    def training(self) -> str:
        return "train" if "train" in self.shares else next(iter(self.shares))

    def conflict(self) -> Iterable[tuple[str, str]]:
        """Settings that cannot be combined, as (setting, message)."""
        if abs(sum(self.shares.values()) - 1) > 1e-9:
            yield "shares", f"they add up to {sum(self.shares.values()):g}, not to 1"
        if not self.keys:
            yield "key", "name at least one column"


def split(frame: Frame, setting: SplitSettings, ctx: ProcessContext) -> Frame:
    """The frame with the new column; later fits of the run use its training rows."""
    schema = frame.schema
    columns.require_free(ctx, "split.column", setting.column, schema)
    for key in setting.keys:
        if key not in schema:
            raise columns.missing_column(ctx, "split.key", key, schema)
        if schema[key].is_nested():
            raise columns.setting_error(ctx, "split.key", f"'{key}' is a list or struct, which cannot be a key")
    place = stable_hash.share(setting.keys, schema, setting.seed)
    bounds = list(itertools.accumulate(setting.shares.values()))
    names = list(setting.shares)
    part = pl.lit(names[-1])
    for name, bound in reversed(list(zip(names[:-1], bounds[:-1], strict=True))):
        part = pl.when(place < bound).then(pl.lit(name)).otherwise(part)
    ctx.record("split", {**msgspec.to_builtins(setting), "hash": stable_hash.NAME})
    ctx.add_split(Known(setting.column, setting.training))
    return frame.rows(lambda lf: lf.with_columns(part.alias(setting.column)))


def current(schema: pl.Schema, ctx: ProcessContext) -> Known | None:
    """The newest split, whose training rows the fits use; None without one. Warns where its column is gone."""
    last = ctx.split
    if last is not None and last.column not in schema:
        ctx.warn(
            "split_lost", f"the split column '{last.column}' is gone; all rows are used to fit", column=last.column
        )
        return None
    if last is not None:
        ctx.record("fitted_by", {"column": last.column, "part": last.training})
    return last


def measure(frame: Frame, wanted: list[Metric], ctx: ProcessContext) -> Values:
    """The answers to fit by, the same for the same rows: over the training rows after a split, otherwise over all."""
    if not wanted:
        return {}
    last = current(frame.schema, ctx)
    if last is None:
        return frame.measure(wanted, steady=True)
    column, part = last.column, last.training
    frame.measure([Metric("", "rows")])  # stages here, so that the rows are not computed twice
    return frame.rows(lambda lf: lf.filter(pl.col(column) == part)).measure(wanted, steady=True)
