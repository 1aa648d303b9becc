"""Inserting: rows get their place by partition, cluster key and number; new rows without a place follow at the end.

Rows arrive sorted by cluster key and number. Those behind the last row of their partition are collected and written as
new parts; others are sorted into the part that holds the rows around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.kit import lazy
from service.storages.parts import partitions, row_numbers
from service.storages.parts.part import MARK, NUMBER, Key, Part, PartWriter
from service.values.version_mode import VersionMode

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_HELD_BYTES = 192 * 1024 * 1024
_PLACE = f"{MARK}place"
_ROW = f"{MARK}row"


class Inserter:
    """The parts of a version while rows are added. ``numbered`` says whether rows have a ``NUMBER``.

    ``next_row`` is above the number of every row in ``parts``.
    """

    def __init__(
        self, parts: Sequence[Part], mode: VersionMode, writer: PartWriter, target: int, next_row: int
    ) -> None:
        self._by = mode.partition_by
        self._cluster = mode.cluster_by
        self._writer = writer
        self._target = target
        self._next_row = next_row
        self._parts: dict[Key, list[Part]] = {}
        for part in parts:
            self._parts.setdefault(part.key, []).append(part)
        self._behind: dict[Key, list[pl.DataFrame]] = {}
        self._within: dict[tuple[Key, int], list[pl.DataFrame]] = {}
        self._last: dict[Key, pl.DataFrame] = {}
        self._held = 0.0
        self._new: dict[Key, list[Part]] = {}

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows, sorted by cluster key and number. Raises ``errors.Permanent`` for too many partitions."""
        if not self._by:
            self._add((), rows)
            return
        names = partitions.columns(self._by)
        groups = rows.with_columns(partitions.expressions(self._by)).partition_by(
            names, as_dict=True, maintain_order=True, include_key=False
        )
        for key, group in groups.items():
            self._add(key, group)

    def finish(self, schema: pl.Schema) -> list[Part]:
        """All parts, in order. Raises ``errors.Permanent`` for too many partitions."""
        for key in list(self._behind):
            self._flush(key)
        found: list[Part] = []
        for key in sorted({*self._parts, *self._new}, key=lambda k: partitions.sort_key(self._by, schema, k)):
            for place, part in enumerate(self._parts.get(key, [])):
                rows = self._within.pop((key, place), None)
                if rows is None:
                    found.append(part)
                    continue
                every = pl.concat([self._numbered(part), *rows]).sort(self._order(schema), nulls_last=True)
                found += self._writer.pieces(every, self._target, key, part.number)
            found += self._new.get(key, [])
        return found

    def _add(self, key: Key, rows: pl.DataFrame) -> None:
        if key not in self._parts and key not in self._new and key not in self._behind:
            count = len({*self._parts, *self._new, *self._behind}) + 1
            if count > partitions.MOST:
                raise partitions.too_many(count, self._writer.step)
        behind = self._placed(key, rows) if self._has_places(key, rows) else rows
        if not behind.height:
            return
        self._behind.setdefault(key, []).append(behind)
        self._held += behind.estimated_size()
        if sum(r.height for r in self._behind[key]) >= self._target:
            self._flush(key, whole=True)
        while self._held > _HELD_BYTES:
            self._flush(max(self._behind, key=lambda k: sum(r.estimated_size() for r in self._behind[k])))

    def _has_places(self, key: Key, rows: pl.DataFrame) -> bool:
        """Whether some rows may belong between those of the parts."""
        if key not in self._parts or NUMBER not in rows.columns:
            return False
        return bool(self._cluster) or bool((rows[NUMBER] < self._next_row).any())

    def _placed(self, key: Key, rows: pl.DataFrame) -> pl.DataFrame:
        """Keep the rows that belong into a part for it; answers the others."""
        last = self._last.get(key)
        if last is None:
            ends = [self._numbered(part).tail(1) for part in self._parts[key]]
            order = [*dict.fromkeys([*self._cluster, NUMBER])]
            last = self._last[key] = pl.concat(ends).select(order).with_row_index(_PLACE)
        place = pl.lit(None, dtype=pl.UInt32).alias(_PLACE)
        mine = rows.select(*last.columns[1:], place).with_row_index(_ROW)
        ends_ = last.with_columns(pl.lit(None, dtype=mine.schema[_ROW]).alias(_ROW)).select(mine.columns)
        ordered = pl.concat([mine, ends_]).sort(self._order(rows.schema), nulls_last=True)
        places = ordered.with_columns(pl.col(_PLACE).backward_fill()).drop_nulls(_ROW).sort(_ROW)[_PLACE]
        for number in places.drop_nulls().unique():
            self._within.setdefault((key, number), []).append(rows.filter(places == number))
        return rows.filter(places.is_null())

    def _numbered(self, part: Part) -> pl.DataFrame:
        rows = pl.read_parquet(part.path, glob=False, hive_partitioning=False)
        return rows.with_columns(row_numbers.read(part.path).alias(NUMBER))

    def _order(self, schema: pl.Schema) -> list[pl.Expr]:
        return order_of(self._cluster, schema)

    def _flush(self, key: Key, *, whole: bool = False) -> None:
        """Write the rows that wait behind a partition; with ``whole`` only full parts."""
        waiting = self._behind.pop(key)
        self._held -= sum(r.estimated_size() for r in waiting)
        rows = pl.concat(waiting)
        written = self._new.setdefault(key, [])
        while rows.height >= self._target:
            written.append(self._writer.frame(rows.head(self._target), key))
            rows = rows.slice(self._target)
        if rows.height and whole:
            self._behind[key] = [rows]
            self._held += rows.estimated_size()
        elif rows.height:
            written.append(self._writer.frame(rows, key))


def order_of(cluster: Sequence[str], schema: pl.Schema) -> list[pl.Expr]:
    """What sorts rows in a partition."""
    keys = [pl.col(n).fill_nan(None) if schema[n].is_float() else pl.col(n) for n in cluster]
    return [*keys, pl.col(NUMBER)]
