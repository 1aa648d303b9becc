"""Operations in parts: joins and groups whose hash tables do not fit the memory, one part of all keys after another.

Rows with equal keys are in one part. The result of each goes to a file, with the number of the row that it begins with;
merged by these numbers the files are what the operation answers at once, in its order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import polars as pl

from service.engine import key_hashes, plan_columns
from service.engine.memory import Memory
from service.engine.stage import Stage
from service.steps.frame import JoinHow

_ENTRY, _WIDTH = 96, 3
"""What a hash table takes for each entry: bytes, and for each byte of it."""
_MOST = 64
"""Parts: with more of them most of the time goes to reading the rows again."""
_HEAD = 10_000
_GROUP_ROWS = 16_384
"""Row groups of the files are small, because all files are read at once."""
_AGGREGATE = 16
_GROUPED = 128
"""More bytes for each group, which threads hold several times, or for each row where the engine holds all."""
_WITHOUT_STREAM = "in-memory-map"
_numbers = itertools.count(1)


def of_join(
    types: pl.Schema, rows: Callable[[], pl.LazyFrame], right: pl.LazyFrame, on: Sequence[str], how: JoinHow,
    memory: Memory, folder: Path,
) -> Stage | None:  # fmt: skip
    """The join in the order of the left ``rows``, which have ``types``; None if the right ones fit the memory."""
    others = right.collect_schema()
    if any(types[k] != others[k] or isinstance(types[k], pl.Categorical) for k in on):
        return None  # their hashes may differ
    parts = _count(_rows(right), _width(right), memory)
    if parts == 1:
        return None
    first, second = (plan_columns.unused_name(name, [*types, *others]) for name in ("left", "right"))
    left = rows()
    count = _rows(left)
    left, right = left.with_row_index(first), right.with_row_index(second)

    def joined(part: pl.Expr) -> pl.LazyFrame:
        lf = left.filter(part).join(
            right.filter(part), on=list(on), how=how, coalesce=True, maintain_order="left_right"
        )
        place = pl.coalesce(pl.col(first).cast(pl.UInt64), pl.col(second).cast(pl.UInt64) + count)
        return lf.with_columns(place.alias(first)).drop(second)  # rows of the right side alone come last

    return _in_parts(joined, on, parts, first, folder)


def of_groups(
    lf: pl.LazyFrame, by: Sequence[str], aggregates: Sequence[pl.Expr], memory: Memory, folder: Path
) -> Stage | None:
    """The groups in order of first appearance, if they do not fit the memory, else None."""
    number = plan_columns.unused_name("row", [*lf.collect_schema(), *(e.meta.output_name() for e in aggregates)])
    hashes = lf.select(key_hashes.hashed(by).approx_n_unique()).collect(engine="streaming")
    parts = _count(int(hashes.item()), _width(lf.select(by)) + _AGGREGATE * len(aggregates) + _GROUPED, memory)
    graph = lf.group_by(list(by)).agg(*aggregates).show_graph(
        engine="streaming", plan_stage="physical", raw_output=True
    )  # fmt: skip
    if graph is not None and _WITHOUT_STREAM in graph:  # the engine holds all rows
        read = lf.select(sorted({*by, *(n for e in aggregates for n in e.meta.root_names())}))
        parts = max(parts, _count(_rows(lf), _width(read) + _GROUPED, memory))
    if parts == 1:
        return None
    rows, copies = lf.with_row_index(number), plan_columns.copied(lf.select(by).collect_schema())

    def grouped(part: pl.Expr) -> pl.LazyFrame:
        return (
            rows.filter(part)
            .with_columns(copies)
            .group_by(list(by), maintain_order=True)
            .agg(*aggregates, pl.col(number).min())
        )

    return _in_parts(grouped, by, parts, number, folder)


def beside(aggregates: Sequence[pl.Expr]) -> int:
    """Bytes that a group takes beside its key."""
    return _ENTRY + 2 * _AGGREGATE * len(aggregates)


def _count(entries: int, width: int, memory: Memory) -> int:
    """How many parts are necessary for these entries of a hash table."""
    room = max(key_hashes.LEAST, memory.free() // 2)  # batches take up to as much
    return max(1, min(_MOST, -(-entries * (_ENTRY + _WIDTH * width) // room)))


def _width(lf: pl.LazyFrame) -> int:
    """About how many bytes a row takes in memory, from the first ones."""
    head = lf.head(_HEAD).collect(engine="streaming")
    return int(head.estimated_size()) // max(1, head.height)


def _rows(lf: pl.LazyFrame) -> int:
    return int(lf.select(pl.len()).collect(engine="streaming").item())


def _in_parts(
    made: Callable[[pl.Expr], pl.LazyFrame], keys: Sequence[str], parts: int, number: str, folder: Path
) -> Stage:
    """The results of all parts, each of which has its rows in the order of ``number``, in this order."""
    files = []
    for part in range(parts):
        chosen = key_hashes.in_part(key_hashes.hashed(keys), part, parts)
        files.append(folder / f"hash-{next(_numbers)}.parquet")
        made(chosen).sink_parquet(
            files[-1], compression="uncompressed", statistics=False, row_group_size=_GROUP_ROWS, engine="streaming"
        )
    rows = _rows(pl.scan_parquet(files, glob=False))
    return Stage(_merged(files, number), rows, sum(f.stat().st_size for f in files), files)


def _merged(files: Iterable[Path], number: str) -> pl.LazyFrame:
    plans = [pl.scan_parquet(path, glob=False) for path in files]
    while len(plans) > 1:
        pairs = [a.merge_sorted(b, key=number) for a, b in zip(plans[::2], plans[1::2], strict=False)]
        plans = [*pairs, *plans[len(plans) & ~1 :]]
    return plans[0].drop(number)
