"""Fills from nearby rows: the last or next known value, a line between them, or a statistic of the group.

These are windows (``Frame.per_group``): nothing is fitted, and a single row cannot be filled. Rows are taken in the
order of ``order_by`` (missing last), by default as stored; rows with a missing key are a group, too. After a split,
a statistic is that of the group's training rows. ``interpolate`` counts rows, not time, and fills only between two
known values. NaN is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.kit import errors, lazy
from service.processors.features import split
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def fill(frame: Frame, settings: Mapping[str, Any], ctx: ProcessContext) -> Frame:
    """Fill every column of ``settings`` (``fill.Fill`` values that are ``windowed``), in their order."""
    steps: dict[tuple[tuple[str, ...], tuple[str, ...]], list[pl.Expr]] = {}
    schema = frame.schema
    for column, setting in settings.items():
        field = f"fill_na.{column}"
        for name, others in (("group_by", setting.groups), ("order_by", setting.order)):
            for other in others:
                if other not in schema:
                    raise columns.missing_column(ctx, f"{field}.{name}", other, schema)
                if other == column:
                    raise columns.setting_error(ctx, f"{field}.{name}", "a column cannot be filled by its own values")
        part = split.current(schema, ctx) if setting.statistic else None
        training = None if part is None else pl.col(part.column) == part.training
        expression = _fill_expression(column, setting.strategy, schema[column], training, ctx)
        steps.setdefault((tuple(setting.groups), tuple(setting.order)), []).append(expression)
    for (by, order), expressions in steps.items():
        frame = frame.per_group(by, order, expressions)
    return frame


def _fill_expression(
    column: str, strategy: str, dtype: pl.DataType, training: pl.Expr | None, ctx: ProcessContext
) -> pl.Expr:
    value = pl.col(column)
    if isinstance(dtype, pl.Null):
        return value
    if strategy in ("interpolate", "mean", "median", "zero") and not dtype.is_numeric():
        raise _unsupported(column, strategy, dtype, ctx)
    if strategy in ("min", "max", "mode") and dtype.is_nested():
        raise _unsupported(column, strategy, dtype, ctx)
    if dtype.is_float():
        value = value.fill_nan(None)
    if strategy in ("interpolate", "mean", "median") and dtype != pl.Float64:
        value = value.cast(pl.Float64)
    filled = _fill_by(strategy, value, value if training is None else pl.when(training).then(value))
    return filled.cast(dtype) if dtype.is_decimal() or dtype.is_float() else filled


def _fill_by(strategy: str, value: pl.Expr, known: pl.Expr) -> pl.Expr:
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


def _unsupported(column: str, strategy: str, dtype: pl.DataType, ctx: ProcessContext) -> errors.Permanent:
    message = f"{strategy} does not apply to a {dtypes.name_of(dtype)} column; cast it first, or use forward"
    return columns.setting_error(ctx, f"fill_na.{column}", message)
