"""Sums of floats that are the same whatever thread adds which value first (.decisions/0035).

Floating-point addition rounds, so that a sum depends on the order of its terms; whole numbers do not have that. Floats
of a band of sizes are whole multiples of one small unit: they are added in 128 bits, and rounded once at the end.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import polars as pl

from service.engine.scratch import Engine
from service.steps.metric import Metric

Numeric = Callable[[str], pl.Expr]
"""A column by its name as numbers without NaN."""

_BANDS = ((-7, 36), (36, 79), (-50, -7))
"""Powers of 2 between which values are in a band: 43 bits, and 53 of a float are 96; 2^31 rows fit the rest."""
_DIGITS = 53
_SPREAD = 47  # bits of the greatest distance from a centre; 94 of its square
_MOMENTS = frozenset({"mean", "std", "variance"})


def total(column: pl.Expr) -> pl.Expr:
    """The sum of a column of Float64, 0 without values. Very small and very large values are added as floats."""
    size = column.abs()
    others = ~((size >= 2.0 ** min(low for low, _ in _BANDS)) & (size < 2.0 ** max(high for _, high in _BANDS)))
    sums = [pl.when(others).then(column).sum()]  # NaN and infinity, too
    for low, high in _BANDS:
        units = 2.0 ** (_DIGITS - low)
        inside = (size >= 2.0**low) & (size < 2.0**high)
        sums.append(pl.when(inside).then(column * units).cast(pl.Int128).sum().cast(pl.Float64) / units)
    return functools.reduce(operator.add, sums)


def mean(column: pl.Expr) -> pl.Expr:
    """The mean of a column of Float64, null without values."""
    return pl.when(column.count() > 0).then(total(column) / column.count())


def answer(lf: pl.LazyFrame, numeric: Numeric, metrics: Iterable[Metric], engine: Engine) -> dict[Metric, Any]:
    """The means, deviations and variances among the metrics, of finite numbers that differ."""
    wanted = [metric for metric in metrics if metric.kind in _MOMENTS]
    numbers = {metric.column: numeric(metric.column).cast(pl.Float64) for metric in wanted}
    spreads = _spreads(lf, numbers, engine) if numbers else {}
    found: dict[Metric, Any] = {}
    for metric in wanted:
        if (spread := spreads.get(metric.column)) is not None:
            variance = spread.variance
            found[metric] = {"mean": spread.mean, "variance": variance, "std": math.sqrt(variance)}[metric.kind]
    return found


class _Spread:
    """Mean and extent of a column of several values, and the sum of their squared distances from the mean."""

    def __init__(self, count: int, mean: float, low: float, high: float) -> None:
        self.count, self.mean = count, min(max(mean, low), high)
        self._exponent = math.frexp(max(high - self.mean, self.mean - low))[1]
        self.fits = low < high and -900 < self._exponent < 900
        self.squares = 0.0

    def square(self, number: pl.Expr) -> pl.Expr:
        """The sum of squared distances, in units."""
        distance = (number - self.mean) * 2.0 ** (_SPREAD - self._exponent)
        return (distance * distance).cast(pl.Int128).sum().cast(pl.Float64)

    @property
    def variance(self) -> float:
        """With ddof 1."""
        unit = 2.0 ** (self._exponent - _SPREAD)
        return self.squares / (self.count - 1) * unit * unit


def _spreads(lf: pl.LazyFrame, numbers: dict[str, pl.Expr], engine: Engine) -> dict[str, _Spread]:
    asked = {
        f"{part}{at}": expr
        for at, n in enumerate(numbers.values())
        for part, expr in {"count": n.count(), "mean": mean(n), "low": n.min(), "high": n.max()}.items()
    }
    row = lf.select(**asked).collect(engine=engine).row(0, named=True)
    spreads = {}
    for at, name in enumerate(numbers):
        count, *rest = (row[f"{part}{at}"] for part in ("count", "mean", "low", "high"))
        if count > 1 and all(map(math.isfinite, rest)) and (spread := _Spread(count, *rest)).fits:
            spreads[name] = spread
    if spreads:
        squares = {str(at): spread.square(numbers[name]) for at, (name, spread) in enumerate(spreads.items())}
        row = lf.select(**squares).collect(engine=engine).row(0, named=True)
        for at, spread in enumerate(spreads.values()):
            spread.squares = row[str(at)]
    return spreads
