"""Repetitions: how many rows of a table repeat an earlier one, in memory of one number a row at most.

A column of whole numbers that tells all rows apart settles it. Else rows are hashed, and only those whose hashes meet
are compared.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

Engine = Literal["streaming", "in-memory"]

_HEAD = 10_000
_FILTER_AFTER = pl.QueryOptFlags(predicate_pushdown=False)
"""While it reads, Parquet is filtered by all columns at a cost that grows with their square: 17 s for 1 500."""


def count(lf: pl.LazyFrame, schema: pl.Schema, engine: Engine) -> int:
    """Rows that repeat an earlier row, exactly."""
    if not len(schema) or _has_key(lf, schema, engine):
        return 0
    hashed = pl.struct(pl.all()).hash().alias("hash")
    hashes = lf.select(hashed).collect(engine=engine).to_series().sort()
    again = hashes.filter((hashes == hashes.shift()).fill_null(value=False)).unique()
    if not len(again):
        return 0
    met = lf.filter(hashed.is_in(again.implode()))
    different = met.unique().select(pl.len()).collect(engine=engine, optimizations=_FILTER_AFTER).item()
    return int(met.select(pl.len()).collect(engine=engine, optimizations=_FILTER_AFTER).item() - different)


def _has_key(lf: pl.LazyFrame, schema: pl.Schema, engine: Engine) -> bool:
    """Whether a column of whole numbers tells all rows apart: that costs a tenth of hashing the rows.

    Only one that does so in the first rows is looked at whole.
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
