"""Counters: how far the engine is with what it executes, while it executes it.

Polars has no callback. A node at the end of a plan counts the rows that come out; the metrics of a frame count their
queries; the size of a file says how much was written. Threads of the engine write the numbers, another one reads them:
it may be a batch late, and nobody waits for it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import polars as pl

_QUERY, _QUERIES = 0.05, 0.4  # the part of a measurement that one column takes beside the stage, and the most of all


class Counters:
    """What the engine does for one step after another.

    ``rows`` came out of the present or the last pass, ``expected`` should; None if it is unknown. ``counted`` says
    whether the step has had a pass.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.expected: int | None = None
        self.counted = False
        self._part: float | None = None
        self._split = 1.0  # where in the present work the pass ends and the queries begin
        self._size: Callable[[], int] | None = None  # of what is being written
        self._written = 0
        self._lock = threading.Lock()

    def begin(self, expected: int | None) -> None:
        """A step begins. ``expected`` rows come in, unless a pass of an earlier step has counted them."""
        self.rows, self.counted, self._part, self._written = 0, False, None, 0
        self.expected = expected if self.expected is None else self.expected

    @property
    def fraction(self) -> float | None:
        """The part of the present work that is done, 0 to 1."""
        return self._part

    @property
    def passing_rows(self) -> bool:
        """Whether ``rows`` grows now."""
        return self._size is not None

    @property
    def bytes_written(self) -> int:
        """The size of the files that are being written, or of the last ones."""
        if self._size is not None:
            with contextlib.suppress(OSError):  # it is not there yet, or not any more
                self._written = self._size()
        return self._written

    @contextmanager
    def passing(self, lf: pl.LazyFrame, written: Callable[[], int]) -> Iterator[pl.LazyFrame]:
        """The plan with a node that counts its rows on their way; ``written`` are the bytes in files so far."""
        self.rows, self.counted, self._size = 0, True, written
        yield lf.map_batches(
            self._count, predicate_pushdown=False, slice_pushdown=False, projection_pushdown=True, streamable=True
        )
        self.expected = self.rows
        self._written, self._size = self.bytes_written, None

    @contextmanager
    def measuring(self, columns: int, *, stages: bool) -> Iterator[None]:
        """Metrics of ``columns`` columns are measured; with ``stages`` the rows are written to a file before."""
        self._split = 1.0 - min(_QUERIES, _QUERY * columns) if stages else 0.0
        try:
            yield
        finally:
            self._split = 1.0

    def executed(self, done: int, total: int, rows: int, written: int) -> None:
        """Note how many tasks of the present pass are done, and what they read and wrote: rows and bytes."""
        self.rows, self.counted, self._written = rows, True, written
        self._part = self._split * done / max(total, 1)

    def queried(self, done: int, total: int) -> None:
        """So many of the queries of the present measurement are done."""
        self._part = self._split + (1 - self._split) * done / max(total, 1)

    def _count(self, batch: pl.DataFrame) -> pl.DataFrame:
        with self._lock:
            self.rows += batch.height
            if self.expected:
                self._part = self._split * min(1.0, self.rows / self.expected)
        return batch
