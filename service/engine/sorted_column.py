"""Metrics of a column of numbers or times whose values are sorted: quantile, histogram, distinct, mode, extremes.

The column is collected alone and sorted once, which is cheaper than ``quantile`` and ``n_unique`` one by one; where it
does not fit in memory, one range of its values after another.
"""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from service.engine import value_ranges
from service.engine.scratch import Engine, Scratch
from service.steps.metric import Metric
from service.values import equal_edges
from service.values.seconds import from_ticks

_HELD = 3  # copies of the values: as they were read, in one piece, and sorted
_COARSE = 65_536
_GREATEST = 1.7976931348623157e308

Ends = tuple[float | None, float | None]


def answer(
    lf: pl.LazyFrame, column: str, dtype: pl.DataType, metrics: Sequence[Metric], engine: Engine, rows: int,
    scratch: Scratch, ends: Ends | None = None,
) -> dict[Metric, Any]:  # fmt: skip
    """The answers to metrics of one column, which has at most ``rows`` values. NaN is not a value.

    ``ends`` of a histogram are the least and the greatest finite value, if these are not those of the column.
    """
    value = pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)
    values = lf.select(value.alias(column)).drop_nulls()
    size = 16 if dtype.is_decimal() else 8
    ranges = value_ranges.split(values, column, rows, scratch.rows(_HELD * size), engine)
    accounts = [_ACCOUNTS[m.kind](dtype, m.argument) for m in metrics]
    if len(ranges) == 1:
        run = _Run(ranges[0].of(values).collect(engine=engine).to_series().sort())
        whole = Whole(len(run.values), *(ends or _finite_ends(run.values)))
        runs = iter([run])
    else:
        finite = values.filter(pl.col(column).is_finite()) if dtype.is_float() else values
        extremes = finite.select(pl.col(column).min().alias("low"), pl.col(column).max().alias("high"))
        low, high = (floats(s)[0] for s in extremes.collect(engine=engine).get_columns())
        whole = Whole(sum(r.rows for r in ranges), low, high)
        runs = (_run(r, values, engine) for r in ranges)
    for account in accounts:
        account.begin(whole)
    for run in runs:
        for account in accounts:
            account.add(run)
    return {metric: account.result() for metric, account in zip(metrics, accounts, strict=True)}


def _run(part: value_ranges.Range, values: pl.LazyFrame, engine: Engine) -> _Run:
    if part.single:
        return _Run(part.of(values).head(1).collect(engine=engine).to_series(), part.rows)
    return _Run(part.of(values).collect(engine=engine).to_series().sort())


@dataclass(frozen=True)
class Whole:
    """What is known of all values before the first: their number, and the least and greatest finite one as a float."""

    count: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _Run:
    """Sorted values; each stands for ``times`` of them."""

    values: pl.Series
    times: int = 1

    @property
    def count(self) -> int:
        return len(self.values) * self.times


def floats(values: pl.Series) -> pl.Series:
    """Numbers as floats; times as ``seconds``."""
    return seconds(values) if values.dtype.is_temporal() else values.cast(pl.Float64)


def seconds(values: pl.Series) -> pl.Series:
    """Times as floating seconds since 1970 (dates, datetimes), midnight (times) or zero (durations)."""
    if isinstance(values.dtype, pl.Date):
        return values.to_physical().cast(pl.Float64) * 86_400
    if isinstance(values.dtype, pl.Time):
        return from_ticks(values.to_physical(), "ns")
    return from_ticks(values.to_physical(), getattr(values.dtype, "time_unit", None))


