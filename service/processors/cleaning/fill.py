"""Filling missing values and treating outliers: the parts of the cleaner that fit numbers to the data first.

NaN counts as missing in a float column. What is fitted goes into the plan as literals and is recorded.
A mean or median of whole numbers may lie between them, so such a column becomes float64, whatever the value is.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from service.processors.cleaning import fill_windows
from service.processors.features import split
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Kind, Metric
from service.values import cast, dtypes

ORDERED = ("forward", "backward", "interpolate")
STRATEGIES = ("mean", "median", "mode", "min", "max", "zero", *ORDERED)


class Fill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fill with a value taken from the column itself: one for all rows, one a group, or from the rows around."""

    strategy: Annotated[
        Literal["mean", "median", "mode", "min", "max", "zero", "forward", "backward", "interpolate"],
        msgspec.Meta(
            description="What to fill with: forward is the last known value, backward the next, interpolate a straight "
            "line between the two, by rows. mean, median and interpolate make whole numbers float64. median is the "
            "mean of the two in the middle; of several modes the least is taken. NaN counts as missing."
        ),
    ]
    order_by: Annotated[
        columns.Name | list[columns.Name],
        msgspec.Meta(description="forward, backward, interpolate: the order of the rows; else as they are stored."),
    ] = []
    group_by: Annotated[
        columns.Name | list[columns.Name],
        msgspec.Meta(
            description="Only from rows that agree in these columns; a statistic only from training rows after a split."
        ),
    ] = []

    @property
    def order(self) -> list[str]:
        return [self.order_by] if isinstance(self.order_by, str) else self.order_by

    @property
    def groups(self) -> list[str]:
        return [self.group_by] if isinstance(self.group_by, str) else self.group_by

    @property
    def statistic(self) -> bool:
        """Whether it fills with a number for all rows or a group, not with what stands near."""
        return self.strategy not in ORDERED

    @property
    def windowed(self) -> bool:
        """Whether it needs the rows around, so that no one value can be fitted."""
        return not self.statistic or bool(self.groups)

    def wrong(self) -> str | None:
        """What cannot be combined, or None."""
        if self.order and self.statistic:
            return f"order_by is for {', '.join(ORDERED)}; {self.strategy} is the same in any order"
        if self.groups and self.strategy == "zero":
            return "zero is the same in every group; leave group_by out"
        return None


class Outlier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values outside of bounds that are fitted to the column."""

    method: Annotated[
        Literal["iqr", "zscore", "quantile"],
        msgspec.Meta(
            description="iqr: quartiles ± factor × their distance; zscore: mean ± factor × std (ddof 1); quantile: the "
            "shares factor and 1 - factor. Percentiles are linear; what lies on a bound is no outlier."
        ),
    ]
    factor: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        msgspec.Meta(description="Default 1.5 (iqr), 3 (zscore), 0.01 (quantile: the share per end)."),
    ] = None
    action: Annotated[
        Literal["clip", "null", "drop"] | None,
        msgspec.Meta(description="Move to the bound, make missing, or drop the row."),
    ] = "clip"

    def __post_init__(self) -> None:
        columns.write_null(self, "action")


_DEFAULT_FACTOR = {"iqr": 1.5, "zscore": 3.0, "quantile": 0.01}


def gone(lf_schema: Mapping[str, pl.DataType], column: str) -> pl.Expr:
    """Whether the value is missing: null, or NaN in a float column."""
    expr = pl.col(column)
    return expr.is_null() | expr.is_nan().fill_null(value=False) if lf_schema[column].is_float() else expr.is_null()


def plain(value: Any) -> Any:
    """A measured value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal | datetime.timedelta):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value


def fill(frame: Frame, settings: Mapping[str, columns.Scalar | Fill], ctx: ProcessContext) -> Frame:
    """Fill every column of ``settings`` (they exist): first by one value a column, then from the rows around."""
    windows = {c: f for c, f in settings.items() if isinstance(f, Fill) and f.windowed}
    if windows:
        plainly = {c: f for c, f in settings.items() if c not in windows}
        filled = fill_windows.fill(fill(frame, plainly, ctx) if plainly else frame, windows, ctx)
        said = {c: msgspec.to_builtins(f) for c, f in windows.items()}
        ctx.record("fill_na", {**ctx.parameter("fill_na", {}), **said})
        return filled
    schema = frame.schema
    wanted = {c: _question(c, f, schema[c], ctx) for c, f in settings.items() if isinstance(f, Fill)}
    answers = split.measured(frame, [m for m in wanted.values() if m is not None], ctx)
    values: dict[str, Any] = {}
    recorded: dict[str, Any] = {}
    for column, setting in settings.items():
        field = f"fill_na.{column}"
        if not isinstance(setting, Fill):
            if setting is None:
                raise columns.refused(ctx, field, "null fills nothing; give a value or {strategy: …}")
            if setting in STRATEGIES and (schema[column].is_numeric() or schema[column].is_temporal()):
                raise columns.refused(ctx, field, f"'{setting}' is no value here; write {{strategy: {setting}}}")
            values[column] = columns.literal(ctx, field, setting, schema[column])
            recorded[column] = {"value": setting}
            continue
        metric = wanted[column]
        value = 0 if metric is None else answers[metric]
        value = value[0] if isinstance(value, list) else value
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            ctx.warn(
                "nothing_to_fill", f"column '{column}' has no {setting.strategy}; it stays as it is", column=column
            )
            value = None
        values[column] = value
        recorded[column] = {"strategy": setting.strategy, "value": plain(value)}
    ctx.record("fill_na", recorded)
    expressions = [_filled(c, v, settings[c], schema) for c, v in values.items()]
    return frame.rows(lambda lf: lf.with_columns(expressions)) if expressions else frame


