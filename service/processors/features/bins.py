"""Numbers as bins: of equal width, of equally many values, or by given edges.

A bin holds its lower edge; the last one holds its upper edge, too. Fitted bins take what lies beyond them into the
first and the last one, as scikit-learn's KBinsDiscretizer does; given ``edges`` make it missing, as pandas' cut does.
Edges that coincide make one bin. The result is the number of the bin from 0 (int32), or its label. Missing stays so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.metric import Metric, Values
from service.values import dtypes

MOST = 256


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to cut a column into bins.

    A bin holds its lower edge, the last one its upper edge, too. Fitted bins take what lies beyond into the first and
    the last one (as KBinsDiscretizer); given edges make it missing (as pandas' cut). Missing stays missing. The result
    is the number of the bin from 0 (int32), or its label.
    """

    method: Annotated[
        Literal["quantile", "uniform", "edges"],
        msgspec.Meta(description="Equally many values in each (linear percentiles), equal widths, or the edges given."),
    ]
    bins: Annotated[
        Annotated[int, msgspec.Meta(ge=2, le=MOST)] | None, msgspec.Meta(description="quantile, uniform: how many; 5.")
    ] = None
    edges: Annotated[
        list[float], msgspec.Meta(max_length=MOST + 1, description="edges: from the least to the greatest.")
    ] = []
    labels: Annotated[list[str], msgspec.Meta(description="One name a bin, instead of its number.")] = []
    into: Annotated[columns.Name | None, msgspec.Meta(description="A new column; the old one stays.")] = None

    @property
    def count(self) -> int:
        return len(self.edges) - 1 if self.method == "edges" else self.bins or 5

    def wrong(self) -> Iterable[tuple[str, str]]:
        """What cannot be combined, as (setting, message)."""
        if self.method == "edges":
            if len(self.edges) < 2 or any(a >= b for a, b in itertools.pairwise(self.edges)):
                yield "edges", "at least two numbers, each greater than the one before"
            if self.bins is not None:
                yield "bins", "is for quantile and uniform; edges are given"
        elif self.edges:
            yield "edges", f"is for method edges, not for {self.method}"
        if self.labels and len(self.labels) != self.count:
            yield "labels", f"{len(self.labels)} labels for {self.count} bins"
        if len(set(self.labels)) < len(self.labels):
            yield "labels", "a label stands there twice"


def questions(column: str, setting: Bin, dtype: pl.DataType, ctx: ProcessContext) -> list[Metric]:
    """What must be known of the column. Raises ``errors.Permanent`` where it holds no numbers."""
    if not dtype.is_numeric():
        raise columns.refused(
            ctx, f"bin.{column}", f"the column is {dtypes.name_of(dtype)}, not a number; cast it before"
        )
    if setting.method == "edges":
        return []
    if setting.method == "uniform":
        return [Metric(column, "min"), Metric(column, "max")]
    return [Metric(column, "quantile", tuple(i / setting.count for i in range(setting.count + 1)))]


def fitted(column: str, setting: Bin, answers: Values, ctx: ProcessContext) -> dict[str, Any]:
    """The edges as they are recorded: ``{"method", "edges", "labels"}``; no edges where there are no values."""
    edges: list[Any] = list(setting.edges)
    if setting.method == "uniform":
        low, high = answers[Metric(column, "min")], answers[Metric(column, "max")]
        if low is not None:
            low, high = float(low), float(high)
            width = high / setting.count - low / setting.count
            edges = [*(low + width * i for i in range(setting.count)), high]
    elif setting.method == "quantile":
        found = answers[questions(column, setting, pl.Float64(), ctx)[0]]
        edges = [] if found[0] is None else [float(e) for e in found]
    if not all(map(math.isfinite, edges)):
        raise columns.refused(
            ctx, f"bin.{column}", "the column holds infinite values; treat them with 'outliers' before"
        )
    distinct = sorted(set(edges))
    if not edges:
        ctx.warn("no_bins", f"column '{column}' has no values to make bins of", column=column)
    elif setting.method != "edges" and len(distinct) < len(edges):
        if setting.labels:
            message = f"only {max(len(distinct) - 1, 1)} bins are different, and {len(setting.labels)} are labelled"
            raise columns.refused(ctx, f"bin.{column}", f"{message}; take fewer bins, or method uniform or edges")
        ctx.warn("fewer_bins", f"column '{column}' has {max(len(distinct) - 1, 1)} different bins", column=column)
    return {"method": setting.method, "edges": distinct, "labels": setting.labels}


def binned(column: str, setting: Bin, constants: dict[str, Any], dtype: pl.DataType) -> pl.Expr:
    """The expression of the bins, under the column's name or ``into``."""
    edges: list[float] = constants["edges"]
    value = pl.col(column).cast(pl.Float64)
    if dtype.is_float():
        value = value.fill_nan(None)
    known = value.is_not_null()
    if setting.method == "edges":
        known = known & value.is_between(edges[0], edges[-1], closed="both")
    counted = [(value >= e).cast(pl.Int32) for e in edges[1:-1]] or [pl.lit(0, dtype=pl.Int32)]
    number = pl.when(known & bool(edges)).then(pl.sum_horizontal(counted)).otherwise(None).cast(pl.Int32)
    if setting.labels:
        number = pl.lit(pl.Series(setting.labels, dtype=pl.String)).gather(number)
    return number.alias(setting.into or column)
