"""Duplicate rows: how many rows repeat an earlier one, with at most one number per row in memory.

Where a column of whole numbers is unique, there are none. Otherwise rows are hashed, and only rows with equal hashes
are compared.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

Engine = Literal["streaming", "in-memory"]

_HEAD = 10_000
_FILTER_AFTER = pl.QueryOptFlags(predicate_pushdown=False)
"""A filter pushed into a Parquet scan costs the square of the number of columns: 17 s for 1 500."""


def count(lf: pl.LazyFrame, schema: pl.Schema, engine: Engine) -> int:
    """Rows that repeat an earlier row, exactly."""
    if not len(schema) or _has_key(lf, schema, engine):
        return 0
    hashed = pl.struct(pl.all()).hash().alias("hash")
    hashes = lf.select(hashed).collect(engine=engine).to_series().sort()
    repeated = hashes.filter((hashes == hashes.shift()).fill_null(value=False)).unique()
    if not len(repeated):
        return 0
    candidates = lf.filter(hashed.is_in(repeated.implode()))
    different = candidates.unique().select(pl.len()).collect(engine=engine, optimizations=_FILTER_AFTER).item()
    return int(candidates.select(pl.len()).collect(engine=engine, optimizations=_FILTER_AFTER).item() - different)


def _has_key(lf: pl.LazyFrame, schema: pl.Schema, engine: Engine) -> bool:
    """Whether a column of whole numbers is unique, which costs a tenth of hashing the rows.

    Only a column that is unique in the first rows is read whole.
    """
    numbers = [c for c, t in schema.items() if t.is_integer()]
    if not numbers:
        return False
    head = lf.select(numbers).head(_HEAD).collect(engine=engine)
    for column in numbers:
        if head[column].is_unique().all():
            values = lf.select(column).collect(engine=engine).to_series()
            if values.n_unique() == len(values):
                return True
    return False
