"""Tally: the counts of a comparison, and the rows that it shows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import polars as pl

from service.jobs.comparison.pairs import ROW, Pairs, SideName


@dataclass
class ColumnSums:
    """Missing values, and the sums and the number of the others, of one column in one version."""

    missing: int = 0
    count: int = 0
    sums: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float | None:
        """The mean of the values that are not missing; None if it is not a finite number."""
        total = math.fsum(self.sums) if all(map(math.isfinite, self.sums)) else math.nan
        return total / self.count if self.count and math.isfinite(total) else None


class RowSample:
    """The first ``limit`` of some rows, by their numbers in the column ``by``."""

    def __init__(self, limit: int, by: str) -> None:
        self._limit = limit
        self._by = by
        self._rows: pl.DataFrame | None = None

    def add(self, rows: pl.DataFrame, wanted: pl.Series) -> None:
        """Keep the first of those of these rows that are ``wanted``."""
        places = wanted.arg_true()
        if not self._limit or not len(places):
            return
        numbers = rows[self._by].gather(places)
        if self._rows is not None and self._rows.height >= self._limit and numbers.min() > self._rows[self._by][-1]:
            return
        found = rows[places.gather(numbers.arg_sort().head(self._limit))]
        both = found if self._rows is None else pl.concat([self._rows, found])
        self._rows = both.sort(self._by).head(self._limit).rechunk()

    @property
    def rows(self) -> pl.DataFrame | None:
        """The rows in their order; None if there are none."""
        return self._rows


class Tally:
    """Counts of rows and values of both versions."""

    def __init__(self, pairs: Pairs, limit: int) -> None:
        self._pairs = pairs
        self._differ = pairs.differ()
        self.rows: Counter[SideName] = Counter()
        self.paired = 0
        self.changed_rows = 0
        self.changed: Counter[int] = Counter()
        self.sums = {(side, i): ColumnSums() for side in ROW for i in range(len(pairs.columns))}
        self.limit = limit
        self.unpaired: dict[SideName, pl.Series] = {side: pl.Series([], dtype=pl.Int64) for side in ROW}
        """The numbers of the first rows of each version that have no pair."""
        self.samples = RowSample(limit, ROW["a"])

    def read(self, side: SideName, batch: pl.DataFrame) -> None:
        """Count the rows of a batch of one version, and measure its columns."""
        self.rows[side] += batch.height
        present = [(i, t) for i, p in enumerate(self._pairs.columns) if (t := p.type_in(side)) is not None]
        wanted = [expression for i, dtype in present for expression in _sums(f"{side}{i}", dtype)]
        found = batch.lazy().select(wanted).collect(engine="in-memory").row(0, named=True)
        for i, dtype in present:
            sums, missing = self.sums[side, i], found[f"missing {side}{i}"]
            sums.missing += missing
            if dtype.is_numeric():
                sums.count += batch.height - missing
                sums.sums.append(found[f"sum {side}{i}"])

    def pair(self, rows: pl.DataFrame) -> None:
        """Rows of both versions with one key."""
        differing = self._count(rows, self._differ)
        if differing is not None:
            self.samples.add(rows, differing)

    def pair_columns(self, rows: pl.DataFrame, columns: Collection[int]) -> None:
        """As ``pair``, with rows that differ only in some columns, and that are not shown."""
        self._count(rows, self._pairs.differ(columns))

    def _count(self, rows: pl.DataFrame, differ: Sequence[pl.Expr]) -> pl.Series | None:
        """Count the pairs and their changes; answers which of them differ, None if all are equal."""
        flags = rows.lazy().select(differ).collect(engine="in-memory")
        self.paired += rows.height
        counts = flags.sum().row(0) if flags.width else ()
        if not any(counts):
            return None
        for name, count in zip(flags.columns, counts, strict=True):
            self.changed[int(name)] += count
        differing = flags.select(pl.any_horizontal(pl.all())).to_series()
        self.changed_rows += int(differing.sum())
        return differing

    def same(self, count: int) -> None:
        """So many pairs of equal rows."""
        self.paired += count

    def leave(self, side: SideName, numbers: pl.Series) -> None:
        """Rows that have no pair in the other version, by their numbers."""
        known = self.unpaired[side]
        self.unpaired[side] = pl.concat([known, numbers.bottom_k(self.limit)]).sort().head(self.limit)


def _sums(name: str, dtype: pl.DataType) -> list[pl.Expr]:
    column = pl.col(name).fill_nan(None) if dtype.is_float() else pl.col(name)
    missing = column.null_count().alias(f"missing {name}")
    return [missing, column.cast(pl.Float64).sum().alias(f"sum {name}")] if dtype.is_numeric() else [missing]
