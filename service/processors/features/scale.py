"""Scaling: numbers by fitted constants, with the conventions of scikit-learn.

``standard`` (x - mean) / std with ddof 0, ``minmax`` to 0…1, ``robust`` (x - median) / (q75 - q25), ``maxabs``
x / max |x|, ``log1p`` ln(1 + x) without a fit. A constant column has scale 1, so that it becomes 0. Missing stays
missing; the result is float64.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from service.kit import lazy
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.metric import Metric, Values
from service.values import dtypes
from service.values.losses import Conversion

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Method = Literal["standard", "minmax", "robust", "maxabs", "log1p"]


class Normalize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to scale a column, and the name of the result."""

    method: Annotated[
        Method,
        msgspec.Meta(
            description="As scikit-learn: standard (x - mean) / std with ddof 0, minmax to 0…1, robust (x - median) / "
            "(q75 - q25) with linear percentiles, maxabs x / max |x|, log1p ln(1 + x), missing for -1 and less. "
            "A constant column has scale 1, so that it becomes 0. Missing values (NaN too) are left out and "
            "stay missing. The result is float64."
        ),
    ]
    into: Annotated[columns.Name | None, msgspec.Meta(description="A new column; the old one stays.")] = None


def metrics(column: str, setting: Normalize, dtype: pl.DataType, ctx: ProcessContext) -> list[Metric]:
    """The metrics to fit by. Raises ``errors.Permanent`` where the column does not hold numbers."""
    if not dtype.is_numeric():
        message = f"the column is {dtypes.name_of(dtype)}, not a number; cast it first"
        raise columns.setting_error(ctx, f"normalize.{column}", message)
    if setting.method == "standard":
        kinds = [Metric(column, "mean"), Metric(column, "std"), Metric("", "rows"), Metric(column, "nulls")]
        return [*kinds, Metric(column, "nan")]
    if setting.method == "robust":
        return [Metric(column, "quantile", (0.25, 0.5, 0.75))]
    return [] if setting.method == "log1p" else [Metric(column, "min"), Metric(column, "max")]


def fit(column: str, setting: Normalize, answers: Values, ctx: ProcessContext) -> dict[str, Any]:
    """The parameters to record: ``method``, ``scale`` where it has one, and ``mean``, ``median`` or ``min``."""
    method = setting.method
    if method == "log1p":
        return {"method": method}
    if method == "standard":
        mean, std = answers[Metric(column, "mean")], answers[Metric(column, "std")]
        count = answers[Metric("", "rows")] - answers[Metric(column, "nulls")] - answers[Metric(column, "nan")]
        center = _finite(column, mean, ctx)
        scale = _finite(column, std, ctx) if count > 1 else 0.0
        variance = scale**2 * (count - 1) / count if count else 0.0
        return {"method": method, "mean": center if count else None, "scale": _scale(variance, center, count)}
    if method == "robust":
        low, middle, high = answers[Metric(column, "quantile", (0.25, 0.5, 0.75))]
        spread = _finite(column, high, ctx) - _finite(column, low, ctx)
        return {
            "method": method,
            "median": None if middle is None else _finite(column, middle, ctx),
            "scale": spread or 1.0,
        }
    least, most = (answers[Metric(column, k)] for k in ("min", "max"))
    low, high = _finite(column, least, ctx), _finite(column, most, ctx)
    if method == "maxabs":
        return {"method": method, "scale": max(abs(low), abs(high)) or 1.0}
    return {"method": method, "min": None if least is None else low, "scale": (high - low) or 1.0}


def _finite(column: str, value: Any, ctx: ProcessContext) -> float:
    """The value as a float, 0 for None. Raises ``errors.Permanent`` where it is infinite."""
    number = 0.0 if value is None else float(value)
    if not math.isfinite(number):
        message = "the column holds infinite values; replace them or treat them with 'outliers' first"
        raise columns.setting_error(ctx, f"normalize.{column}", message)
    return number


def _scale(variance: float, mean: float, count: int) -> float:
    """The standard deviation; 1 where it is only rounding (scikit-learn's own bound)."""
    epsilon = sys.float_info.epsilon
    if variance <= count * epsilon * variance + (count * mean * epsilon) ** 2:
        return 1.0
    return math.sqrt(variance)


def expression(column: str, setting: Normalize, constants: dict[str, Any]) -> pl.Expr | Conversion:
    """The expression of the scaled column, under its name or ``into``; values without a logarithm are counted."""
    value = pl.col(column).cast(pl.Float64)
    if setting.method == "log1p":
        result = pl.when(value > -1).then(value).otherwise(None).log1p()
        outcome = "are -1 or less, have no logarithm of 1 + x and became missing"
        return Conversion(
            setting.into or column, result, value.fill_nan(None), column, "normalize", outcome, lost=value <= -1
        )
    center = constants.get("mean", constants.get("median", constants.get("min")))
    # Polars divides a column by the reciprocal of a literal, but a single value exactly: the last bit would differ
    scaled: pl.Expr = (value - center if center is not None else value) * (1.0 / constants["scale"])
    return scaled.alias(setting.into or column)