def below(values: pl.Series, bounds: Sequence[float]) -> list[int]:
    """How many of the sorted values are less than each bound, as floats. Only few of many values are converted."""
    step = max(1, len(values) // _COARSE)
    keys = pl.Series(bounds, dtype=pl.Float64)
    places: list[int] = floats(values.gather_every(step)).search_sorted(keys, side="left").to_list()
    if step == 1:
        return places
    starts = [max(0, place - 1) * step for place in places]
    blocks = (floats(values.slice(start, step)) for start in starts)
    return [
        start + int(block.search_sorted(bound, side="left"))
        for start, block, bound in zip(starts, blocks, bounds, strict=True)
    ]


def _finite_ends(values: pl.Series) -> Ends:
    start, end = below(values, [-_GREATEST, math.inf])
    if start == end:
        return None, None
    low, high = floats(values.gather([start, end - 1]))
    return low, high


# -- accounts: what is kept of the runs, one kind of metric each --------------------------------------------------


class _Account(abc.ABC):
    """Takes the runs of a column in ascending order."""

    def __init__(self, dtype: pl.DataType, argument: Any) -> None:
        self._dtype, self._argument = dtype, argument
        self.found: Any = None

    def begin(self, whole: Whole) -> None:  # noqa: B027  # most need nothing of it
        """Called before the first run."""

    @abc.abstractmethod
    def add(self, run: _Run) -> None:
        """Called with each run."""

    def result(self) -> Any:
        return self.found


class _Distinct(_Account):
    found: int

    def begin(self, whole: Whole) -> None:
        self.found = 0

    def add(self, run: _Run) -> None:
        self.found += run.values.n_unique()


class _Mode(_Account):
    """The most frequent value; the least of several."""

    _most = 0

    def add(self, run: _Run) -> None:
        if not run.count:
            return
        runs = run.values.rle().struct.unnest()
        most = int(runs["len"].max()) * run.times  # type: ignore[arg-type]  # of whole numbers
        if most > self._most:
            self._most = most
            self.found = runs.filter(pl.col("len") == pl.col("len").max())["value"].min()


class _Least(_Account):
    def add(self, run: _Run) -> None:
        if self.found is None and run.count:
            self.found = run.values[0]


class _Greatest(_Account):
    def add(self, run: _Run) -> None:
        if run.count:
            self.found = run.values[-1]


class _Zeros(_Account):
    def begin(self, whole: Whole) -> None:
        self.found = 0

    def add(self, run: _Run) -> None:
        self.found += int((run.values == 0).sum()) * run.times


class _Negatives(_Zeros):
    def add(self, run: _Run) -> None:
        self.found += int((run.values < 0).sum()) * run.times


class _Quantiles(_Account):
    """Linear interpolation between the two neighbours, as in numpy; for times in whole units of their type."""

    def begin(self, whole: Whole) -> None:
        self._shares: tuple[float, ...] = self._argument if isinstance(self._argument, tuple) else ()
        self._last = whole.count - 1
        self._missing = sorted({place for share in self._shares for place in self._neighbours(share)})
        self._known: dict[int, Any] = {}
        self._seen = 0

    def _neighbours(self, share: float) -> tuple[int, ...]:
        low = math.floor(share * self._last)
        return (low, min(low + 1, self._last)) if self._last >= 0 else ()

    def add(self, run: _Run) -> None:
        here = list(itertools.takewhile(lambda place: place < self._seen + run.count, self._missing))
        if here:
            picked = run.values.gather([(place - self._seen) // run.times for place in here])
            picked = picked.cast(pl.Float64) if self._dtype.is_decimal() else picked.to_physical()
            self._known.update(zip(here, picked.to_list(), strict=True))
            self._missing = self._missing[len(here) :]
        self._seen += run.count

    def result(self) -> Any:
        return [self._interpolated(share) for share in self._shares]

    def _interpolated(self, share: float) -> Any:
        if self._last < 0:
            return None
        place = share * self._last
        rest = place - math.floor(place)
        first, last = (self._known[at] for at in self._neighbours(share))
        if self._dtype.is_temporal():
            ticks = pl.Series([0], dtype=self._dtype).to_physical().dtype
            return pl.Series([round(first + (last - first) * rest)], dtype=ticks).cast(self._dtype)[0]
        if first == last or not rest:
            return float(first)
        if math.isinf(last - first):  # the distance exceeds the range of a float
            return float(first * (1 - rest) + last * rest)
        step = (last - first) * rest
        return float(first + step if rest < 0.5 else last - (last - first) * (1 - rest))


class _Histogram(_Account):
    """Equal bins from the least to the greatest finite value, the last one closed; of times in seconds."""

    def begin(self, whole: Whole) -> None:
        if whole.low is None or whole.high is None:
            return
        low, high = (whole.low, whole.high) if whole.low < whole.high else (whole.low - 0.5, whole.high + 0.5)
        edges = equal_edges.between(low, high, int(self._argument))
        self.found = {"edges": edges, "counts": [0] * (len(edges) - 1)}

    def add(self, run: _Run) -> None:
        if self.found is not None:
            cuts = below(run.values, [-_GREATEST, *self.found["edges"][1:-1], math.inf])
            counts = ((b - a) * run.times for a, b in itertools.pairwise(cuts))
            self.found["counts"] = [sum(pair) for pair in zip(self.found["counts"], counts, strict=True)]


_ACCOUNTS: dict[str, Callable[[pl.DataType, Any], _Account]] = {
    "distinct": _Distinct, "mode": _Mode, "min": _Least, "max": _Greatest, "zeros": _Zeros, "negatives": _Negatives,
    "quantile": _Quantiles, "histogram": _Histogram,
}  # fmt: skip
