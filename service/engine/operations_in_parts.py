"""Operations in parts: joins and groups whose hash tables do not fit the memory, one part of all keys after another.

Rows with equal keys are in one part. The result of each goes to a file, with the number of the row that it begins with;
merged by these numbers (``merged_files``) the files are what the operation answers at once, in its order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from service.engine import key_hashes, merged_files, plan_columns, read_ahead
from service.engine.memory import Memory
from service.engine.stage import Stage
from service.steps.frame import JoinHow

_ENTRY, _WIDTH = 96, 3
"""What a hash table takes for each entry: bytes, and for each byte of it."""
_RESULT = 2
"""Times as many bytes where keys repeat, as a left row may match all of a piece."""
_MOST = 64
"""Parts: with more of them most of the time goes to reading the rows again."""
_HEAD = 10_000
_LEAST_ROWS, _GROUP_ROWS, _MOST_ROWS = 1_024, 16_384, 200_000
"""Row groups of the files are small, because all files are read at once, up to as many rows in all."""
_HELD = 6
"""Copies of these rows: as read, sorted, and in batches on their way."""
_AGGREGATE = 16
_GROUPED = 128
"""More bytes for each group, which threads hold several times, or for each row where the engine holds all."""
_WITHOUT_STREAM = "in-memory-map"
_numbers = itertools.count(1)


def of_join(
    types: pl.Schema, rows: Callable[[], pl.LazyFrame], right: pl.LazyFrame, on: Sequence[str], how: JoinHow,
    memory: Memory, folder: Path,
) -> Stage | None:  # fmt: skip
    """The join in the order of the left ``rows``, which have ``types``; None if the right ones fit the memory.

    A part may still have too many right rows, as one key may have all of them. These are divided by their numbers.
    """
    others = right.collect_schema()
    hashes = key_hashes.hashed_alike(on, types, others)
    count, width = _rows(right), _width(right)
    parts = _count(count, width, memory)
    if hashes is None or parts == 1:
        return None
    left = rows()
    place, number = (plan_columns.unused_name(name, [*types, *others]) for name in ("place", "number"))
    first = _rows(left) * count
    left = left.with_row_index(place).with_columns(pl.col(place).cast(pl.UInt64) * count)
    right = right.with_row_index(number).with_columns(pl.col(number).cast(pl.UInt64))
    sizes = _sizes(right, hashes, parts)
    whole = left.join(right, on=list(on), how=how, coalesce=True).collect_schema()
    keys = pl.Schema({key: whole[key] for key in on})

    # by chance a part is half as large again
    pieces = [_count(s, _RESULT * width, memory) if _count(s * 2 // 3, width, memory) > 1 else 1 for s in sizes]

    def plans() -> Iterator[pl.LazyFrame]:
        for part in range(parts):
            chosen = key_hashes.in_part(hashes, part, parts)
            pair = left.filter(chosen), right.filter(chosen)
            of_part = [(*pair, how)] if pieces[part] == 1 else _pieces(*pair, on, how, number, pieces[part])
            for one, other, kind in of_part:
                yield _joined(one, other, on, kind, place, number, first).cast(keys)

    return _in_files(plans(), place, folder, sum(pieces), _width(left) + width, memory)


def _pieces(
    left: pl.LazyFrame, right: pl.LazyFrame, on: Sequence[str], how: JoinHow, number: str, pieces: int
) -> Iterator[tuple[pl.LazyFrame, pl.LazyFrame, JoinHow]]:
    """Joins that together are a join of these rows, none of which holds more than a piece of the right ones.

    Rows without a partner are those of no piece: they are joined with nothing.
    """
    for piece in range(pieces):
        yield left, right.filter(pl.col(number) % pieces == piece), "inner"
    if how != "inner":
        alone = left.join(
            right.select(on).unique(keep="first", maintain_order=True), on=list(on), how="anti", maintain_order="left"
        )
        yield alone, right.clear(), "left"
    if how == "full":
        alone = right.join(
            left.select(on).unique(keep="first", maintain_order=True), on=list(on), how="anti", maintain_order="left"
        )
        yield left.clear(), alone, "full"


def _joined(
    left: pl.LazyFrame, right: pl.LazyFrame, on: Sequence[str], how: JoinHow, place: str, number: str, first: int
) -> pl.LazyFrame:
    """The join in the order of ``place``, which no two rows share: rows of the right side alone come last."""
    lf = left.join(right, on=list(on), how=how, coalesce=True, maintain_order="left_right")
    return lf.with_columns(pl.col(place).fill_null(first) + pl.col(number).fill_null(0)).drop(number)


def _sizes(lf: pl.LazyFrame, hashes: pl.Expr, parts: int) -> list[int]:
    """How many rows each part has."""
    counts = [key_hashes.in_part(hashes, part, parts).sum().alias(str(part)) for part in range(parts)]
    return list(lf.select(counts).collect(engine="streaming").row(0))


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
    key = key_hashes.hashed(by)

    def grouped(part: int) -> pl.LazyFrame:
        return (
            rows.filter(key_hashes.in_part(key, part, parts))
            .with_columns(copies)
            .group_by(list(by), maintain_order=True)
            .agg(*aggregates, pl.col(number).min())
        )

    width = _width(lf.select(by)) + _AGGREGATE * len(aggregates)
    return _in_files(map(grouped, range(parts)), number, folder, parts, width, memory)


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


def _in_files(
    plans: Iterable[pl.LazyFrame], number: str, folder: Path, count: int, width: int, memory: Memory
) -> Stage:
    """The results of ``count`` plans, each of which has its rows in the order of ``number``, in this order.

    A row has about ``width`` bytes.
    """
    room = max(key_hashes.LEAST, memory.free() // 4)
    at_once = min(_MOST_ROWS, max(_LEAST_ROWS, room // (_HELD * width + 1)))
    files = []
    for lf in plans:
        files.append(folder / f"hash-{next(_numbers)}.parquet")
        with read_ahead.short():
            lf.sink_parquet(
                files[-1], compression="uncompressed", statistics=False, engine="streaming",
                row_group_size=min(_GROUP_ROWS, max(_LEAST_ROWS, at_once // count)),
            )  # fmt: skip
    rows = _rows(pl.scan_parquet(files, glob=False))
    return Stage(merged_files.scan(files, number, at_once), rows, sum(f.stat().st_size for f in files), files)
