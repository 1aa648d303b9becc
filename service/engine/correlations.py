"""Correlations of many pairs of number columns: Pearson's from sums of products, Spearman's from ranks.

``pl.corr`` passes three times over each pair. One pass for all pairs is enough for columns without nulls: their
numbers are moved near zero by a sample's mean, so that sums of squares and products are precise. Where they are not
(the sample did not show the column), the pair is left to ``pl.corr``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from service.engine import value_ranges
from service.engine.scratch import Engine, Scratch
from service.steps.metric import Metric

_SAMPLE = 10_000
_PRECISE = 1e-3
"""Least share of the variance in the mean square: three of sixteen digits may be lost."""
_WORTH = 3
"""Pairs."""

Numeric = Callable[[str], pl.Expr]
"""A column by its name as numbers without NaN."""


class Products:
    """The sums from which the correlations of ``pairs`` follow, all to be computed in one pass.

    ``columns`` are columns that the frame needs for ``expressions``. ``answers`` takes a row with the values of these.
    """

    def __init__(self, lf: pl.LazyFrame, pairs: Sequence[Metric], numeric: Numeric, engine: Engine) -> None:
        names = sorted({name for pair in pairs for name in _names(pair)})
        if len(pairs) < _WORTH or engine == "in-memory":
            names = []
        self._moved = dict(_moved(lf, names, numeric, engine))
        self.pairs = [pair for pair in pairs if all(name in self._moved for name in _names(pair))]
        prefix = "moved"
        while any(column.startswith(prefix) for column in lf.collect_schema()):
            prefix = f"_{prefix}"
        self._places = {name: f"{prefix} {i}" for i, name in enumerate(self._moved)}
        self.columns = {self._places[name]: expr for name, expr in self._moved.items()}
        self.expressions = [e for place in self.columns for e in self._sums(place)] if self.pairs else []
        self.expressions += [self._product(pair).alias(f"product {i}") for i, pair in enumerate(self.pairs)]

    @staticmethod
    def _sums(place: str) -> tuple[pl.Expr, ...]:
        number = pl.col(place)
        square = (number * number).sum()
        return (
            number.count().alias(f"{place} count"),
            number.sum().alias(f"{place} sum"),
            square.alias(f"{place} square"),
        )

    def _product(self, pair: Metric) -> pl.Expr:
        one, other = (pl.col(self._places[name]) for name in _names(pair))
        return (one * other).sum()

    def answers(self, row: dict[str, Any], rows: int) -> dict[Metric, float | None]:
        """The correlations that are precise; those of constant columns are None."""
        found: dict[Metric, float | None] = {}
        for i, pair in enumerate(self.pairs):
            places = [self._places[name] for name in _names(pair)]
            counts, sums, squares = ([row[f"{p} {what}"] for p in places] for what in ("count", "sum", "square"))
            if counts != [rows, rows] or not rows:
                continue
            if 0.0 in squares:  # all are equal to the sample's mean
                found[pair] = None
                continue
            spreads = [q - s * s / rows for q, s in zip(squares, sums, strict=True)]
            scale = math.sqrt(max(spreads[0], 0.0)) * math.sqrt(max(spreads[1], 0.0))
            precise = all(v > _PRECISE * q for v, q in zip(spreads, squares, strict=True))
            if precise and 0.0 < scale < math.inf:
                found[pair] = (row[f"product {i}"] - sums[0] * sums[1] / rows) / scale
        return {pair: value for pair, value in found.items() if value is None or math.isfinite(value)}


def _names(pair: Metric) -> tuple[str, str]:
    return pair.column, str(pair.argument)


def _moved(
    lf: pl.LazyFrame, names: Sequence[str], numeric: Numeric, engine: Engine
) -> Iterator[tuple[str, pl.Expr]]:  # fmt: skip
    """The columns that have no nulls in their first rows, less the mean of these."""
    if not names:
        return
    head = lf.select(numeric(name).cast(pl.Float64) for name in names).head(_SAMPLE).collect(engine=engine)
    for name in names:
        values = head[name]
        centre = values[0] if len(values) and values.min() == values.max() else values.mean()
        if not values.null_count() and isinstance(centre, float) and math.isfinite(centre):
            yield name, numeric(name).cast(pl.Float64) - centre


def spearman(
    lf: pl.LazyFrame, pair: Metric, numeric: Numeric, engine: Engine, rows: int, scratch: Scratch
) -> float | None:
    """Pearson's correlation of average ranks over complete pairs; of ranges of the values where they do not fit."""
    first, second = (numeric(name).alias(place) for name, place in zip(_names(pair), ("0", "1"), strict=True))
    complete = lf.select(first, second).drop_nulls()
    if rows > scratch.rows(_RANKED):
        return _by_ranges(complete, engine, rows, scratch)
    ranks = complete.collect(engine=engine).select(pl.corr(pl.col("0").rank(), pl.col("1").rank()))
    value = ranks.item()
    return value if value is not None and math.isfinite(value) else None


_RANKED = 64  # bytes: two numbers, their places in order, and ranks


def _by_ranges(complete: pl.LazyFrame, engine: Engine, rows: int, scratch: Scratch) -> float | None:
    """Ranks as whole numbers, twice their distance from the mean rank: their products are added without rounding."""
    with scratch.directory() as folder:
        ranked = _ranked(complete, folder, engine, rows, scratch)
        count = ranked.select(pl.len()).collect(engine=engine).item()
        sums = [0, 0, 0]
        for part, doubled in _parts(ranked, "1", engine, rows, scratch):
            both = part.select(pl.col("rank"), doubled.alias("other"))
            one, other = (pl.col(name).cast(pl.Int128) - (count + 1) for name in ("rank", "other"))
            terms = {"product": one * other, "one": one * one, "other": other * other}
            products = both.select(e.sum().alias(name) for name, e in terms.items())
            sums = [a + b for a, b in zip(sums, products.collect(engine=engine).row(0), strict=True)]
    product, *squares = sums
    return product / math.sqrt(squares[0]) / math.sqrt(squares[1]) if all(squares) else None


def _ranked(complete: pl.LazyFrame, folder: Path, engine: Engine, rows: int, scratch: Scratch) -> pl.LazyFrame:
    """The second column beside twice the ranks of the first, in files."""
    files: list[Path] = []
    for part, doubled in _parts(complete, "0", engine, rows, scratch):
        files.append(folder / f"{len(files)}.arrow")
        part.select(doubled.alias("rank"), "1").sink_ipc(files[-1], engine="streaming")
    return pl.scan_ipc(files) if files else complete.select(pl.lit(0, dtype=pl.Int64).alias("rank"), "1")


def _parts(
    lf: pl.LazyFrame, column: str, engine: Engine, rows: int, scratch: Scratch
) -> Iterator[tuple[pl.LazyFrame, pl.Expr]]:
    """Ranges of the column in order, each with an expression for twice the average ranks of its rows."""
    before = 0
    for part in value_ranges.split(lf, column, rows, scratch.rows(_RANKED), engine):
        if part.single:
            yield part.of(lf), pl.lit(2 * before + part.rows + 1, dtype=pl.Int64)
        else:
            held = part.of(lf).collect(engine=engine)
            yield held.lazy(), (pl.col(column).rank() * 2).cast(pl.Int64) + 2 * before
        before += part.rows
