"""Metrics over a Polars plan, exact and with little memory.

There are four kinds of query. All stream, and the expensive ones take one column at a time (so does their memory):

* one pass for all plain aggregates and all correlations together;
* *ordered* kinds of numbers and times (quantile, histogram, distinct, mode): the column is collected alone and
  sorted once, and the sorted values answer all of them: cheaper than ``quantile`` and ``n_unique`` one by one;
* *grouped* kinds of all other types (top, distinct, mode, categories, forms): one ``group_by`` per column;
* duplicates: 0 where a column is a key, otherwise ``duplicates.count``.

NaN is not a value: statistics leave it out, ``nan`` counts it, ``nulls`` does not. Infinite values are kept.
Decimals are floats in everything but min, max, sum, mode, top and categories.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from service.engine import duplicates as duplicate_rows
from service.engine import steady_sums, text_patterns
from service.engine.duplicates import Engine
from service.steps.metric import Metric
from service.values import equal_edges
from service.values.seconds import from_ticks

Answers = dict[Metric, Any]

_ORDERED = frozenset({"quantile", "histogram"})
_GROUPED = frozenset({"top", "categories", "forms"})
_EITHER = frozenset({"distinct", "mode"})
_FREE_IN_ORDER = frozenset({"min", "max", "zeros", "negatives"})  # free where a column is sorted anyway
_FREE_IN_GROUPS = frozenset({"lengths", "nulls"})
_FREE_CATEGORIES = 1_000
_AT_ONCE = 250_000
_NARROW = 100


def answer(
    lf: pl.LazyFrame, schema: pl.Schema, metrics: Iterable[Metric], *, engine: Engine = "streaming",
    done: Callable[[int, int], None] = lambda done, total: None,
) -> Answers:  # fmt: skip
    """The answers to ``metrics``, perhaps with more that cost nothing. The kinds are those of ``metric.Kind``.

    ``in-memory`` is for small frames in memory: it starts a query in a tenth of the time. ``done`` is called with the
    numbers of answered queries and of all.

    Raises ``ValueError`` for a metric that is not defined for its column's type.
    """
    plain: list[Metric] = []
    alone: list[Metric] = []
    ordered: dict[str, list[Metric]] = defaultdict(list)
    grouped: dict[str, list[Metric]] = defaultdict(list)
    duplicates: list[Metric] = []
    for metric in metrics:
        dtype = schema[metric.column] if metric.column else pl.Null()
        sortable = dtype.is_numeric() or dtype.is_temporal()
        if metric.kind == "duplicates":
            duplicates.append(metric)
        elif metric.kind in ("means", "spearman"):
            alone.append(metric)
        elif metric.kind in _ORDERED or (metric.kind in _EITHER and sortable):
            if not sortable:
                raise ValueError(f"{metric.kind} of '{metric.column}', which is neither a number nor a time")
            ordered[metric.column].append(metric)
        elif metric.kind in _GROUPED or metric.kind in _EITHER:
            grouped[metric.column].append(metric)
        else:
            plain.append(metric)
    together: list[Metric] = []
    for metric in plain:
        for kinds, queries in ((_FREE_IN_ORDER, ordered), (_FREE_IN_GROUPS, grouped)):
            by_groups = metric.kind != "nulls" or not schema[metric.column].is_float()  # groups leave out NaN, too
            if metric.kind in kinds and metric.column in queries and by_groups:
                queries[metric.column].append(metric)
                break
        else:
            together.append(metric)
    answers: Answers = {}
    if together or duplicates or grouped or len(ordered) > 1:
        answers.update(_plain(lf, schema, [*together, Metric("", "rows")], engine))
    columns = [*ordered, *(c for c in grouped if c not in ordered)]
    first = 1 + len(columns) // 2  # the pass over all columns costs as much as half of them
    total = first + len(columns) + len(alone) + len(duplicates)
    counted = itertools.count(first)
    done(next(counted), total)
    for part, names, how in _parts(lf, columns, answers.get(Metric("", "rows")), engine):
        for column in names:
            if column in ordered:
                answers.update(_ordered(part, column, schema[column], ordered[column], how))
            if column in grouped:
                answers.update(_grouped(part, column, schema[column], grouped[column], how, answers))
            done(next(counted), total)
    for metric in alone:
        answers[metric] = (_means if metric.kind == "means" else _spearman)(lf, schema, metric, engine)
        done(next(counted), total)
    for metric in duplicates:
        rows = answers[Metric("", "rows")]
        keyed = any(answers.get(Metric(column, "distinct")) == rows for column in schema)
        answers[metric] = 0 if keyed or rows < 2 else duplicate_rows.count(lf, schema, engine)
        done(next(counted), total)
    return answers


def _parts(
    lf: pl.LazyFrame, columns: list[str], rows: int | None, engine: Engine
) -> Iterator[tuple[pl.LazyFrame, list[str], Engine]]:
    """The columns in parts, as (frame, columns, engine): one at a time, or several short ones from memory.

    The cost of a query grows with the columns of the frame, so thousands of queries of one column would take minutes.
    """
    size = 1 if rows is None else max(1, _AT_ONCE // max(1, rows))
    for at in range(0, len(columns), size):
        names = columns[at : at + size]
        if len(names) == 1 or (engine == "in-memory" and len(columns) <= _NARROW):
            yield lf, names, engine
        else:
            yield lf.select(names).collect(engine=engine).lazy(), names, "in-memory"


# -- one pass ----------------------------------------------------------------------------------------------


def numeric(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column for arithmetic: without NaN; decimals, booleans and narrow floats as float64.

    In 32 bits a sum of two million values is 1 % off, and the square of 1e20 is infinite.
    """
    expr = pl.col(column)
    if dtype.is_float():
        expr = expr.fill_nan(None)
    narrow = dtype.is_float() and dtype != pl.Float64
    return expr.cast(pl.Float64) if narrow or dtype.is_decimal() or isinstance(dtype, pl.Boolean) else expr


