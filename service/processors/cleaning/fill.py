"""Missing values and outliers: the parts of the cleaner that first fit numbers to the data.

NaN counts as missing in a float column. Fitted values go into the plan as literals and are recorded.
A mean or median of whole numbers may be a fraction, so such a column becomes float64, whatever the value is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from service.kit import lazy
from service.processors.cleaning import fill_windows
from service.processors.features import split
from service.processors.settings import columns
from service.processors.settings.json_value import json_value
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Kind, Metric
from service.values import cast, dtypes
from service.values.losses import Conversion

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

ORDERED = ("forward", "backward", "interpolate")
STRATEGIES = ("mean", "median", "mode", "min", "max", "zero", *ORDERED)


class Fill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fill with a value of the column itself: one for all rows, one per group, or one from nearby rows."""

    strategy: Annotated[
        Literal["mean", "median", "mode", "min", "max", "zero", "forward", "backward", "interpolate"],
        msgspec.Meta(
            description="forward is the last known one, backward the next one, interpolate is linear between "
            "the two, by row. mean, median and interpolate turn whole numbers into float64. The median of an "
            "even count is the mean of the middle two; of several modes the least is used. NaN counts as missing."
        ),
    ]
    order_by: Annotated[
        columns.Name | list[columns.Name],
        msgspec.Meta(description="forward, backward, interpolate: the order of the rows; by default as stored."),
    ] = []
    group_by: Annotated[
        columns.Name | list[columns.Name],
        msgspec.Meta(
            description="Use only rows that agree in these columns; after a split, statistics use only training rows."
        ),
    ] = []

    @property
    def order(self) -> list[str]:
        return columns.as_list(self.order_by)

    @property
    def groups(self) -> list[str]:
        return columns.as_list(self.group_by)

    @property
    def statistic(self) -> bool:
        """Whether the value is a statistic of all rows or of a group, not a value of a nearby row."""
        return self.strategy not in ORDERED

    @property
    def windowed(self) -> bool:
        """Whether it needs other rows of the frame, so that no single value can be fitted."""
        return not self.statistic or bool(self.groups)

    def conflict(self) -> str | None:
        """Which settings cannot be combined, or None."""
        if self.order and self.statistic:
            return f"order_by applies to {', '.join(ORDERED)}; {self.strategy} does not depend on the order"
        if self.groups and self.strategy == "zero":
            return "zero does not depend on the group; leave group_by out"
        return None


