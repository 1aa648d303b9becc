"""Parts of a Parquet file: scans of some row groups each, which tasks read beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

ROWS = 8 * 122_880
"""Rows of a part, which one task holds in an exchange: whole row groups of the files that we write."""


def of(path: Path) -> list[pl.LazyFrame]:
    """The scans, of which each has ``ROWS`` rows; the last one has the rest."""
    scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    rows = int(scan.select(pl.len()).collect().item())  # from the footer
    return [scan if height == rows else scan.slice(at, height) for at, height in slices(rows)] or [scan]


def groups(rows: int, group: int) -> Iterator[tuple[int, int]]:
    """The rows in whole row groups of ``group`` rows, about ``ROWS`` at once: where they begin, and how many."""
    size = max(1, ROWS // group) * group
    return ((at, min(size, rows - at)) for at in range(0, max(rows, 1), size))


def between(parts: Sequence[pl.LazyFrame], heights: Sequence[int], first: int, rows: int) -> pl.LazyFrame:
    """So many rows from the row ``first`` on, of ``parts`` with these ``heights``."""
    found, begin = list[pl.LazyFrame](), 0
    for part, height in zip(parts, heights, strict=True):
        at, end = max(first - begin, 0), min(first + rows - begin, height)
        if at < end:
            found.append(part if end - at == height else part.slice(at, end - at))
        begin += height
    return pl.concat(found or [parts[0].clear()])


def slices(rows: int) -> Iterator[tuple[int, int]]:
    """Where each part begins, and how many rows it has."""
    return ((at, min(ROWS, rows - at)) for at in range(0, rows, ROWS))
