"""Rows of a version: its parts as one lazy table, read in batches of bounded size in stored order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from pyarrow import parquet

_LEAST_ROWS, _MOST_ROWS = 1_000, 262_144
_HELD = 16
"""How many batches the comparison holds at once, of both versions, with copies."""
_SAMPLE = 1_000


def schema_of(parts: Sequence[str]) -> pl.Schema:
    """The columns of a version, with types that hold the values of all its parts."""
    schemas = [pl.read_parquet_schema(part) for part in parts]
    if all(schema == schemas[0] for schema in schemas):
        return pl.Schema(schemas[0])
    return pl.concat([pl.LazyFrame(schema=s) for s in schemas], how="diagonal_relaxed").collect_schema()


# pyarrow ships no types.
_metadata: Any = parquet.read_metadata


@dataclass(frozen=True)
class VersionRows:
    """The rows of some parts of a version with the columns of ``schema``; a column that a part lacks is null there."""

    parts: Sequence[str]
    schema: pl.Schema

    @property
    def lazy(self) -> pl.LazyFrame:
        """All rows as one lazy table."""
        scans = [self._scan(part) for part in self.parts]
        return pl.concat(scans) if scans else pl.LazyFrame(schema=self.schema)

    def count(self) -> int:
        """How many rows there are, from the footers."""
        return sum(_metadata(part).num_rows for part in self.parts)

    def row_bytes(self) -> int:
        """The size of a row in memory, from the first rows."""
        sample = self.lazy.head(_SAMPLE).collect(engine="in-memory")
        return max(int(sample.estimated_size()) // max(sample.height, 1), 1)

    def batches(self, columns: Sequence[pl.Expr], rows: int, number: str) -> Iterator[pl.DataFrame]:
        """The columns in batches of at most ``rows`` rows, with the numbers of the rows as column ``number``.

        A batch is a row group or a slice of it. The streaming engine would read several row groups ahead, of both
        versions, which takes hundreds of megabytes.
        """
        for at, lf, height in self._slices(rows):
            batch = lf.collect(engine="in-memory").select(columns)
            yield batch.with_columns(pl.int_range(at, at + height, dtype=pl.Int64).alias(number))

    def at(self, numbers: pl.Series, columns: Sequence[pl.Expr], rows: int, number: str) -> Iterator[pl.DataFrame]:
        """The rows with these numbers, which only rise, in batches as above. Others are not read where none is near,
        nor are columns that nothing is made of."""
        for at, lf, height in self._slices(rows):
            first, end = numbers.search_sorted(pl.Series([at, at + height], dtype=numbers.dtype))
            if first == end:
                continue
            wanted = numbers.slice(first, end - first)
            places = pl.repeat(False, height, eager=True).scatter(wanted - at, True)
            batch = lf.select(columns).collect(engine="in-memory").filter(places)
            yield batch.with_columns(wanted.alias(number))

    def _slices(self, rows: int) -> Iterator[tuple[int, pl.LazyFrame, int]]:
        """The row groups or slices of them of at most ``rows`` rows: number of the first row, rows, how many."""
        at = 0
        for part in self.parts:
            lf = self._scan(part)
            for offset, height in _slices(part, rows):
                yield at, lf.slice(offset, height), height
                at += height

    def _scan(self, part: str) -> pl.LazyFrame:
        own = pl.read_parquet_schema(part)
        lf = pl.scan_parquet(part, glob=False, hive_partitioning=False)
        if own == self.schema:
            return lf
        return lf.select(
            pl.col(name).cast(dtype) if name in own else pl.lit(None, dtype).alias(name)
            for name, dtype in self.schema.items()
        )


def _slices(part: str, rows: int) -> Iterator[tuple[int, int]]:
    """Offsets and heights of the batches in a part."""
    metadata = _metadata(part)
    start = 0
    for group in range(metadata.num_row_groups):
        height = metadata.row_group(group).num_rows
        even = -(-height // max(1, -(-height // rows)))
        for offset in range(0, height, even or 1):
            yield start + offset, min(even, height - offset)
        start += height


def batch_rows(row_bytes: int, memory_bytes: int) -> int:
    """How many rows of that size a batch may have."""
    return max(_LEAST_ROWS, min(_MOST_ROWS, memory_bytes // (_HELD * row_bytes)))