class Outlier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values outside of bounds that are fitted to the column."""

    method: Annotated[
        Literal["iqr", "zscore", "quantile"],
        msgspec.Meta(
            description="iqr: quartiles ± factor × their distance; zscore: mean ± factor × std (ddof 1); quantile: the "
            "shares factor and 1 - factor. Percentiles are linear; a value on a bound is not an outlier."
        ),
    ]
    factor: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        msgspec.Meta(description="Default 1.5 (iqr), 3 (zscore), 0.01 (quantile: the share per end)."),
    ] = None
    action: Annotated[
        Literal["clip", "null", "drop"] | None,
        msgspec.Meta(description="Move the value to the bound, make it missing, or drop the row."),
    ] = "clip"

    def __post_init__(self) -> None:
        columns.write_null(self, "action")


_DEFAULT_FACTOR = {"iqr": 1.5, "zscore": 3.0, "quantile": 0.01}


def fill(frame: Frame, settings: Mapping[str, columns.Scalar | Fill], ctx: ProcessContext) -> Frame:
    """Fill every column of ``settings`` (they exist): first by one value per column, then from nearby rows."""
    windows = {c: f for c, f in settings.items() if isinstance(f, Fill) and f.windowed}
    if windows:
        simple = {c: f for c, f in settings.items() if c not in windows}
        filled = fill_windows.fill(fill(frame, simple, ctx) if simple else frame, windows, ctx)
        recorded_windows = {c: msgspec.to_builtins(f) for c, f in windows.items()}
        ctx.record("fill_na", {**ctx.parameter("fill_na", {}), **recorded_windows})
        return filled
    schema = frame.schema
    wanted = {c: _metric(c, f, schema[c], ctx) for c, f in settings.items() if isinstance(f, Fill)}
    answers = split.measure(frame, [m for m in wanted.values() if m is not None], ctx)
    values: dict[str, Any] = {}
    recorded: dict[str, Any] = {}
    for column, setting in settings.items():
        field = f"fill_na.{column}"
        if not isinstance(setting, Fill):
            if setting is None:
                raise columns.setting_error(ctx, field, "null fills nothing; give a value or {strategy: …}")
            if setting in STRATEGIES and (schema[column].is_numeric() or schema[column].is_temporal()):
                raise columns.setting_error(
                    ctx, field, f"'{setting}' is not a value of this column; write {{strategy: {setting}}}"
                )
            values[column] = columns.literal(ctx, field, setting, schema[column])
            recorded[column] = {"value": setting}
            continue
        metric = wanted[column]
        value = 0 if metric is None else answers[metric]
        value = value[0] if isinstance(value, list) else value
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            ctx.warn("nothing_to_fill", f"column '{column}' has no {setting.strategy}; it is not filled", column=column)
            value = None
        values[column] = value
        recorded[column] = {"strategy": setting.strategy, "value": json_value(value)}
    ctx.record("fill_na", recorded)
    expressions = [_fill_expression(c, v, settings[c], schema) for c, v in values.items()]
    return frame.rows(lambda lf: lf.with_columns(expressions)) if expressions else frame


def _metric(column: str, setting: Fill, dtype: pl.DataType, ctx: ProcessContext) -> Metric | None:
    strategy = setting.strategy
    field = f"fill_na.{column}"
    has_average = dtype.is_numeric() or isinstance(dtype, pl.Null) or (strategy == "median" and dtype.is_temporal())
    if strategy in ("mean", "zero", "median") and not has_average:
        message = f"{strategy} needs numbers, and the column is {dtypes.name_of(dtype)}; cast it first or use mode"
        raise columns.setting_error(ctx, field, message)
    if strategy in ("min", "max", "mode") and dtype.is_nested():
        raise columns.setting_error(ctx, field, f"a {dtypes.name_of(dtype)} has no {strategy}")
    if strategy == "zero":
        return None
    if isinstance(dtype, pl.Null):
        return Metric(column, "min")
    if strategy == "median":
        return Metric(column, "quantile", (0.5,))
    kinds: dict[str, Kind] = {"mean": "mean", "mode": "mode", "min": "min", "max": "max"}
    return Metric(column, kinds[strategy])


def _fill_expression(
    column: str, value: Any, setting: columns.Scalar | Fill, schema: Mapping[str, pl.DataType]
) -> pl.Expr:
    dtype = schema[column]
    expr = pl.col(column)
    if isinstance(dtype, pl.Null):
        return pl.lit(value).alias(column)
    averaged = isinstance(setting, Fill) and setting.strategy in ("mean", "median")
    if averaged and dtype.is_integer():
        dtype = pl.Float64()
        expr = expr.cast(dtype)
    if value is None:
        return expr  # nothing to fill with; the type changes all the same
    if dtype.is_float():
        expr = expr.fill_nan(None)
    return expr.fill_null(pl.lit(value).cast(dtype)).alias(column)


def outliers(frame: Frame, settings: Mapping[str, Outlier], ctx: ProcessContext) -> Frame:
    """Clip, null or drop the values outside of the fitted bounds. Missing values are not outliers."""
    schema = frame.schema
    for column in settings:
        if not schema[column].is_numeric():
            message = f"outliers apply to numbers, and the column is {dtypes.name_of(schema[column])}"
            raise columns.setting_error(ctx, f"outliers.{column}", message)
    wanted = {c: _bound_metrics(c, o) for c, o in settings.items()}
    answers = split.measure(frame, [m for metrics in wanted.values() for m in metrics], ctx)
    changed: list[pl.Expr | Conversion] = []
    dropped: list[pl.Expr] = []
    recorded: dict[str, Any] = {}
    for column, setting in settings.items():
        low, high = _bounds(setting, [answers[m] for m in wanted[column]])
        recorded[column] = {
            "method": setting.method,
            "action": setting.action,
            "low": json_value(low),
            "high": json_value(high),
        }
        if low is None or high is None:
            ctx.warn(
                "no_bounds",
                f"column '{column}' has no values to fit bounds to; outliers are not treated",
                column=column,
            )
            continue
        dtype = schema[column]
        value = pl.col(column).cast(pl.Float64) if dtype.is_decimal() else pl.col(column)
        if dtype.is_float():
            value = value.fill_nan(None)
        outside = ((value < low) | (value > high)).fill_null(value=False)
        if setting.action == "drop":
            dropped.append(~outside)
        elif setting.action == "null":
            inside = pl.when(outside).then(None).otherwise(pl.col(column))
            changed.append(_counted(column, inside, outside, low, high, "became missing"))
        else:
            inner = (low, high)
            if dtype.is_integer():  # the whole numbers inside; or else the nearest outside
                whole = (math.ceil(low), math.floor(high))
                inner = whole if whole[0] <= whole[1] else (math.floor(low), math.ceil(high))
            below, above = (_bound(b, dtype) for b in inner)
            moved = pl.when(value < low).then(below).when(value > high).then(above).otherwise(pl.col(column))
            changed.append(_counted(column, moved, outside, low, high, "were moved to the bounds"))
    ctx.record("outliers", recorded)
    if dropped:
        frame = frame.rows(lambda lf: lf.filter(dropped))
    return frame.convert(ctx.step, changed) if changed else frame


def _counted(column: str, value: pl.Expr, outside: pl.Expr, low: float, high: float, outcome: str) -> Conversion:
    outcome = f"lie outside of {low:g} to {high:g} and {outcome}"
    return Conversion(column, value, pl.col(column), column, "outliers", outcome, lost=outside)


def _bound(value: float, dtype: pl.DataType) -> pl.Expr:
    """The bound in the column's type; null where it lies outside of the type's range, as no value can reach it."""
    if dtype.is_decimal():
        number = pl.select(bound=pl.lit(value, dtype=pl.Float64))
        return pl.lit(number.select(cast.cast("bound", pl.Float64(), dtype)).item(), dtype=dtype)
    return pl.lit(value).cast(dtype, strict=False)


def _factor(setting: Outlier) -> float:
    return setting.factor if setting.factor is not None else _DEFAULT_FACTOR[setting.method]


def _bound_metrics(column: str, setting: Outlier) -> list[Metric]:
    if setting.method == "zscore":
        return [Metric(column, "mean"), Metric(column, "std")]
    if setting.method == "iqr":
        return [Metric(column, "quantile", (0.25, 0.75))]
    return [Metric(column, "quantile", (_factor(setting), 1 - _factor(setting)))]


def _bounds(setting: Outlier, answers: list[Any]) -> tuple[float | None, float | None]:
    if setting.method == "zscore":
        mean, std = answers
        if mean is None or not math.isfinite(mean):
            return None, None
        reach = _factor(setting) * (std or 0.0)
        return mean - reach, mean + reach
    low, high = answers[0]
    if low is None or not (math.isfinite(low) and math.isfinite(high)):
        return None, None
    if setting.method == "quantile":
        return float(low), float(high)
    reach = _factor(setting) * (high - low)
    return low - reach, high + reach
