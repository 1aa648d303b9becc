"""Bins: numbers cut by equal widths, by equal counts of values, or by edges from the settings.

A bin includes its lower edge; the last one includes its upper edge, too. With fitted bins, values beyond the ends
belong to the first or last bin, as in scikit-learn's KBinsDiscretizer; with ``edges`` they are missing, as in pandas'
cut. Equal edges make one bin. The result is the number of the bin from 0 (int32), or its label. Missing stays missing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from service.kit import lazy
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.metric import Metric, Values
from service.values import dtypes, equal_edges
from service.values.losses import Conversion

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

MOST = 256


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to cut a column into bins.

    A bin includes its lower edge, the last one its upper edge, too. With fitted bins, values beyond the ends belong to
    the first or last bin (as KBinsDiscretizer); with edges they are missing (as pandas' cut). Missing stays missing.
    The result is the number of the bin from 0 (int32), or its label.
    """

    method: Annotated[
        Literal["quantile", "uniform", "edges"],
        msgspec.Meta(
            description="Equal counts of values (linear percentiles), equal widths, or the edges of this setting."
        ),
    ]
    bins: Annotated[
        Annotated[int, msgspec.Meta(ge=2, le=MOST)] | None,
        msgspec.Meta(description="quantile, uniform: the number of bins, 5 by default."),
    ] = None
    edges: Annotated[
        list[float], msgspec.Meta(max_length=MOST + 1, description="edges: from the least to the greatest.")
    ] = []
    labels: Annotated[list[str], msgspec.Meta(description="A name for each bin, instead of its number.")] = []
    into: Annotated[columns.Name | None, msgspec.Meta(description="A new column; the old one stays.")] = None

    @property
    def count(self) -> int:
        return len(self.edges) - 1 if self.method == "edges" else self.bins or 5

    def conflict(self) -> Iterable[tuple[str, str]]:
        """Settings that cannot be combined, as (setting, message)."""
        if self.method == "edges":
            if len(self.edges) < 2 or any(a >= b for a, b in itertools.pairwise(self.edges)):
                yield "edges", "at least two numbers, each greater than the one before"
            if self.bins is not None:
                yield "bins", "applies to quantile and uniform, not to edges"
        elif self.edges:
            yield "edges", f"applies to edges, not to {self.method}"
        if self.labels and len(self.labels) != self.count:
            yield "labels", f"{len(self.labels)} labels for {self.count} bins"
        if len(set(self.labels)) < len(self.labels):
            yield "labels", "a label is listed twice"


def metrics(column: str, setting: Bin, dtype: pl.DataType, ctx: ProcessContext) -> list[Metric]:
    """The metrics to fit by. Raises ``errors.Permanent`` where the column does not hold numbers."""
    if not dtype.is_numeric():
        raise columns.setting_error(
            ctx, f"bin.{column}", f"the column is {dtypes.name_of(dtype)}, not a number; cast it first"
        )
    if setting.method == "edges":
        return []
    if setting.method == "uniform":
        return [Metric(column, "min"), Metric(column, "max")]
    return [Metric(column, "quantile", tuple(i / setting.count for i in range(setting.count + 1)))]


def fit(column: str, setting: Bin, answers: Values, ctx: ProcessContext) -> dict[str, Any]:
    """The parameters to record: ``{"method", "edges", "labels"}``; the edges are empty where there are no values.

    Raises ``errors.Permanent`` where values are infinite, or bins coincide that have labels.
    """
    edges: list[Any] = list(setting.edges)
    if setting.method == "uniform":
        low, high = answers[Metric(column, "min")], answers[Metric(column, "max")]
        if low is not None:
            edges = equal_edges.between(float(low), float(high), setting.count)
    elif setting.method == "quantile":
        found = answers[metrics(column, setting, pl.Float64(), ctx)[0]]
        edges = [] if found[0] is None else [float(e) for e in found]
    if not all(map(math.isfinite, edges)):
        raise columns.setting_error(
            ctx, f"bin.{column}", "the column holds infinite values; treat them with 'outliers' first"
        )
    distinct = sorted(set(edges))
    if not edges:
        ctx.warn("no_bins", f"column '{column}' has no values, so it has no bins", column=column)
    elif setting.method != "edges" and len(distinct) < len(edges):
        if setting.labels:
            message = f"only {max(len(distinct) - 1, 1)} bins are different, and there are {len(setting.labels)} labels"
            raise columns.setting_error(
                ctx, f"bin.{column}", f"{message}; use fewer bins, or the method uniform or edges"
            )
        ctx.warn("fewer_bins", f"column '{column}' has {max(len(distinct) - 1, 1)} different bins", column=column)
    return {"method": setting.method, "edges": distinct, "labels": setting.labels}


def expression(column: str, setting: Bin, constants: dict[str, Any], dtype: pl.DataType) -> pl.Expr | Conversion:
    """The expression of the bins, under the column's name or ``into``; values beyond edges are counted."""
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
    name = setting.into or column
    if setting.method != "edges":
        return number.alias(name)
    return Conversion(name, number, value, column, "bin", "lie beyond the edges and became missing")
