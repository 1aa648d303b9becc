"""Merged files: files whose rows are in the order of a number are read as one table in this order.

One range of numbers is read from all files and sorted, and then the next one. The sorted merge of Polars does the same
with as many nodes as files, which wait for each other, and holds the rows of most files meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

_MARK = 1_000
"""Rows between two marks, from which ranges are made."""


def scan(files: Sequence[Path], number: str, rows: int) -> pl.LazyFrame:
    """The rows of all files by ``number``, which is left out, some ``rows`` at once."""
    cuts = _cuts(files, number, rows)

    def ranges(
        columns: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        for start, end in itertools.pairwise(cuts):
            parts = [
                pl.scan_parquet(path, glob=False).slice(first, last - first)
                for path, first, last in zip(files, start, end, strict=True)
                if first < last
            ]
            if not parts:
                continue
            lf = pl.concat(parts).sort(number, maintain_order=True)
            lf = lf.drop(number) if columns is None else lf.select(number, *columns).drop(number)  # there may be none
            made = (lf if predicate is None else lf.filter(predicate)).collect(engine="streaming")
            yield made if most is None else made.head(most)
            most = None if most is None else most - made.height
            if most is not None and most <= 0:
                return

    schema = pl.scan_parquet(files[0], glob=False).drop(number).collect_schema()
    return register_io_source(ranges, schema=schema, is_pure=True)


def _cuts(files: Sequence[Path], number: str, rows: int) -> list[tuple[int, ...]]:
    """Where each range begins in each file; the last one is the end of all."""
    scans = [pl.scan_parquet(path, glob=False).select(pl.col(number)) for path in files]
    marks = pl.concat(lf.select(pl.all().gather_every(_MARK)) for lf in scans).collect(engine="streaming")
    bounds = marks.to_series().sort().gather_every(max(1, rows // _MARK)).to_list()[1:]
    before = [pl.lit(0).alias("first"), *((pl.all() < b).sum().alias(str(i)) for i, b in enumerate(bounds)), pl.len()]
    return list(zip(*(lf.select(before).collect(engine="streaming").row(0) for lf in scans), strict=True))
