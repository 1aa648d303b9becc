"""Kept rows: which rows a ``distinct`` keeps, in as many passes over the keys as the memory asks for.

Two rows can only be equal where the hashes of their keys are. A pass collects the hashes of one range, sorts them, and
finds those that repeat; only the rows with such a hash are then grouped by their keys themselves, so that the answer
is exact. What remains is one bit a row. A pass costs some 24 bytes a row, whatever the keys are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from service.engine import key_hashes, plan_columns
from service.engine.memory import Memory
from service.steps.frame import Keep

_HASH = 24
"""Bytes a row while hashes are collected, laid side by side and sorted (measured: 16 to 22)."""
_GROUP, _GROUP_WIDTH = 200, 5
"""Bytes for each key that may repeat, and for each byte of it: in batches and groups (measured: 70 to 330)."""
_CELLS = 32
"""A repeated hash marks its cell of all hashes: of that many other rows one is looked at in vain."""
_WAITING = 1 << 22
_HEAD = 10_000
_IN_PLACE = pl.QueryOptFlags(predicate_pushdown=False)
"""A filter pushed into a Parquet scan costs the square of the number of columns."""


def only(lf: pl.LazyFrame, keys: Sequence[str], keep: Keep, memory: Memory) -> pl.LazyFrame:
    """The plan's rows without those that repeat another one's keys. Executes; the plan must answer equal rows twice."""
    mask = _Search(lf, keys, keep, memory).mask()
    if mask is None:
        return lf
    name = plan_columns.unused_name("kept", lf.collect_schema())
    return pl.concat([lf, mask.to_frame(name).lazy()], how="horizontal").filter(name).drop(name)


def repeats(lf: pl.LazyFrame, keys: Sequence[str], memory: Memory) -> int:
    """How many rows repeat the keys of an earlier one. Executes, as ``only``."""
    mask = _Search(lf, keys, "first", memory).mask()
    return 0 if mask is None else len(mask) - int(mask.sum())


@dataclass(frozen=True)
class _Search:
    lf: pl.LazyFrame
    keys: Sequence[str]
    keep: Keep
    memory: Memory

    def mask(self) -> pl.Series | None:
        """Which rows are kept, a bit for each; None where all are."""
        rows = int(self.lf.select(pl.len()).collect(engine="streaming").item())
        marks = _Marks(rows)
        for hashes in self._slices(rows):
            marks.keep(self._chosen(hashes, marks.drop))
        return marks.mask

    def _slices(self, rows: int) -> Iterator[pl.Series]:
        """The hashes that repeat, sorted, in slices whose keys may be held at once."""
        head = self.lf.select(self.keys).head(_HEAD).collect(engine="streaming")
        width = _GROUP_WIDTH * head.estimated_size() // max(1, head.height)
        room = max(key_hashes.LEAST, int((self.memory.free() - rows // 8) * key_hashes.SHARE))
        parts, size = -(-rows * _HASH // room), max(1, room // (_GROUP + width))
        waiting = pl.Series(dtype=pl.UInt64)
        for part in range(parts):
            waiting = waiting.append(self._repeated(part, parts))
            while len(waiting) > size or (len(waiting) and part == parts - 1):
                yield waiting[:size]
                waiting = waiting[size:]

    def _repeated(self, part: int, parts: int) -> pl.Series:
        """The hashes of one part of all that more than one row has, sorted."""
        hashes = self.lf.select(key_hashes.hashed(self.keys).alias("hash"))
        if parts > 1:
            hashes = hashes.filter(key_hashes.in_part(pl.col("hash"), part, parts)).map_batches(
                _at_most_two, predicate_pushdown=False, slice_pushdown=False, streamable=True
            )
        found = hashes.collect(engine="streaming", optimizations=_IN_PLACE).to_series().sort()
        again = found.filter((found == found.shift()).fill_null(value=False))
        return again.filter(again.ne_missing(again.shift()))

    def _chosen(self, hashes: pl.Series, seen: Callable[[pl.Series], None]) -> pl.Series:
        """The numbers of the rows to keep of those with one of ``hashes``; ``seen`` gets the numbers of all of them."""
        number, mark = plan_columns.unused_name("row", self.keys), plan_columns.unused_name("hash", self.keys)
        low, high = hashes[0], hashes[-1]
        cell = (high - low) // (_CELLS * len(hashes)) + 1
        taken = pl.repeat(False, (high - low) // cell + 1, dtype=pl.Boolean, eager=True)
        taken.scatter((hashes - low) // cell, True)

        keys = self.lf.select(self.keys).with_row_index(number)
        schema = keys.collect_schema()
        copies = plan_columns.copied(schema)

        def suspects(batch: pl.DataFrame) -> pl.DataFrame:
            found = batch.filter(taken.gather((batch[mark] - low) // cell)).drop(mark)
            seen(found[number])
            return found.with_columns(copies)

        rows = keys.with_columns(key_hashes.hashed(self.keys).alias(mark))
        rows = rows.filter(key_hashes.between(pl.col(mark), low, high)).map_batches(
            suspects, predicate_pushdown=False, projection_pushdown=False, slice_pushdown=False, streamable=True,
            schema=schema,
        )  # fmt: skip
        chosen = pl.col(number).max() if self.keep == "last" else pl.col(number).min()
        repeats = plan_columns.unused_name("rows", [*self.keys, number])
        groups = rows.group_by(self.keys).agg(chosen, pl.len().alias(repeats))
        if self.keep == "none":
            groups = groups.filter(pl.col(repeats) == 1)
        return groups.select(number).collect(engine="streaming", optimizations=_IN_PLACE).to_series()


class _Marks:
    """Which rows are kept; ``drop`` is called by the threads of the engine."""

    def __init__(self, rows: int) -> None:
        self._mask = pl.repeat(True, rows, dtype=pl.Boolean, eager=True)
        self._dropped: list[pl.Series] = []
        self._waiting = 0
        self._lock = threading.Lock()

    def drop(self, numbers: pl.Series) -> None:
        with self._lock:
            self._dropped.append(numbers)
            self._waiting += len(numbers)
            if self._waiting > _WAITING:  # writing a few numbers costs as much as reading all marks
                self._write()

    def keep(self, numbers: pl.Series) -> None:
        """Keep these rows of those that were dropped so far."""
        with self._lock:
            self._write()
            self._mask.scatter(numbers, True)

    @property
    def mask(self) -> pl.Series | None:
        """A bit for each row; None where all are kept."""
        return None if self._mask.all() else self._mask

    def _write(self) -> None:
        for numbers in self._dropped:
            self._mask.scatter(numbers, False)
        self._dropped, self._waiting = [], 0


def _at_most_two(hashes: pl.DataFrame) -> pl.DataFrame:
    """A batch without more repeats than show that there is one: a single key may have all the rows."""
    found = hashes.to_series().sort()
    return found.filter(found.ne_missing(found.shift(2))).to_frame()
