"""Exchange: rows that belong together come together, and the Polars operation of the local engine works on them.

Rows travel as blocks of Arrow bytes with their numbers, which give them their order back. A *step* takes the rows of a
bucket and answers rows, with the column ``BUCKET`` for the next step. The last one writes a file a bucket.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.lib as pa

from service.engine.spark import executor, messages, plans

BUCKET = "\0bucket"  # no column of ours has a NUL in its name
ROW = "\0row"
"""The number of a row: its part, and its place there in the lower ``_PLACES`` bits."""
OTHER = "\0other"
"""The number of a row of the second frame of a join."""
BLOCKS = "bucket long, payload binary"
_PLACES = 32
_BLOCK_ROWS = 100_000


@dataclass(frozen=True)
class Step:
    """What happens to the rows of a bucket; ``apply`` gets those of the first frame and those of the second, if any.

    ``folder`` takes the files of the last step; ``drop`` are columns that stay out of them.
    """

    apply: Callable[[pl.LazyFrame | None, pl.LazyFrame | None], pl.LazyFrame]
    folder: str = ""
    name: str = ""
    drop: tuple[str, ...] = ()


def numbered(lf: pl.LazyFrame, part: int, name: str = ROW) -> pl.LazyFrame:
    """The rows of a part with their numbers."""
    return lf.with_row_index(name).with_columns(pl.col(name).cast(pl.Int64) + (part << _PLACES))


def part_of(name: str = ROW) -> pl.Expr:
    """The part of a numbered row."""
    return pl.col(name) // (1 << _PLACES)


def place_of(name: str = ROW) -> pl.Expr:
    """The place of a numbered row in its part."""
    return (pl.col(name) % (1 << _PLACES)).cast(pl.UInt32)


def divide(batches: executor.Batches) -> executor.Batches:
    """Execute plans and divide their rows into blocks."""
    for batch in batches:
        for data in batch.column("task").to_pylist():
            try:
                task = executor.accepted(data).task
                assert isinstance(task, messages.Divide)
                rows = plans.decode(task.plan).collect(engine="streaming")
            except executor.ERRORS as error:
                yield _failed(error)
                continue
            yield from map(pa.RecordBatch.from_pydict, _blocks(rows))


def passing(step: Step) -> Callable[[Any, pa.Table], pa.Table]:
    """The step as ``applyInArrow`` wants it, with blocks for the next one."""

    def apply(key: Any, table: pa.Table) -> pa.Table:
        failures = _failures(table)
        if failures is not None:
            return failures
        try:
            rows = step.apply(*_rows(table)).collect()
        except executor.ERRORS as error:
            return pa.Table.from_batches([_failed(error)])
        tables = [pa.table(block) for block in _blocks(rows)]
        return pa.concat_tables(tables) if tables else table.slice(0, 0)

    return apply


def writing(step: Step) -> Callable[[Any, pa.Table], pa.Table]:
    """The last step, which writes a file."""

    def apply(key: Any, table: pa.Table) -> pa.Table:
        bucket = int(key[0].as_py())
        failures = _failures(table)
        if failures is not None:
            return pa.table({"number": pa.array([bucket], pa.int64()), "result": failures["payload"].slice(0, 1)})
        try:
            rows = step.apply(*_rows(table)).drop(BUCKET, *step.drop, strict=False).collect()
            path = executor.written(rows.lazy(), Path(step.folder), step.name)
            result: messages.Result = messages.Staged(str(path), rows.height, path.stat().st_size, bucket)
        except executor.ERRORS as error:
            failed = executor.failure(error)
            if failed is None:
                raise
            result = failed
        return pa.table(
            {"number": pa.array([bucket], pa.int64()), "result": pa.array([messages.encode(result)], pa.binary())}
        )

    return apply


_FAILED = -1
"""The bucket of errors, which pass every step as they are."""


def _failed(error: BaseException) -> pa.RecordBatch:
    failed = executor.failure(error)
    if failed is None:
        raise error
    payload = pa.array([messages.encode(failed)], pa.binary())
    return pa.RecordBatch.from_pydict({"bucket": pa.array([_FAILED], pa.int64()), "payload": payload})


def _failures(table: pa.Table) -> pa.Table | None:
    return table if table["bucket"][0].as_py() == _FAILED else None


def _blocks(rows: pl.DataFrame) -> Iterator[dict[str, pa.Array]]:
    """The rows by their buckets, as columns of tables of blocks."""
    for part in rows.partition_by(BUCKET, maintain_order=True):
        for at in range(0, part.height, _BLOCK_ROWS):
            payload = io.BytesIO()
            part.slice(at, _BLOCK_ROWS).write_ipc(payload, compression="lz4")
            yield {
                "bucket": pa.array([part[BUCKET][0]], pa.int64()),
                "payload": pa.array([payload.getvalue()], pa.binary()),
            }


def _rows(table: pa.Table) -> tuple[pl.LazyFrame | None, pl.LazyFrame | None]:
    """The rows of a bucket in their order: those of the first frame, and those of the second."""
    first: list[pl.DataFrame] = []
    second: list[pl.DataFrame] = []
    for payload in table["payload"].to_pylist():
        block = pl.read_ipc(io.BytesIO(payload))
        (first if ROW in block.columns else second).append(block)
    return _in_order(first, ROW), _in_order(second, OTHER)


def _in_order(blocks: list[pl.DataFrame], number: str) -> pl.LazyFrame | None:
    return pl.concat(blocks).lazy().sort(number, nulls_last=True) if blocks else None
