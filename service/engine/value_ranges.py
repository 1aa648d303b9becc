"""Ranges of the values of a column, in order, each with so few rows that they can be held at once.

Their bounds come from a sample. All ranges are counted in one pass, and one that has too many rows is divided again, so
that a bad sample costs time and no memory. Each bound is a range of its own: rows of one value need not be held.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import polars as pl

from service.engine.scratch import Engine

_SAMPLE = 20_000
_MOST = 256  # ranges of one division; two expressions each


@dataclass(frozen=True)
class Range:
    """``rows`` rows in which ``where`` is true (all if it is None); ``single``: they have the same value."""

    rows: int
    where: pl.Expr | None = None
    single: bool = False

    def of(self, lf: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of the range."""
        return lf if self.where is None else lf.filter(self.where)


def split(lf: pl.LazyFrame, column: str, rows: int, capacity: int, engine: Engine) -> list[Range]:
    """Ranges of a column without nulls, in ascending order; none has more than ``capacity`` rows but single values.

    ``rows`` may be too large a number if there is only one range.
    """
    if rows <= capacity:
        return [Range(rows)]
    value = pl.col(column).to_physical()
    return _Division(lf, value, lf.select(value).collect_schema()[column], capacity, engine).ranges()


class _Division:
    def __init__(
        self, lf: pl.LazyFrame, value: pl.Expr, dtype: pl.DataType, capacity: int, engine: Engine
    ) -> None:  # fmt: skip
        self._lf, self._value, self._dtype, self._capacity, self._engine = lf, value, dtype, capacity, engine

    def ranges(self) -> list[Range]:
        count = self._lf.select(pl.len()).collect(engine=self._engine).item()
        return self._between(None, None, count)

    def _between(self, low: Any, high: Any, rows: int) -> list[Range]:
        """The values between two others, which are not included; None leaves the side open."""
        inside = Range(rows, self._inside(low, high))
        if rows <= self._capacity:
            return [inside] if rows else []
        lf = inside.of(self._lf)
        bounds = self._bounds(lf, rows)
        asked = [e for b in bounds for e in ((self._value < self._literal(b)).sum(), self._equal(b).sum())]
        counts = lf.select(e.alias(str(i)) for i, e in enumerate(asked)).collect(engine=self._engine).row(0)
        below, equal = [*counts[::2], rows], [0, *counts[1::2]]
        first = [0, *(b + e for b, e in zip(below, equal[1:], strict=False))]
        found: list[Range] = []
        for i, (start, end) in enumerate(itertools.pairwise([low, *bounds, high])):
            if i:
                found.append(Range(equal[i], self._equal(start), single=True))
            found.extend(self._between(start, end, below[i] - first[i]))
        return found

    def _bounds(self, lf: pl.LazyFrame, rows: int) -> list[Any]:
        """Values of a sample that divide the rows into about equal parts, of three quarters of what fits."""
        taken = self._value.gather_every(max(1, rows // _SAMPLE))
        sample = lf.select(taken).collect(engine=self._engine).to_series().sort()
        parts = min(_MOST, len(sample) + 1, 1 + rows * 4 // (self._capacity * 3))
        places = sorted({len(sample) * i // parts for i in range(1, parts)} or {0})
        return sample.gather(places).unique(maintain_order=True).to_list()

    def _inside(self, low: Any, high: Any) -> pl.Expr | None:
        above = None if low is None else self._value > self._literal(low)
        below = None if high is None else self._value < self._literal(high)
        return below if above is None else above if below is None else above & below

    def _equal(self, bound: Any) -> pl.Expr:
        return self._value == self._literal(bound)

    def _literal(self, bound: Any) -> pl.Expr:
        return pl.lit(bound, dtype=self._dtype)
