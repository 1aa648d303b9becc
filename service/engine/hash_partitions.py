"""Partitions of rows by the hash of a key, each small enough to be held: rows with equal keys are in the same one.

All are written in one streaming pass, as Arrow files, and read one after another.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import polars as pl

from service.engine import plan_columns
from service.engine.scratch import Scratch

_MOST = 64
_BATCH = 10_000
"""Rows. As many of each partition are held until they are written."""


def split(lf: pl.LazyFrame, key: pl.Expr, parts: int, scratch: Scratch) -> Iterator[pl.LazyFrame]:
    """The rows in about ``parts`` partitions by ``key``, a column of whole numbers. Each is valid until the next."""
    number = plan_columns.unused_name("part", lf.collect_schema())
    count = min(parts, _MOST)
    with scratch.directory() as folder:
        lf.with_columns((key % count).alias(number)).sink_ipc(
            pl.PartitionBy(folder, key=number, include_key=False), compression="lz4", record_batch_size=_BATCH,
            maintain_order=False, engine="streaming",
        )  # fmt: skip
        for partition in sorted(folder.iterdir()):
            rows = pl.scan_ipc(sorted(partition.iterdir()))
            if parts > _MOST:
                yield from split(rows, key // count, -(-parts // count), scratch)
            else:
                yield rows
            shutil.rmtree(partition)
