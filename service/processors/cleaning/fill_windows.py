"""Filling from the rows around: the last or next known value, a line between them, or a statistic of the group.

These need other rows and are windows (``Frame.per_group``), so nothing is fitted and nothing can be applied to one
row alone. Rows are looked at in the order of ``order_by`` (missing last), else as they are stored; a group whose key
is missing is a group too. Where a split came before, a statistic is that of the group's training rows.
``interpolate`` goes by the number of rows, not by the distance in time, and leaves what has no known value on both
sides. NaN is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from service.kit import errors
from service.processors.features import split
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.values import dtypes


def fill(frame: Frame, settings: Mapping[str, Any], ctx: ProcessContext) -> Frame:
    """Fill every column of ``settings`` (``filling.Fill`` values with ``ordered`` or ``group_by``), in their order."""
    steps: dict[tuple[tuple[str, ...], tuple[str, ...]], list[pl.Expr]] = {}
    schema = frame.schema
    for column, setting in settings.items():
        field = f"fill_na.{column}"
        for name, given in (("group_by", setting.groups), ("order_by", setting.order)):
            for other in given:
                if other not in schema:
                    raise columns.missing(ctx, f"{field}.{name}", other, schema)
                if other == column:
                    raise columns.refused(ctx, f"{field}.{name}", "a column cannot be filled by itself")
        part = split.known(schema, ctx) if setting.statistic else None
        training = None if part is None else pl.col(part.column) == part.training
        made = _filled(column, setting.strategy, schema[column], training, ctx)
        steps.setdefault((tuple(setting.groups), tuple(setting.order)), []).append(made)
    for (by, order), made_ in steps.items():
        frame = frame.per_group(by, order, made_)
    return frame


def _filled(column: str, strategy: str, dtype: pl.DataType, training: pl.Expr | None, ctx: ProcessContext) -> pl.Expr:
    value = pl.col(column)
    if isinstance(dtype, pl.Null):
        return value
    if strategy in ("interpolate", "mean", "median", "zero") and not dtype.is_numeric():
        raise _refused(column, strategy, dtype, ctx)
    if strategy in ("min", "max", "mode") and dtype.is_nested():
        raise _refused(column, strategy, dtype, ctx)
    if dtype.is_float():
        value = value.fill_nan(None)
    if strategy in ("interpolate", "mean", "median") and not dtype.is_float():
        value = value.cast(pl.Float64)
    made = _by(strategy, value, value if training is None else pl.when(training).then(value))
    return made.cast(dtype) if dtype.is_decimal() else made


def _by(strategy: str, value: pl.Expr, known: pl.Expr) -> pl.Expr:
    match strategy:
        case "forward":
            return value.forward_fill()
        case "backward":
            return value.backward_fill()
        case "interpolate":
            return value.interpolate()
        case "mode":
            return value.fill_null(known.drop_nulls().mode().min())
        case "median":
            return value.fill_null(known.quantile(0.5, "linear"))
        case _:
            return value.fill_null(getattr(known, strategy)())


def _refused(column: str, strategy: str, dtype: pl.DataType, ctx: ProcessContext) -> errors.Permanent:
    message = f"{strategy} does not go with a {dtypes.name_of(dtype)} column; cast it first, or use forward"
    return columns.refused(ctx, f"fill_na.{column}", message)
