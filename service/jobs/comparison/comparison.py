"""Comparison: one pass over the rows of two versions, whatever their size, in bounded memory.

Versions of one pipeline mostly have their rows in the same order. So both are read in step: rows of the next batches
are matched by their key in memory; the rows before the last match that found none are set aside (``unmatched``), and
those after it wait for the next batch. What was set aside is matched at the end, by hash, in buckets on disk: all rows,
if the orders have nothing in common. Without a key, rows are matched by a hash of their values and then compared, and
the n-th of equal rows matches the n-th one of the other version.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import polars as pl

from service.jobs.comparison.pairs import ROW, SAME, Pairs, SideName
from service.jobs.comparison.tally import Tally
from service.jobs.comparison.unmatched import Unmatched
from service.kit import errors

_PLACE: dict[SideName, str] = {"b": "place b", "a": "place a"}


class Repeated(Exception):
    """Several rows of a version have one key."""

    def __init__(self, side: SideName) -> None:
        super().__init__(side)
        self.side = side


class Comparison:
    """Matches the rows of two versions and counts them in ``tally``; at most ``most_waiting`` rows wait for a batch."""

    def __init__(self, pairs: Pairs, tally: Tally, unmatched: Unmatched, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._pairs = pairs
        self._tally = tally
        self._unmatched = unmatched
        self._keyed = bool(pairs.key)
        self._last: dict[SideName, object] = {}
        self.ascending: dict[SideName, bool] = dict.fromkeys(ROW, len(pairs.key) == 1)
        """Whether the keys of a version have only risen from row to row, so that none can be there twice."""

    def run(self, batches: dict[SideName, Iterator[pl.DataFrame]]) -> None:
        """Compare all rows. Raises ``Repeated`` if a key is seen twice nearby."""
        rest: dict[SideName, pl.DataFrame | None] = {"b": None, "a": None}
        ended: set[SideName] = set()
        while len(ended) < 2:
            behind = self._behind(rest, ended)
            for side in behind:
                more = self._with_next(side, rest[side], batches[side])
                if more is None:
                    ended.add(side)
                else:
                    rest[side] = more
                del more
            before, after = rest["b"], rest["a"]
            if before is not None and after is not None and before.height and after.height:
                rest = self._align(before, after)
            del before, after  # the next batches need their memory
            if len(ended) == 1:
                self._drain(rest, ended)
        for side, rows in rest.items():
            if rows is not None:
                self._unmatched.add(side, rows)
        self._finish()

    def _with_next(
        self, side: SideName, waiting: pl.DataFrame | None, batches: Iterator[pl.DataFrame]
    ) -> pl.DataFrame | None:
        """The rows that wait and the next batch of a version; None at its end."""
        batch = next(batches, None)
        if batch is None:
            return None
        self._tally.read(side, batch)
        self._check_order(side, batch)
        return batch if waiting is None or not waiting.height else pl.concat([waiting, batch]).rechunk()

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
            self._in_step(before, after, before.hstack(after.drop(matching)))
            return {"b": before.clear(), "a": after.clear()}
        places = self._match(before, after)
        waiting: dict[SideName, pl.DataFrame | None] = {}
        for side, rows in (("b", before), ("a", after)):
            name = cast("SideName", side)
            found = places[_PLACE[name]]
            end = int(found.max()) + 1 if len(found) else rows.height  # type: ignore[arg-type]
            if rows.height - end > self._most_waiting:
                end = rows.height
            missed = ~pl.repeat(False, end, eager=True).scatter(found, True)
            self._unmatched.add(name, rows.head(end), missed)
            waiting[name] = rows.slice(end)
        return waiting

    def _in_step(self, before: pl.DataFrame, after: pl.DataFrame, rows: pl.DataFrame) -> None:
        """Two batches whose rows match one by one."""
        if self._keyed:
            self._check_repeated("b", before)
            self._tally.pair(rows)
            return
        equal = self._tally.equal(rows)
        if not equal.all():
            self._unmatched.add("b", before, ~equal)
            self._unmatched.add("a", after, ~equal)

    def _match(self, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
        """Pair the rows that match; answers their places in the two frames."""
        sides = {}
        for side, rows in (("b", before), ("a", after)):
            name = cast("SideName", side)
            if self._keyed:
                self._check_repeated(name, rows)
            numbers = [] if self._keyed else [_same(rows["k0"])]
            place = pl.int_range(rows.height, dtype=pl.UInt32).alias(_PLACE[name])
            sides[name] = rows.select(*self._pairs.matching_columns, *numbers, place)
        places = (
            sides["b"]
            .join(sides["a"], on=self._pairs.matching, how="inner", nulls_equal=True, maintain_order="left")
            .select(*_PLACE.values())
        )
        if not places.height:
            return places
        keys = self._pairs.matching_columns
        rows = _gather(before, places[_PLACE["b"]]).hstack(_gather(after, places[_PLACE["a"]]).drop(keys))
        if self._keyed:
            self._tally.pair(rows)
            return places
        return places.filter(self._tally.equal(rows))

    def _finish(self) -> None:
        """Match what was set aside; the rest was added or removed."""
        for bucket in self._unmatched.buckets():
            before, after = bucket.get("b"), bucket.get("a")
            places = self._match(before, after) if before is not None and after is not None else None
            for side, rows in bucket.items():
                left = rows
                if places is not None:
                    left = rows.filter(~pl.repeat(False, rows.height, eager=True).scatter(places[_PLACE[side]], True))
                self._tally.leave(side, left)

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
        if (
            not self.ascending[side]
            and rows.select(pl.struct(self._pairs.matching_columns).n_unique()).item() < rows.height
        ):
            raise Repeated(side)


def _same(hashes: pl.Series) -> pl.Expr:
    """The number of each row among those with its hash."""
    if hashes.n_unique() == hashes.len():
        return pl.lit(0, pl.UInt32).alias(SAME)
    return pl.int_range(pl.len(), dtype=pl.UInt32).over("k0").alias(SAME)


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
