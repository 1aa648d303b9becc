"""Wide batches: a scan of many columns in larger batches than the parser makes, read as their types some at a time.

The parser cuts a file by bytes. Of 5 000 columns that are some 80 rows a batch, and every column of every batch costs
the engine the same few microseconds for each expression, however few its rows are.

The plan gets the values only. Texts, and what it takes to compare them with values, are five times as much, and the
engine holds all batches that are on their way between two nodes: a file of half a gigabyte took two.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from service.collectors.csv_file.checked_columns import CheckedColumn, checked
from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
    import polars.io.plugins as plugins
else:
    pl = lazy.module("polars")
    plugins = lazy.module("polars.io.plugins")

_WIDE = 500
"""Columns. As many are read as their types at once."""
_CELLS = 2_000_000
"""In a batch: some 40 MiB of texts; the scan holds several."""


def read(text: pl.LazyFrame, names: Sequence[str], columns: Sequence[CheckedColumn]) -> pl.LazyFrame:
    """``text``, whose columns are ``names``, with the ``columns`` checked; in larger batches if there are many."""
    if len(names) <= _WIDE:
        return checked(text, columns)
    typed = _typed(columns)

    def batches(
        wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        present = names if wanted is None else wanted
        part = text.select(present)
        part = part if rows is None else part.head(rows)
        for batch in part.collect_batches(chunk_size=_CELLS // max(1, len(present)), engine="streaming"):
            kept = batch.rechunk()
            if predicate is not None:
                kept = kept.filter(typed(kept, predicate.meta.root_names()).select(predicate).to_series())
            yield typed(kept, present)

    schema: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
    return plugins.register_io_source(batches, schema=schema | {c.name: c.dtype for c in columns})


def _typed(columns: Sequence[CheckedColumn]) -> Callable[[pl.DataFrame, Sequence[str]], pl.DataFrame]:
    known = {column.name: column for column in columns}

    def typed(batch: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
        """These columns of the batch as their types."""
        as_it_is = pl.QueryOptFlags.none()  # there is nothing to gain, and the plan is made anew for each batch
        made: list[pl.Series] = []
        names = list(names)
        for at in range(0, len(names), _WIDE):
            some = names[at : at + _WIDE]
            rows = checked(batch.select(some).lazy(), [known[name] for name in some if name in known])
            made += rows.collect(engine="in-memory", optimizations=as_it_is).get_columns()
        return pl.DataFrame(made)

    return typed
