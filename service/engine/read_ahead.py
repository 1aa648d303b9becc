"""Read-ahead: how many row groups a scan of Parquet files decodes before somebody takes their rows.

By default it is many. Beside a plan that writes all columns they pile up, without making it faster: ten million rows of
35 columns were copied with 1.2 GB of addresses instead of 0.4. A plan over few columns needs them to use all cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

_ROW_GROUPS = "POLARS_ROW_GROUP_PREFETCH_SIZE"


@contextmanager
def short() -> Iterator[None]:
    """Scans that begin in the context decode a row group for every two threads."""
    before = os.environ.get(_ROW_GROUPS)
    os.environ[_ROW_GROUPS] = str(max(1, pl.thread_pool_size() // 2))  # Polars looks at it when a scan begins
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ROW_GROUPS]
        else:
            os.environ[_ROW_GROUPS] = before
