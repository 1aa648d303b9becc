"""Aggregation: one row per group, with SQL aggregates as columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
import polars as pl

from service.expressions import scalar
from service.processors.settings import columns
from service.processors.settings.columns import Name
from service.steps.context import Context
from service.steps.frame import Frame
from service.values import polars_errors


class Aggregate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Group the rows; the groups are in the order of their first rows. Rows with a missing key are a group.

    `stddev` and `variance` have ddof 1. Missing values are left out; NaN is a value, as in SQL.
    """

    by: Annotated[list[Name], msgspec.Meta(min_length=1, description="The columns to group by.")]
    metrics: Annotated[
        dict[Name, str],
        msgspec.Meta(min_length=1, description="New column to a SQL aggregate, such as sum(price * n)."),
    ]

    def conflict(self) -> Iterable[tuple[str, str]]:
        """What is wrong whatever the columns are, as (setting, message)."""
        if len(set(self.by)) < len(self.by):
            yield "by", "a column is listed twice"
        for name, text in self.metrics.items():
            if name in self.by:
                yield f"metrics.{name}", "is also a column of 'by'"
            try:
                scalar.aggregate(text)
            except ValueError as error:
                yield f"metrics.{name}", str(error)


def aggregate(frame: Frame, setting: Aggregate, ctx: Context) -> Frame:
    """The groups. Whole numbers and floats have 64 bits here, whatever their column's type is."""
    schema = frame.schema
    for key in setting.by:
        if key not in schema:
            raise columns.missing_column(ctx, "aggregate.by", key, schema)
    made: list[pl.Expr] = []
    used: set[str] = set()
    for name, text in setting.metrics.items():
        field = f"aggregate.metrics.{name}"
        try:
            checked, expr = scalar.grouped(text, schema, setting.by)
        except ValueError as error:
            raise columns.setting_error(ctx, field, str(error)) from error
        made.append(expr.alias(name))
        used.update(checked.columns)
    free = [n for n in used if n not in setting.by]
    narrow = [n for n in free if schema[n].is_integer() and schema[n] != pl.UInt64]
    floats = [n for n in free if schema[n].is_float() and schema[n] != pl.Float64]
    wider = [pl.col(narrow).cast(pl.Int64), pl.col(floats).cast(pl.Float64)]
    wide = frame.rows(lambda lf: lf.with_columns(wider)) if narrow or floats else frame
    groups = wide.group(setting.by, made)
    for name, text in setting.metrics.items():
        groups = groups.on_error(polars_errors.misfit(ctx.step, f"aggregate.metrics.{name}", text))
    counts = [n for n, t in groups.schema.items() if n not in setting.by and isinstance(t, pl.UInt32)]
    return groups.rows(lambda lf: lf.with_columns(pl.col(counts).cast(pl.Int64))) if counts else groups
