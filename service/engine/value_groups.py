"""Metrics of a column whose values are grouped: top, distinct, mode, categories, forms, lengths, nulls.

One ``group_by`` answers them all. A group takes some memory: where those of all distinct values do not fit, the values
are partitioned by hash, and one partition is grouped after another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from service.engine import hash_partitions, plan_columns, steady_sums, text_patterns
from service.engine.scratch import Engine, Scratch
from service.steps.metric import Metric
from service.values.too_large import TooLarge, mebibytes

Answers = dict[Metric, Any]
FREE_CATEGORIES = 1_000
_OF_CATEGORIES = frozenset({"categories"})
_GROUP = 120
"""Bytes of a group beside its text (measured). Polars also holds the texts of all rows whose groups are not hot."""
_FEW = 1_000  # distinct values of a sample, which stay hot
_HEAD, _HEAD_CELLS, _SAMPLE = 10_000, 1_000_000, 100_000
_MARGIN = 1.25
CATEGORY, CATEGORY_BESIDE, CATEGORY_WIDTH = 180, 600, 4
"""Bytes of a category that a step is fitted with: alone, with a number, and for each byte of its text (measured: 190,
700 and 5): as a value of Python, in the plan, in the fit record and in the parameters of the version."""
MOST = 1 << 40
"""A metric that asks for more of the most frequent values asks for all."""
_FEW_CATEGORIES = 100_000
"""What these take, each run has."""


def value(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as keys of groups: NaN is not a value, categories are texts."""
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.col(column).cast(pl.String)
    return pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)


def positive_zero(dtype: pl.DataType) -> pl.Expr:
    """The values of groups. 0.0 and -0.0 are one group, named by whichever came first: it becomes 0.0.

    Polars leaves out an addition of 0.0 as if it changed nothing.
    """
    values = pl.col("value")
    return (
        pl.when(values == 0).then(pl.lit(0, dtype=dtype)).otherwise(values).alias("value")
        if dtype.is_float()
        else values
    )


def answer(
    lf: pl.LazyFrame, column: str, dtype: pl.DataType, metrics: Sequence[Metric], engine: Engine, rows: int,
    scratch: Scratch, length: int = 0,
) -> Answers:  # fmt: skip
    """The answers to metrics of one column of a frame with ``rows`` rows, and those that cost nothing.

    Its first values have ``length`` bytes on average (``lengths``).
    """
    kinds = {metric.kind for metric in metrics}
    values = lf.select(value(column, dtype).alias("value"))
    bounds = [metric.argument for metric in metrics if metric.kind == "categories"]
    if kinds <= _OF_CATEGORIES and bounds and None not in bounds:
        return _few_categories(values, dtype, metrics, engine)
    most = max((_most(metric) for metric in metrics), default=0)
    account = _Account(most, forms="forms" in kinds, lengths="lengths" in kinds, categories=None in bounds)
    for groups in _groups(values, engine, rows, scratch, length):
        account.add(groups.with_columns(positive_zero(dtype)))
        if None in bounds:
            require_room(column, account.distinct, CATEGORY, length, scratch)
        if most >= account.distinct:
            require_room(column, account.distinct, CATEGORY_BESIDE, length, scratch)
    answers: Answers = {Metric(column, "distinct"): account.distinct}
    if (categories := account.categories()) is not None:
        answers[Metric(column, "categories")] = categories
    for metric in metrics:
        if metric.kind == "top":
            answers[metric] = account.top(_most(metric))
        elif metric.kind == "categories" and metric.argument is not None:
            answers[metric] = at_most(categories, metric)
        elif metric.kind == "mode":
            answers[metric] = next((value for value, _ in account.top(1)), None)
        elif metric.kind == "forms":
            answers[metric] = account.forms()
        elif metric.kind == "nulls":
            answers[metric] = rows - account.count
        elif metric.kind == "lengths":
            answers[metric] = account.lengths()
    return answers


def at_most(categories: list[Any] | None, metric: Metric) -> list[Any] | None:
    """The categories, None if there are more than the metric wants."""
    return categories if categories is not None and len(categories) <= int(str(metric.argument)) else None


def require_room(column: str, categories: int, each: int, length: int, scratch: Scratch) -> None:
    """Raise ``TooLarge`` where categories, with ``each`` bytes and a text, are more than a step can be fitted with."""
    size = categories * (each + CATEGORY_WIDTH * length)
    if categories > _FEW_CATEGORIES and size > scratch.left():
        cause = (
            f"column '{column}' has at least {categories} values that differ; as categories they take {mebibytes(size)}"
        )
        raise TooLarge(cause, column=column, needed_bytes=size)


def _few_categories(values: pl.LazyFrame, dtype: pl.DataType, metrics: Sequence[Metric], engine: Engine) -> Answers:
    """The categories as far as they are wanted: reading ends after one more."""
    most = max(int(str(m.argument)) for m in metrics if m.kind == "categories")
    first = values.drop_nulls().unique(keep="first", maintain_order=True).head(most + 1)
    found = first.with_columns(positive_zero(dtype)).collect(engine=engine).to_series().sort().to_list()
    return {metric: at_most(found, metric) for metric in metrics}


