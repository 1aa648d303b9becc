"""Row count: how many rows a plan has, known once it was executed for something else.

Rows are numbered on their way, and the greatest number is kept: a plan may be executed in part before, and again later.
No filter passes the node, since a filter that comes later would take rows out before.
"""

from __future__ import annotations

import threading

import polars as pl

from service.engine import plan_columns


class RowCount:
    """Counts the rows of one plan. ``rows`` is valid when all of them were computed."""

    def __init__(self) -> None:
        self.rows = 0
        self._lock = threading.Lock()

    def counted(self, lf: pl.LazyFrame) -> pl.LazyFrame:
        """The plan with the node that counts."""
        number = plan_columns.unused_name("number", lf.collect_schema())

        def note(batch: pl.DataFrame) -> pl.DataFrame:
            if batch.height:
                with self._lock:
                    self.rows = max(self.rows, int(batch[number][-1]) + 1)
            return batch.drop(number)

        return lf.with_row_index(number).map_batches(
            note, schema=lf.collect_schema(), predicate_pushdown=False, slice_pushdown=False,
            projection_pushdown=False, streamable=True,
        )  # fmt: skip
