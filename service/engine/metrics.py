"""Metrics over a Polars plan, exact and with little memory.

There are four kinds of query. All stream, and the expensive ones take one column at a time (so does their memory):

* one pass for all plain aggregates and all correlations together;
* *ordered* kinds of numbers and times (quantile, histogram, distinct, mode): ``sorted_column``;
* *grouped* kinds of all other types (top, distinct, mode, categories, forms): ``value_groups``;
* duplicates: 0 where a column is a key, otherwise ``duplicates.count``.

What these hold grows with the rows. Where it would not fit (``scratch``), they do it in parts, with the same result.

NaN is not a value: statistics leave it out, ``nan`` counts it, ``nulls`` does not. Infinite values are kept.
Decimals are floats in everything but min, max, sum, mode, top and categories.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import polars as pl

from service.engine import correlations, sorted_column, value_groups
from service.engine import duplicates as duplicate_rows
from service.engine.scratch import PLENTY, Engine, Scratch
from service.steps.metric import Metric

Answers = dict[Metric, Any]
T = TypeVar("T")

_ORDERED = frozenset({"quantile", "histogram"})
_GROUPED = frozenset({"top", "categories", "forms"})
_EITHER = frozenset({"distinct", "mode"})
_FREE_IN_ORDER = frozenset({"min", "max", "zeros", "negatives"})  # free where a column is sorted anyway
_FREE_IN_GROUPS = frozenset({"lengths", "nulls"})
_AT_ONCE = 250_000
_AT_ONCE_WIDE = 16  # times as many: a query of a wide frame takes as long as sorting so much
_NARROW = 100
_A_PASS = 500
"""Columns that a pass reads: of thousands the scan would hold several row groups whole."""
_TWO = 400
"""Bytes of a row, if two columns are read at once: values as they were read, sorted, and groups with their texts."""
_CELL = 64  # bytes
"""Cells of columns that are read by one query; a frame with more than ``_NARROW`` columns is wide."""


def answer(
    lf: pl.LazyFrame, schema: pl.Schema, metrics: Iterable[Metric], *, engine: Engine = "streaming",
    scratch: Scratch = PLENTY, done: Callable[[int, int], None] = lambda done, total: None,
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
        elif metric.kind == "distinct" and isinstance(dtype, pl.Boolean):
            plain.append(metric)
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
    answers = _plain(lf, schema, [*together, Metric("", "rows")], engine)
    rows = answers[Metric("", "rows")]
    columns = [*ordered, *(c for c in grouped if c not in ordered)]
    first = 1 + len(columns) // 2  # the pass over all columns costs as much as half of them
    total = first + len(columns) + len(alone) + len(duplicates)
    counted = itertools.count(first)
    done(next(counted), total)
    lengths = value_groups.lengths(lf, schema, grouped, engine)

    def of_column(part: pl.LazyFrame, column: str, how: Engine) -> Answers:
        dtype, common = schema[column], (how, rows, scratch)
        found: Answers = {}
        if column in ordered:
            found |= sorted_column.answer(part, column, dtype, ordered[column], *common)
        if column in grouped:
            found |= value_groups.answer(part, column, dtype, grouped[column], *common, lengths.get(column, 0))
        return found

    asked = ((part, c, how) for part, names, how in _parts(lf, columns, rows, engine, scratch) for c in names)
    for found in (
        _two_at_once(of_column, asked) if _AT_ONCE < rows <= scratch.rows(_TWO) else itertools.starmap(of_column, asked)
    ):
        answers |= found
        done(next(counted), total)
    for metric in alone:
        if metric.kind == "means":
            dtype, other = schema[metric.column], str(metric.argument)
            length = value_groups.lengths(lf, schema, [metric.column], engine).get(metric.column, 0)
            answers[metric] = value_groups.means(
                lf, metric, dtype, numeric(other, schema[other]), engine, rows, scratch, length
            )
        else:
            answers[metric] = correlations.spearman(lf, metric, _numeric(schema), engine, rows, scratch)
        done(next(counted), total)
    for metric in duplicates:
        keyed = any(answers.get(Metric(column, "distinct")) == rows for column in schema)
        answers[metric] = 0 if keyed or rows < 2 else duplicate_rows.count(lf, schema, engine, rows, scratch)
        done(next(counted), total)
    return answers


def _two_at_once(work: Callable[..., T], asked: Iterable[tuple[Any, ...]]) -> Iterator[T]:
    """The results in order. A query of one column leaves a core idle half of the time."""
    with ThreadPoolExecutor(2) as threads:
        yield from threads.map(lambda given: work(*given), asked)


def _parts(
    lf: pl.LazyFrame, columns: list[str], rows: int, engine: Engine, scratch: Scratch
) -> Iterator[tuple[pl.LazyFrame, list[str], Engine]]:
    """The columns in parts, as (frame, columns, engine): one at a time, or several short ones from memory.

    The cost of a query grows with the columns of the frame, so thousands of queries of one column would take minutes.
    """
    cells = _AT_ONCE if len(columns) <= _NARROW else _AT_ONCE * _AT_ONCE_WIDE
    size = max(1, min(cells, scratch.rows(_CELL)) // max(1, rows))
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


def _numeric(schema: pl.Schema) -> correlations.Numeric:
    return lambda column: numeric(column, schema[column])


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
    "distinct": lambda c, t: pl.col(c).any().cast(pl.UInt32) + (~pl.col(c)).any().cast(pl.UInt32),  # of booleans
}


def _plain(lf: pl.LazyFrame, schema: pl.Schema, metrics: Sequence[Metric], engine: Engine) -> Answers:
    wanted = dict.fromkeys(metrics)
    products = correlations.Products(lf, [m for m in wanted if m.kind == "corr"], _numeric(schema), engine)
    others = [m for m in wanted if m not in products.pairs]
    columns = [*dict.fromkeys(m.column for m in others)]
    passes = [frozenset(columns[at : at + _A_PASS]) for at in range(0, len(columns), _A_PASS)]
    first, *rest = ([m for m in others if m.column in names] for names in passes)
    answers, row = _selected(lf.with_columns(**products.columns), schema, first, engine, products.expressions)
    for more in rest:
        answers |= _selected(lf, schema, more, engine)[0]
    answers |= products.answers(row, answers[Metric("", "rows")])
    left = [pair for pair in products.pairs if pair not in answers]
    return answers | _selected(lf, schema, left, engine)[0] if left else answers


def _selected(
    lf: pl.LazyFrame, schema: pl.Schema, metrics: Sequence[Metric], engine: Engine, more: Sequence[pl.Expr] = ()
) -> tuple[Answers, dict[str, Any]]:
    """The answers of one pass, and its row, in which there are the values of ``more``, too."""
    asked = {metric: _expressions(metric, schema) for metric in metrics}
    different = {str(e): e for found, _ in asked.values() for e in found}  # a deviation is the root of a variance
    named = [e.alias(text) for text, e in different.items()]
    row = lf.select(*named, *more).collect(engine=engine).row(0, named=True)
    return {metric: read([row[str(e)] for e in found]) for metric, (found, read) in asked.items()}, row


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
        return [size.min(), size.max(), (size == 0).sum()], lambda v: dict(zip(("min", "max", "empty"), v, strict=True))
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
