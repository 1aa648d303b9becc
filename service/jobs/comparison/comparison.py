"""Comparison: one pass over the rows of two versions, whatever their size, in bounded memory.

Versions of one pipeline mostly have their rows in the same order. So both are read in step: rows of the next batches
are matched by their key in memory; the rows before the last match that found none are set aside (``unmatched``), and
those after it wait for the next batch. What was set aside is matched at the end by digests: all rows, if the orders
have little in common, which is seen after some batches. Without a key, rows are matched by digests from the beginning,
and the n-th of equal rows matches the n-th one of the other version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import polars as pl

from service.jobs.comparison.pairs import ROW, Pairs, SideName
from service.jobs.comparison.tally import Tally
from service.jobs.comparison.unmatched import PLACE, Repeated, Room, Unmatched, joined
from service.jobs.comparison.version_rows import VersionRows
from service.kit import errors

_MOST_MISSES = 2
"""How many batches in succession may have nothing in common before rows are looked for everywhere."""
_LEAST_MATCHED = 8
"""Batches have nothing in common if fewer than one row in this number matches, as in two orders by chance."""


class Comparison:
    """Matches the rows of two versions and counts them in ``tally``."""

    def __init__(self, versions: Mapping[SideName, VersionRows], pairs: Pairs, tally: Tally, room: Room) -> None:
        self._versions = versions
        self._room = room
        self._most_waiting = room.batch_rows
        self._pairs = pairs
        self._tally = tally
        self._unmatched = Unmatched(versions, pairs, tally, room)
        self._keyed = bool(pairs.key)
        self._misses = 0
        self._last: dict[SideName, object] = {}
        self.ascending: dict[SideName, bool] = dict.fromkeys(ROW, len(pairs.key) == 1)
        """Whether the keys of a version have only risen from row to row, so that none can be there twice."""
        self.in_order = False
        """Whether rows were matched in step. If not, all keys were compared with each other."""

    def run(self) -> None:
        """Compare all rows. Raises ``Repeated`` if a key is seen twice nearby."""
        batches = {side: self._batches(side) for side in ROW}
        rest: dict[SideName, pl.DataFrame | None] = {"b": None, "a": None}
        ended: set[SideName] = set()
        while len(ended) < 2 and self._misses < _MOST_MISSES:
            for side in self._behind(rest, ended):
                batch = next(batches[side], None)
                if batch is None:
                    ended.add(side)
                else:
                    rest[side] = _joined(rest[side], batch)
                del batch
            before, after = rest["b"], rest["a"]
            if before is not None and after is not None and before.height and after.height:
                rest = self._align(before, after)
            del before, after  # the next batches need their memory
            if len(ended) == 1:
                self._drain(rest, ended)
        for side, rows in rest.items():
            if rows is not None:
                self._unmatched.add(side, rows)
        rest.clear()
        for side in ROW:
            for batch in batches[side]:
                self._unmatched.add(side, batch)
        self._unmatched.finish(self.ascending)

    def unpaired(self, side: SideName) -> pl.DataFrame | None:
        """The first rows of one version that have no pair; None if there are none."""
        columns, numbers = self._pairs.read_columns(side), self._tally.unpaired[side]
        found = list(self._versions[side].at(numbers, columns, self._room.batch_rows, ROW[side]))
        return pl.concat(found) if found else None

    def _batches(self, side: SideName) -> Iterator[pl.DataFrame]:
        """The rows of one version as they are matched: in short without a key."""
        for batch in self._versions[side].batches(self._pairs.read(side), self._room.batch_rows, ROW[side]):
            self._tally.read(side, batch)
            self._check_order(side, batch)
            yield batch if self._keyed else batch.select(*self._pairs.matching_columns, ROW[side])

    def _behind(self, rest: dict[SideName, pl.DataFrame | None], ended: set[SideName]) -> list[SideName]:
        """The versions of which more rows are needed: those with few rows that wait, else the one with the fewest."""
        waiting = {side: 0 if (rows := rest[side]) is None else rows.height for side in ROW if side not in ended}
        few = [side for side, count in waiting.items() if count < self._most_waiting // 2]
        return few or [min(waiting, key=lambda side: waiting[side])]

    def _drain(self, rest: dict[SideName, pl.DataFrame | None], ended: set[SideName]) -> None:
        """After the end of one version, no row of the other one can wait for it if none of the first waits."""
        (done,) = ended
        other: SideName = "a" if done == "b" else "b"
        left, rows = rest[done], rest[other]
        if rows is not None and (left is None or not left.height):
            self._unmatched.add(other, rows)
            rest[other] = rows.clear()

    def _align(self, before: pl.DataFrame, after: pl.DataFrame) -> dict[SideName, pl.DataFrame | None]:
        """Match two batches; answers the rows after the last match, which wait for the next batch."""
        matching = self._pairs.matching_columns
        if before.height == after.height and before.select(matching).equals(after.select(matching), null_equal=True):
            self._in_step(before, after)
            return {"b": before.clear(), "a": after.clear()}
        places = self._match(before, after)
        if places.height * _LEAST_MATCHED < min(before.height, after.height):
            self._misses += 1
            self._unmatched.add("b", before)
            self._unmatched.add("a", after)
            return {"b": before.clear(), "a": after.clear()}
        self._misses = 0
        self._pair(before, after, places)
        waiting: dict[SideName, pl.DataFrame | None] = {}
        for side, rows in (("b", before), ("a", after)):
            name = cast("SideName", side)
            found = places[PLACE[name]]
            end = int(found.max()) + 1 if len(found) else rows.height  # type: ignore[arg-type]
            if rows.height - end > self._most_waiting:
                end = rows.height
            missed = ~pl.repeat(False, end, eager=True).scatter(found, True)
            self._unmatched.add(name, rows.head(end), missed)
            waiting[name] = rows.slice(end)
        return waiting

    def _in_step(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        """Two batches whose rows match one by one."""
        if self._keyed:
            self._check_repeated("b", before)
        self._count(before, after)

    def _match(self, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
        """The places in the two frames of rows that match."""
        if not self._keyed:
            return joined(before, after)
        sides = []
        for side, rows in (("b", before), ("a", after)):
            name = cast("SideName", side)
            self._check_repeated(name, rows)
            place = pl.int_range(rows.height, dtype=pl.UInt32).alias(PLACE[name])
            sides.append(rows.select(*self._pairs.matching_columns, place))
        return (
            sides[0]
            .join(sides[1], on=self._pairs.matching_columns, how="inner", nulls_equal=True, maintain_order="left")
            .select(*PLACE.values())
        )

    def _pair(self, before: pl.DataFrame, after: pl.DataFrame, places: pl.DataFrame) -> None:
        if places.height:
            self._count(_gather(before, places[PLACE["b"]]), _gather(after, places[PLACE["a"]]))

    def _count(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        """Count the pairs of rows that are side by side."""
        self.in_order = True
        if not self._keyed:
            self._tally.same(before.height)
            return
        keys = self._pairs.matching_columns
        self._tally.pair(before.drop(keys).hstack(after.drop(keys)))

    def _check_order(self, side: SideName, batch: pl.DataFrame) -> None:
        if not self.ascending[side]:
            return
        keys = batch["k0"]
        try:
            rises = not keys.null_count() and bool((keys.slice(1) > keys.head(keys.len() - 1)).all())
            rises = rises and (side not in self._last or keys[0] > self._last[side])
        except (pl.exceptions.PolarsError, TypeError):
            rises = False
        self.ascending[side] = rises
        self._last[side] = keys[-1]

    def _check_repeated(self, side: SideName, rows: pl.DataFrame) -> None:
        keys = [pl.col(name) for name in self._pairs.matching_columns]
        distinct = pl.struct(keys).n_unique() if len(keys) > 1 else keys[0].n_unique()
        if not self.ascending[side] and rows.select(distinct).item() < rows.height:
            raise Repeated(side)


def _joined(waiting: pl.DataFrame | None, batch: pl.DataFrame) -> pl.DataFrame:
    return batch if waiting is None or not waiting.height else pl.concat([waiting, batch]).rechunk()


def _gather(rows: pl.DataFrame, places: pl.Series) -> pl.DataFrame:
    """The rows at these places."""
    if places.is_sorted():
        return rows.filter(pl.repeat(False, rows.height, eager=True).scatter(places, True))
    return rows[places]


def reject_repeated(lf: pl.LazyFrame, pairs: Pairs, side: SideName, version: int, rows: int, memory_bytes: int) -> None:
    """Raise ``errors.Conflict`` if rows of a version have the same key. Memory grows with what 64 bits a row take."""
    slices = max(1, rows * 64 // memory_bytes)
    repeated = 0
    keys = lf.select(pairs.read_keys(side))
    number = pl.struct(pairs.matching_columns).hash()
    for place in range(slices):
        hashes = keys.select(number.alias("h")).filter(pl.col("h") % slices == place).collect(engine="streaming")["h"]
        distinct = hashes.n_unique()
        if distinct < hashes.len():
            repeated += hashes.len() - distinct
    if not repeated:
        return
    names = ", ".join(pairs.key)
    raise errors.Conflict(
        f"{repeated} rows of version {version} repeat the key ({names}) of an earlier row, so rows cannot be matched; "
        "name columns that identify a row, as in key=a,b, or remove duplicates in the pipeline with drop_duplicates",
        version=version, key=pairs.key, repeated=repeated,
    )  # fmt: skip