def _total(column: str, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_integer():
        return pl.col(column).cast(pl.Int128).sum()  # Int64 would overflow in silence
    return (_value(column, dtype) if dtype.is_decimal() else numeric(column, dtype)).sum()


def _value(column: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)


_AGGREGATES: dict[str, Callable[[str, pl.DataType], pl.Expr]] = {
    "rows": lambda c, t: pl.len(),
    "nulls": lambda c, t: pl.col(c).null_count(),
    "min": lambda c, t: _value(c, t).min(),
    "max": lambda c, t: _value(c, t).max(),
    "sum": _total,
    "mean": lambda c, t: numeric(c, t).mean(),
    "variance": lambda c, t: numeric(c, t).var(),
    "skew": lambda c, t: numeric(c, t).cast(pl.Float64).skew(bias=False),
    "kurtosis": lambda c, t: numeric(c, t).cast(pl.Float64).kurtosis(fisher=True, bias=False),
    "zeros": lambda c, t: (pl.col(c) == 0).sum(),
    "negatives": lambda c, t: (pl.col(c) < 0).sum(),
    "nan": lambda c, t: pl.col(c).is_nan().sum() if t.is_float() else pl.lit(0),
    "true": lambda c, t: pl.col(c).sum(),
}


def _plain(lf: pl.LazyFrame, schema: pl.Schema, metrics: Sequence[Metric], engine: Engine) -> Answers:
    expressions: list[pl.Expr] = []
    readers: list[tuple[Metric, Callable[[list[Any]], Any], int]] = []
    for metric in dict.fromkeys(metrics):
        found, read = _expressions(metric, schema)
        readers.append((metric, read, len(found)))
        expressions.extend(found)
    different = {str(e): e for e in expressions}  # a deviation is the root of a variance, which is often wanted, too
    named = [e.alias(text) for text, e in different.items()]
    found_values = lf.select(named).collect(engine=engine).row(0, named=True)
    values = (found_values[str(e)] for e in expressions)
    return {metric: read(list(itertools.islice(values, width))) for metric, read, width in readers}


def _expressions(metric: Metric, schema: pl.Schema) -> tuple[list[pl.Expr], Callable[[list[Any]], Any]]:
    """The expressions that answer a plain metric, and a function from their values to the answer."""
    column, kind = metric.column, metric.kind
    if kind == "corr":
        other = str(metric.argument)
        pair = (numeric(column, schema[column]), numeric(other, schema[other]))
        bounds = [bound for value in pair for bound in (value.min(), value.max())]
        return [pl.corr(*pair), *bounds], lambda v: None if v[1] == v[2] or v[3] == v[4] else _finite(v[0])
    if kind == "lengths":
        size = pl.col(column).cast(pl.String).str.len_chars()
        return [size.min(), size.max(), (size == 0).sum()], _lengths
    expression = _AGGREGATES["variance" if kind == "std" else kind](column, schema[column] if column else pl.Null())
    if kind in _ROUNDED:
        value = numeric(column, schema[column])
        return [expression, value.min(), value.max()], _ROUNDED[kind]
    if kind in ("skew", "kurtosis"):
        low, high = _AGGREGATES["min"](column, schema[column]), _AGGREGATES["max"](column, schema[column])
        return [expression, low, high], _moment
    if kind == "sum":
        return [expression, _value(column, schema[column]).count()], lambda v: v[0] if v[1] else None
    return [expression], lambda v: v[0]


def _lengths(values: list[Any]) -> dict[str, Any]:
    return {"min": values[0], "max": values[1], "empty": values[2]}


def _mean(values: list[Any]) -> float | None:
    mean, low, high = values
    return None if mean is None else float(min(max(mean, low), high))


def _variance(values: list[Any]) -> float | None:
    value, low, high = values
    return 0.0 if value is not None and low == high else value


_ROUNDED: dict[str, Callable[[list[Any]], Any]] = {
    "mean": _mean,
    "variance": _variance,
    "std": lambda v: None if v[0] is None else math.sqrt(_variance(v) or 0.0),
}
"""Rounding would give a constant column a mean other than its value, and a deviation."""


def _moment(values: list[Any]) -> float | None:
    """A constant column has no skew and no kurtosis, as in pandas (from 3.1 on) and scipy."""
    value, low, high = values
    return None if low == high else _finite(value)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# -- one sort a column ----------------------------------------------------------------------------------------


def _ordered(lf: pl.LazyFrame, column: str, dtype: pl.DataType, metrics: Sequence[Metric], engine: Engine) -> Answers:
    values = lf.select(_value(column, dtype).drop_nulls()).collect(engine=engine).to_series().sort()
    numbers = values.cast(pl.Float64) if dtype.is_decimal() else values
    answers: Answers = {}
    for metric in metrics:
        if metric.kind == "distinct":
            answers[metric] = values.n_unique()
        elif metric.kind == "mode":
            answers[metric] = _mode(values)
        elif metric.kind in ("min", "max"):
            answers[metric] = values[0 if metric.kind == "min" else -1] if len(values) else None
        elif metric.kind in ("zeros", "negatives"):
            answers[metric] = int(((values == 0) if metric.kind == "zeros" else (values < 0)).sum())
        elif metric.kind == "quantile":
            shares = metric.argument if isinstance(metric.argument, tuple) else ()
            answers[metric] = [_quantile(numbers, q) for q in shares]
        else:
            answers[metric] = _histogram(numbers, int(str(metric.argument)))
    return answers


def _mode(values: pl.Series) -> Any:
    if not len(values):
        return None
    runs = values.rle().struct.unnest()
    return runs.filter(pl.col("len") == pl.col("len").max())["value"].min()


def _quantile(values: pl.Series, share: float) -> Any:
    """Linear interpolation between the two neighbours, as in numpy; for times in whole units of their type."""
    if not len(values):
        return None
    place = share * (len(values) - 1)
    low = math.floor(place)
    rest = place - low
    below, above = values[low], values[min(low + 1, len(values) - 1)]
    if values.dtype.is_temporal():
        ends = values.gather([low, min(low + 1, len(values) - 1)])
        first, last = ends.to_physical().to_list()
        return pl.Series([round(first + (last - first) * rest)], dtype=ends.to_physical().dtype).cast(values.dtype)[0]
    if below == above or not rest:
        return float(below)
    if math.isinf(above - below):  # the distance exceeds the range of a float
        return float(below * (1 - rest) + above * rest)
    step = (above - below) * rest
    return float(below + step if rest < 0.5 else above - (above - below) * (1 - rest))


def _histogram(values: pl.Series, bins: int) -> dict[str, Any] | None:
    """Equal bins from min to max, the last one closed; of times in seconds since 1970 (or midnight)."""
    if values.dtype.is_temporal():
        values = seconds(values)
    if not len(values):
        return None
    low, high = float(values[0]), float(values[-1])
    if math.isinf(low) or math.isinf(high):
        values = values.filter(values.cast(pl.Float64).is_finite())
        if not len(values):
            return None
        low, high = float(values[0]), float(values[-1])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = equal_edges.between(low, high, bins)
    inner = pl.Series(edges[1:-1], dtype=pl.Float64)
    cuts = [0, *values.cast(pl.Float64).search_sorted(inner, side="left").to_list(), len(values)]
    return {"edges": edges, "counts": [b - a for a, b in itertools.pairwise(cuts)]}


def seconds(values: pl.Series) -> pl.Series:
    """Times as floating seconds since 1970 (dates, datetimes), midnight (times) or zero (durations)."""
    if isinstance(values.dtype, pl.Date):
        return values.to_physical().cast(pl.Float64) * 86_400
    if isinstance(values.dtype, pl.Time):
        return from_ticks(values.to_physical(), "ns")
    return from_ticks(values.to_physical(), getattr(values.dtype, "time_unit", None))


# -- one group_by a column ------------------------------------------------------------------------------------


def _grouped(
    lf: pl.LazyFrame, column: str, dtype: pl.DataType, metrics: Sequence[Metric], engine: Engine, known: Answers
) -> Answers:
    value = pl.col(column).cast(pl.String) if isinstance(dtype, pl.Categorical | pl.Enum) else _value(column, dtype)
    groups = (
        lf.select(value.alias("value"))
        .drop_nulls()
        .group_by("value")
        .agg(pl.len().cast(pl.Int64).alias("count"))
        .collect(engine=engine)
        .with_columns(_positive_zero(dtype))
    )
    answers: Answers = {Metric(column, "distinct"): groups.height}
    if groups.height <= _FREE_CATEGORIES:
        answers[Metric(column, "categories")] = _categories(groups)
    for metric in metrics:
        if metric.kind == "top":
            answers[metric] = _top(groups, int(str(metric.argument)))
        elif metric.kind == "mode":
            first = _top(groups, 1)
            answers[metric] = first[0][0] if first else None
        elif metric.kind == "categories" and metric not in answers:
            answers[metric] = _categories(groups)
        elif metric.kind == "forms":
            answers[metric] = text_patterns.count(groups["value"])
        elif metric.kind == "nulls":
            answers[metric] = known[Metric("", "rows")] - int(groups["count"].sum())
        elif metric.kind == "lengths":
            size = pl.col("value").cast(pl.String).str.len_chars()
            empty = pl.col("count").filter(size == 0).sum()
            answers[metric] = _lengths(list(groups.select(size.min(), size.max().alias("max"), empty).row(0)))
    return answers


def _positive_zero(dtype: pl.DataType) -> pl.Expr:
    """The values of groups. 0.0 and -0.0 are one group, named by whichever came first: it becomes 0.0."""
    return pl.col("value") + 0.0 if dtype.is_float() else pl.col("value")


def _means(lf: pl.LazyFrame, schema: pl.Schema, metric: Metric, engine: Engine) -> list[tuple[Any, int, float, float]]:
    dtype, other = schema[metric.column], str(metric.argument)
    value = pl.col(metric.column)
    value = value.cast(pl.String) if isinstance(dtype, pl.Categorical | pl.Enum) else _value(metric.column, dtype)
    number = pl.col("number")
    groups = (
        lf.select(value.alias("value"), numeric(other, schema[other]).cast(pl.Float64).alias("number"))
        .drop_nulls()
        .group_by("value")
        .agg(count=pl.len().cast(pl.Int64), mean=steady_sums.mean(number), variance=number.var(ddof=0))
        .collect(engine=engine)
        .with_columns(_positive_zero(dtype))
        .sort("value")
    )
    return list(groups.iter_rows())


def _categories(groups: pl.DataFrame) -> list[Any]:
    return groups["value"].sort().to_list()


def _top(groups: pl.DataFrame, most: int) -> list[tuple[Any, int]]:
    if not groups.height or most < 1:
        return []
    if groups.height > most:
        least = groups["count"].top_k(most).min()
        groups = groups.filter(pl.col("count") >= least)
    found = groups.sort(["count", "value"], descending=[True, False]).head(most)
    return [(value, count) for value, count in found.select("value", "count").iter_rows()]


def _spearman(lf: pl.LazyFrame, schema: pl.Schema, metric: Metric, engine: Engine) -> float | None:
    """Spearman's correlation. Ranks need both columns in memory, so pairs are computed one after another."""
    names = (metric.column, str(metric.argument))
    pair = (
        lf.select(numeric(n, schema[n]).alias(str(i)) for i, n in enumerate(names)).drop_nulls().collect(engine=engine)
    )
    return _finite(pair.select(pl.corr(pl.col("0").rank(), pl.col("1").rank())).item())
