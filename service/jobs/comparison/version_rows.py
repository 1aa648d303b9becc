"""Rows of a version: its parts as one lazy table, read in batches of bounded size in stored order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

_LEAST_ROWS, _MOST_ROWS = 1_000, 262_144
_HELD = 24
"""How many batches the engine and the comparison hold at once, of both versions, decoded and in flight."""
_SAMPLE = 1_000


def schema_of(parts: Sequence[str]) -> pl.Schema:
    """The columns of a version, with types that hold the values of all its parts."""
    schemas = [pl.read_parquet_schema(part) for part in parts]
    if all(schema == schemas[0] for schema in schemas):
        return pl.Schema(schemas[0])
    return pl.concat([pl.LazyFrame(schema=s) for s in schemas], how="diagonal_relaxed").collect_schema()


def scan(parts: Sequence[str], schema: pl.Schema) -> pl.LazyFrame:
    """The rows of some parts of a version with these columns; a column that a part lacks is null there."""
    if not parts:
        return pl.LazyFrame(schema=schema)
    own = [pl.read_parquet_schema(part) for part in parts]
    if all(columns == schema for columns in own):
        return pl.scan_parquet(list(parts), glob=False, hive_partitioning=False)
    return pl.concat(
        pl.scan_parquet(part, glob=False, hive_partitioning=False).select(
            pl.col(name).cast(dtype) if name in columns else pl.lit(None, dtype).alias(name)
            for name, dtype in schema.items()
        )
        for part, columns in zip(parts, own, strict=True)
    )


def row_bytes(lf: pl.LazyFrame) -> int:
    """The size of a row in memory, from the first rows."""
    sample = lf.head(_SAMPLE).collect(engine="streaming")
    return max(int(sample.estimated_size()) // max(sample.height, 1), 1)


def batch_rows(row_size: int, memory_bytes: int) -> int:
    """How many rows of that size a batch may have."""
    return max(_LEAST_ROWS, min(_MOST_ROWS, memory_bytes // (_HELD * row_size)))


def batches(lf: pl.LazyFrame, columns: Sequence[pl.Expr], rows: int, number: str) -> Iterator[pl.DataFrame]:
    """The columns in batches of at most about ``rows`` rows, with the numbers of the rows as column ``number``."""
    at = 0
    # The columns are selected from each batch: selected in the plan, they make the engine hold three times as much.
    for batch in lf.collect_batches(chunk_size=rows, maintain_order=True, engine="streaming"):
        if batch.height:
            yield batch.select(columns).with_columns(pl.int_range(at, at + batch.height, dtype=pl.Int64).alias(number))
            at += batch.height