def _question(column: str, setting: Fill, dtype: pl.DataType, ctx: ProcessContext) -> Metric | None:
    strategy = setting.strategy
    field = f"fill_na.{column}"
    averaged = dtype.is_numeric() or isinstance(dtype, pl.Null) or (strategy == "median" and dtype.is_temporal())
    if strategy in ("mean", "zero", "median") and not averaged:
        message = f"{strategy} needs a number, and the column is {dtypes.name_of(dtype)}; cast it first or use mode"
        raise columns.refused(ctx, field, message)
    if strategy in ("min", "max", "mode") and dtype.is_nested():
        raise columns.refused(ctx, field, f"a {dtypes.name_of(dtype)} has no {strategy}")
    if strategy == "zero":
        return None
    if isinstance(dtype, pl.Null):
        return Metric(column, "min")
    if strategy == "median":
        return Metric(column, "quantile", (0.5,))
    kinds: dict[str, Kind] = {"mean": "mean", "mode": "mode", "min": "min", "max": "max"}
    return Metric(column, kinds[strategy])


def _filled(column: str, value: Any, setting: columns.Scalar | Fill, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    dtype = schema[column]
    expr = pl.col(column)
    if isinstance(dtype, pl.Null):
        return pl.lit(value).alias(column)
    averaged = isinstance(setting, Fill) and setting.strategy in ("mean", "median")
    if averaged and dtype.is_integer():
        dtype = pl.Float64()
        expr = expr.cast(dtype)
    if value is None:
        return expr  # nothing to fill with; the type is as if there were
    if dtype.is_float():
        expr = expr.fill_nan(None)
    return expr.fill_null(pl.lit(value).cast(dtype)).alias(column)


def outliers(frame: Frame, settings: Mapping[str, Outlier], ctx: ProcessContext) -> Frame:
    """Clip, null or drop what lies outside the fitted bounds. Missing values are no outliers."""
    schema = frame.schema
    for column in settings:
        if not schema[column].is_numeric():
            message = f"outliers are for numbers, and the column is {dtypes.name_of(schema[column])}"
            raise columns.refused(ctx, f"outliers.{column}", message)
    questions = {c: _bounds_of(c, o) for c, o in settings.items()}
    answers = split.measured(frame, [m for metrics in questions.values() for m in metrics], ctx)
    changed: list[pl.Expr] = []
    dropped: list[pl.Expr] = []
    recorded: dict[str, Any] = {}
    for column, setting in settings.items():
        low, high = _bounds(setting, [answers[m] for m in questions[column]])
        recorded[column] = {"method": setting.method, "action": setting.action, "low": plain(low), "high": plain(high)}
        if low is None or high is None:
            ctx.warn("no_bounds", f"column '{column}' has no values to find outliers by", column=column)
            continue
        dtype = schema[column]
        value = pl.col(column).cast(pl.Float64) if dtype.is_decimal() else pl.col(column)
        if dtype.is_float():
            value = value.fill_nan(None)
        outside = ((value < low) | (value > high)).fill_null(value=False)
        if setting.action == "drop":
            dropped.append(~outside)
        elif setting.action == "null":
            changed.append(pl.when(outside).then(None).otherwise(pl.col(column)).alias(column))
        else:
            inner = (low, high)
            if dtype.is_integer():  # the whole numbers within; the ones around where there is none
                inside = (math.ceil(low), math.floor(high))
                inner = inside if inside[0] <= inside[1] else (math.floor(low), math.ceil(high))
            below, above = (_bound(b, dtype) for b in inner)
            moved = pl.when(value < low).then(below).when(value > high).then(above).otherwise(pl.col(column))
            changed.append(moved.alias(column))
    ctx.record("outliers", recorded)
    if dropped:
        frame = frame.rows(lambda lf: lf.filter(dropped))
    return frame.rows(lambda lf: lf.with_columns(changed)) if changed else frame


def _bound(value: float, dtype: pl.DataType) -> pl.Expr:
    """The bound in the column's type; null where the type does not reach so far, and no value does."""
    if dtype.is_decimal():
        number = pl.select(bound=pl.lit(value, dtype=pl.Float64))
        return pl.lit(number.select(cast.cast("bound", pl.Float64(), dtype)).item(), dtype=dtype)
    return pl.lit(value).cast(dtype, strict=False)


def _factor(setting: Outlier) -> float:
    return setting.factor if setting.factor is not None else _DEFAULT_FACTOR[setting.method]


def _bounds_of(column: str, setting: Outlier) -> list[Metric]:
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
