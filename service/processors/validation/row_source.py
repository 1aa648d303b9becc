"""Row source: which collector a rejected row came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.kit import lazy
from service.steps.context import ProcessContext

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def row_source(ctx: ProcessContext, number: pl.Expr, rows: int | None) -> pl.Expr:
    """The collector that a row came from: by its position, if no row of several collectors was removed so far.

    ``number`` is the position from 0, ``rows`` the number of rows (None: unknown).
    """
    if ctx.source is not None or rows is None or sum(count for _, count in ctx.sources) != rows:
        return pl.lit(ctx.source, dtype=pl.String)
    label, end = pl.lit(None, dtype=pl.String), rows
    for name, count in reversed(ctx.sources):
        label, end = pl.when(number < end).then(pl.lit(name)).otherwise(label), end - count
    return label
