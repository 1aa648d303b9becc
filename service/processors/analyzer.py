"""Analyzer: the profile of the data at this step; it does not change the data.

It asks the engine for metrics and arranges the answers as the contract has them.
Missing is null, and NaN in a float column. Infinite results are null, as JSON has no infinity.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec

from service.kit import lazy
from service.kit.errors import Problem
from service.processors.profile import warnings
from service.processors.settings import columns
from service.processors.settings.json_value import json_value
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.steps.metric import Kind, Metric, Values
from service.steps.processor import Processor
from service.values import dtypes
from service.values.profile import Profile

if TYPE_CHECKING:
    import polars as pl

    from service.values import polars_errors
else:
    pl = lazy.module("polars")
    polars_errors = lazy.module("service.values.polars_errors")

MAX_CORRELATED = 64
"""More number columns than this are not correlated: the pairs grow with the square."""

_SAMPLE = Metric("", "sample")
_ESTIMATED: dict[str, str] = {
    "distinct": "distinct", "quantile": "quantiles", "histogram": "histogram", "top": "top", "forms": "warnings",
    "lengths": "lengths",
    "spearman": "correlation",
}  # fmt: skip
"""Kinds of metrics for which an estimate will do where it may, and the figures that are made of them."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Analyzer(Processor, frozen=True, kw_only=True, tag="analyzer"):
    """Profiles the data: counts, distributions, missing values, correlation and warnings; changes nothing.

    As pandas: std and variance have ddof 1, skew and kurtosis (excess) are corrected for bias. Missing is null, and
    NaN in a float column; distinct and top leave it out. Of equally frequent values the least comes first. Duplicate
    rows agree in every column; missing equals missing, and NaN only NaN.
    """

    idempotent: ClassVar[bool] = True
    read_only: ClassVar[bool] = True
    static: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "analyzer",
        "config": {"quantiles": [0.25, 0.5, 0.75], "histogram_bins": 10, "top_k": 5, "correlation": "pearson"},
    }

    columns: Annotated[list[columns.Name], msgspec.Meta(description="The columns to profile; empty means all.")] = []
    quantiles: Annotated[
        tuple[Share, ...], msgspec.Meta(max_length=100, description="Shares between 0 and 1; linear interpolation.")
    ] = (0.05, 0.25, 0.5, 0.75, 0.95)
    histogram_bins: Annotated[
        int, msgspec.Meta(ge=1, le=1000, description="Equal bins from the least to the greatest value.")
    ] = 20
    top_k: Annotated[int, msgspec.Meta(ge=0, le=1000, description="How many of the most frequent texts to list.")] = 10
    correlation: Annotated[
        Literal["pearson", "spearman", "none"],
        msgspec.Meta(description="Between all number columns, over complete pairs; spearman uses average ranks."),
    ] = "pearson"
    exact: Annotated[
        bool,
        msgspec.Meta(
            description="false allows estimates of distinct, quantiles, histogram, top and spearman, from a million"
            " rows on, in less time. The profile's 'exact' says whether it has any, 'estimates' how far they err."
        ),
    ] = True

    def problems(self) -> Iterable[Problem]:
        yield from columns.repeated("columns", self.columns)

    def apply(self, frame: Frame, ctx: ProcessContext) -> Frame:
        schema = frame.schema
        for column in self.columns:
            if column not in schema:
                raise columns.missing_column(ctx, "columns", column, schema)
        if ctx.dry:
            frame.measure([Metric("", "rows")])
            return frame
        chosen = {n: schema[n] for n in self.columns or schema}
        numbers = [n for n, t in chosen.items() if t.is_numeric()]
        correlated = numbers if self.correlation != "none" and 1 < len(numbers) <= MAX_CORRELATED else []
        pairs = [Metric(a, self._kind, b) for a, b in combinations(correlated, 2)]
        wanted = [Metric("", "rows"), Metric("", "duplicates"), *pairs]
        for name, dtype in chosen.items():
            wanted.extend(self._metrics(name, dtype))
        asked = {metric: self._asked(metric, schema) for metric in wanted}
        if any(metric.estimate for metric in asked.values()):
            asked[_SAMPLE] = _SAMPLE
        with polars_errors.attributed(ctx.step):
            found = frame.measure(asked.values())
        answers = {metric: found[question] for metric, question in asked.items()}
        profile: dict[str, Any] = {
            "row_count": answers[Metric("", "rows")],
            "column_count": len(schema),
            **_exactness(answers.get(_SAMPLE), asked.values()),
            "duplicate_rows": answers[Metric("", "duplicates")],
            "columns": [self._column(n, t, answers) for n, t in chosen.items()],
            "correlation": self._correlation(correlated, answers),
        }
        formats = {n: answers[Metric(n, "forms")] for n, t in chosen.items() if isinstance(t, pl.String)}
        notices = warnings.collect(profile, formats)
        if self.correlation != "none" and len(numbers) > MAX_CORRELATED:
            message = (
                f"{len(numbers)} number columns are more than {MAX_CORRELATED}; name some in columns to correlate them"
            )
            notices.append({"code": "not_correlated", "column": None, "message": message})
        profile["warnings"] = notices
        ctx.add_profile(msgspec.convert(profile, Profile))
        return frame

    def _asked(self, metric: Metric, schema: pl.Schema) -> Metric:
        """The metric, with an estimate where that will do."""
        boolean = metric.column and isinstance(schema[metric.column], pl.Boolean)
        estimate = not self.exact and metric.kind in _ESTIMATED and not boolean
        return msgspec.structs.replace(metric, estimate=estimate)

    @property
    def _kind(self) -> Kind:
        return "spearman" if self.correlation == "spearman" else "corr"

    def _metrics(self, name: str, dtype: pl.DataType) -> list[Metric]:
        metrics = [Metric(name, "nulls")]
        if dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Null | pl.Object):
            return metrics
        metrics.append(Metric(name, "distinct"))
        if dtype.is_numeric():
            metrics += [Metric(name, kind) for kind in ("min", "max", "mean", "std", "variance", "skew", "kurtosis")]
            metrics += [Metric(name, kind) for kind in ("zeros", "negatives", "nan")]
            metrics += [Metric(name, "quantile", self.quantiles), Metric(name, "histogram", self.histogram_bins)]
        elif dtype.is_temporal():
            metrics += [Metric(name, "min"), Metric(name, "max"), Metric(name, "histogram", self.histogram_bins)]
        elif isinstance(dtype, pl.Boolean):
            metrics.append(Metric(name, "true"))
        else:
            metrics.append(Metric(name, "top", self.top_k))
            if isinstance(dtype, pl.String):
                metrics.append(Metric(name, "forms"))
            metrics.append(Metric(name, "lengths"))
        return metrics

    def _column(self, name: str, dtype: pl.DataType, answers: Values) -> dict[str, Any]:
        rows = answers[Metric("", "rows")]
        missing = answers[Metric(name, "nulls")] + (answers[Metric(name, "nan")] if dtype.is_float() else 0)
        column: dict[str, Any] = {
            "name": name,
            "type": dtypes.name_of(dtype),
            "count": rows - missing,
            "missing": missing,
            "missing_share": missing / rows if rows else 0.0,
        }
        if Metric(name, "distinct") not in answers:
            return column
        column["distinct"] = answers[Metric(name, "distinct")]
        if dtype.is_numeric():
            for kind in ("min", "max", "mean", "std", "variance", "skew", "kurtosis", "zeros", "negatives"):
                column[kind] = json_value(answers[Metric(name, kind)])
            shares = answers[Metric(name, "quantile", self.quantiles)]
            column["quantiles"] = {str(q): json_value(v) for q, v in zip(self.quantiles, shares, strict=True)}
            column["histogram"] = answers[Metric(name, "histogram", self.histogram_bins)] or {"edges": [], "counts": []}
        elif dtype.is_temporal():
            low, high = answers[Metric(name, "min")], answers[Metric(name, "max")]
            column |= {"min": json_value(low), "max": json_value(high), "span_seconds": _span(low, high)}
            column["histogram"] = answers[Metric(name, "histogram", self.histogram_bins)] or {"edges": [], "counts": []}
        elif isinstance(dtype, pl.Boolean):
            column["true_share"] = answers[Metric(name, "true")] / column["count"] if column["count"] else None
        else:
            lengths = answers[Metric(name, "lengths")]
            column |= {"min_length": lengths["min"], "max_length": lengths["max"], "empty": lengths["empty"]}
            column["top"] = [{"value": v, "count": n} for v, n in answers[Metric(name, "top", self.top_k)]]
        return column

    def _correlation(self, names: list[str], answers: Values) -> dict[str, Any]:
        cells: Mapping[tuple[str, str], Any] = {
            (a, b): answers[Metric(a, self._kind, b)] for a, b in combinations(names, 2)
        }

        def cell(a: str, b: str) -> float | None:
            if a != b:
                value = cells[(a, b)] if (a, b) in cells else cells[(b, a)]
                return None if value is None else max(-1.0, min(1.0, value))
            return 1.0 if (answers[Metric(a, "std")] or 0) > 0 else None

        return {"method": self.correlation, "columns": names, "matrix": [[cell(a, b) for b in names] for a in names]}


def _exactness(sample: Mapping[str, Any] | None, asked: Iterable[Metric]) -> dict[str, Any]:
    """What the profile says of the ``sample`` that its estimates are made of."""
    if sample is None:
        return {"exact": True}
    figures = sorted({_ESTIMATED[metric.kind] for metric in asked if metric.estimate})
    return {"exact": False, "estimates": {"figures": figures, **sample}}


def _span(low: Any, high: Any) -> float | None:
    if low is None:
        return None
    if isinstance(low, datetime.time):
        day = datetime.date.min
        return (datetime.datetime.combine(day, high) - datetime.datetime.combine(day, low)).total_seconds()
    if isinstance(low, datetime.datetime) and low.tzinfo is not None:
        low, high = low.astimezone(datetime.UTC), high.astimezone(datetime.UTC)  # otherwise local times are compared
    distance: datetime.timedelta = high - low
    return distance.total_seconds()