def lengths(lf: pl.LazyFrame, schema: pl.Schema, columns: Iterable[str], engine: Engine) -> dict[str, int]:
    """The mean length in bytes of the first values of those columns that are texts, in one query."""
    texts = {c: value(c, schema[c]) for c in columns if isinstance(schema[c], pl.String | pl.Categorical | pl.Enum)}
    if not texts or engine == "in-memory":
        return {}
    head = lf.head(max(100, min(_HEAD, _HEAD_CELLS // len(texts))))
    return {text.name: _length(text) for text in head.select(texts.values()).collect(engine=engine)}


def means(
    lf: pl.LazyFrame, metric: Metric, dtype: pl.DataType, number: pl.Expr, engine: Engine, rows: int, scratch: Scratch,
    length: int,
) -> list[tuple[Any, int, float, float]]:  # fmt: skip
    """Each value with the count, the mean and the variance of ``number`` over its rows, in order."""
    pairs = lf.select(value(metric.column, dtype).alias("value"), number.cast(pl.Float64).alias("number")).drop_nulls()
    found, of_group = [], pl.col("number")
    total = 0
    for part in _partitions(pairs, engine, rows, scratch, length):
        aggregates = {
            "count": pl.len().cast(pl.Int64),
            "mean": steady_sums.mean(of_group),
            "variance": of_group.var(ddof=0),
        }
        found.append(part.group_by("value").agg(**aggregates).collect(engine=engine))
        total += found[-1].height
        require_room(metric.column, total, CATEGORY_BESIDE, length, scratch)
    return list(pl.concat(found).with_columns(positive_zero(dtype)).sort("value").iter_rows())


def _most(metric: Metric) -> int:
    return int(str(metric.argument)) if metric.kind == "top" else int(metric.kind == "mode")


def _groups(lf: pl.LazyFrame, engine: Engine, rows: int, scratch: Scratch, length: int) -> Iterator[pl.DataFrame]:
    """All values but nulls with their counts, as frames of ``value`` and ``count`` that share no value."""
    for part in _partitions(lf.drop_nulls(), engine, rows, scratch, length):
        groups = part.group_by("value").agg(pl.len().cast(pl.Int64).alias("count"))
        yield groups.collect(engine=engine)


def _partitions(
    values: pl.LazyFrame, engine: Engine, rows: int, scratch: Scratch, length: int
) -> Iterator[pl.LazyFrame]:
    """The rows in parts that share no ``value``, each of which can be grouped at once."""
    fits = engine == "in-memory" or rows <= scratch.rows(_GROUP + 3 * length)  # texts that follow may be longer
    parts = 1 if fits else _parts(values, engine, rows, scratch)
    yield from [values] if parts == 1 else hash_partitions.split(values, pl.col("value").hash(), parts, scratch)


def _parts(values: pl.LazyFrame, engine: Engine, rows: int, scratch: Scratch) -> int:
    """In how many parts the values can be grouped: one, unless a sample shows that so much may not be held."""
    step = max(1, rows // _SAMPLE)
    sampled = values.select(pl.col("value").gather_every(step))
    sample = sampled.with_columns(plan_columns.copied(sampled.collect_schema())).collect(engine=engine).to_series()
    counts, length, number = sample.value_counts()["count"], _length(sample), len(sample) * step
    held = min(number, likely(counts, rows)) * (_GROUP + length)
    if len(counts) > _FEW:
        held += number * length
    return math.ceil(_MARGIN * held / scratch.rows(1)) or 1


def _length(values: pl.Series) -> int:
    """The mean length of texts in bytes."""
    values = values.drop_nulls()
    lengths = values.str.len_bytes() if isinstance(values.dtype, pl.String) else pl.Series([0])
    return int(lengths.sum()) // max(1, len(lengths))


def likely(counts: pl.Series, rows: int) -> float:
    """A number that the distinct values of ``rows`` rows hardly exceed, from the counts of those in a sample.

    The share of rows whose value is not in a sample is about that of its rows whose value is there once.
    """
    once = int((counts == 1).sum())
    return len(counts) + rows * (once + 3 * math.sqrt(once) + 9) / max(1, int(counts.sum()))


class _Account:
    """What is kept of the groups of one part after another."""

    def __init__(self, most: int, *, forms: bool, lengths: bool, categories: bool) -> None:
        self._most, self._forms, self._lengths, self._all = most, forms, lengths, categories
        self.distinct = self.count = 0
        self._tops: list[pl.DataFrame] = []
        self._texts: list[pl.Series] = []
        self._sizes: list[pl.DataFrame] = []
        self._values: list[pl.Series] = []

    def add(self, groups: pl.DataFrame) -> None:
        self.distinct += groups.height
        self.count += int(groups["count"].sum())
        self._tops.append(_frequent(groups, self._most))
        if self._forms:
            self._texts.append(text_patterns.sample(groups["value"]))
        if self._lengths:
            size = pl.col("value").cast(pl.String).str.len_chars()
            empty = pl.col("count").filter(size == 0).sum()
            self._sizes.append(groups.select(size.min().alias("min"), size.max().alias("max"), empty.alias("empty")))
        if self._all or self.distinct <= FREE_CATEGORIES:
            self._values.append(groups["value"])

    def top(self, most: int) -> list[tuple[Any, int]]:
        """The most frequent values, the least of equally frequent ones first."""
        return list(_frequent(pl.concat(self._tops), most).iter_rows())

    def forms(self) -> dict[str, int]:
        return text_patterns.count(pl.concat(self._texts))

    def lengths(self) -> dict[str, Any]:
        sizes = pl.concat(self._sizes).select(pl.min("min"), pl.max("max"), pl.sum("empty"))
        return sizes.row(0, named=True)

    def categories(self) -> list[Any] | None:
        """All values, if they were asked for or are few."""
        if not self._all and self.distinct > FREE_CATEGORIES:
            return None
        return pl.concat(self._values).sort().to_list()


def _frequent(groups: pl.DataFrame, most: int) -> pl.DataFrame:
    if groups.height > most > 0:
        least = groups["count"].top_k(most).min()
        groups = groups.filter(pl.col("count") >= least)
    return groups.sort(["count", "value"], descending=[True, False]).head(most)
