"""Wide batches: a scan of many columns in larger batches than the parser makes.

The parser cuts a file by bytes. Of 5 000 columns that are some 80 rows a batch, and every column of every batch costs
the engine the same few microseconds for each expression, however few its rows are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
    import polars.io.plugins as plugins
else:
    pl = lazy.module("polars")
    plugins = lazy.module("polars.io.plugins")

_WIDE = 500
"""Columns."""
_CELLS = 2_000_000
"""In a batch: some 100 MiB of texts, and several batches are on their way."""


def widened(lf: pl.LazyFrame, columns: list[str]) -> pl.LazyFrame:
    """The text ``columns`` of ``lf``, which are all; in larger batches if they are many."""
    if len(columns) <= _WIDE:
        return lf

    def read(
        wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        part = lf if wanted is None else lf.select(wanted)
        part = part if rows is None else part.head(rows)
        size = _CELLS // max(1, len(columns if wanted is None else wanted))
        for batch in part.collect_batches(chunk_size=size, engine="streaming"):
            whole = batch.rechunk()
            yield whole if predicate is None else whole.filter(predicate)

    return plugins.register_io_source(read, schema=dict.fromkeys(columns, pl.String()))
