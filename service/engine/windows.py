"""Windows: expressions over the whole group of a row, which see the group in an order.

Polars sorts a group by an algorithm that leaves equal rows in any order; the number of the row decides between them.
Windows with groups spill; without groups Polars holds the columns that are read whole, so that where these do not fit
the rows are sorted, there and back: sorts spill, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from service.engine import plan_columns


def ordered(
    lf: pl.LazyFrame, by: Sequence[str], order_by: Sequence[str], made: Sequence[pl.Expr], *, held: bool
) -> pl.LazyFrame:
    """The rows with what ``made`` computes over their groups in this order, which are ``held`` in memory or not."""
    number = plan_columns.unused_name("row", [*lf.collect_schema(), *(e.meta.output_name() for e in made)])
    rows = lf.with_row_index(number)
    if held:
        order = [*order_by, number]
        rows = rows.with_columns(e.over(list(by) or None, order_by=order, nulls_last=True) for e in made)
    else:
        rows = rows.sort(order_by, nulls_last=True, maintain_order=True).with_columns(made).sort(number)
    return rows.drop(number)
