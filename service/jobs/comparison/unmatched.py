"""Unmatched rows: those that found no pair near their place, matched when all rows were seen.

They are kept in short, as numbers and digests, in buckets of the digest: 10 million rows take 320 MB. Only rows whose
digests differ are read again, side by side, to see which values changed, and of most only the columns in which others
changed; unchanged rows, and those of one version, are not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from service.jobs.comparison.pairs import DELTA, DIGESTS, NUMBER, REST, ROW, SHORT_BYTES, Pairs, SideName
from service.jobs.comparison.spilled import Spilled, bucket_count
from service.jobs.comparison.tally import Tally
from service.jobs.comparison.version_rows import VersionRows

PLACE: dict[SideName, str] = {"b": "place b", "a": "place a"}
_SAME = "same"
_PAIR_BYTES = 96
"""What a changed pair takes (two numbers, a difference) with copies of it."""
_LEAST_FIRST = 8
"""How many changed pairs are read at least to learn which columns change."""


class Repeated(Exception):
    """Several rows of a version have one key."""

    def __init__(self, side: SideName) -> None:
        super().__init__(side)
        self.side = side


@dataclass(frozen=True)
class Room:
    """What a comparison may take: rows of a batch, bytes of a bucket, and a folder for its files."""

    batch_rows: int
    bucket_bytes: int
    folder: Path


class Unmatched:
    """Rows of both versions in short, and their pairs."""

    def __init__(self, versions: Mapping[SideName, VersionRows], pairs: Pairs, tally: Tally, room: Room) -> None:
        self._versions = versions
        self._pairs = pairs
        self._tally = tally
        self._room = room
        total = sum(rows.count() for rows in versions.values()) * SHORT_BYTES
        buckets = bucket_count(total, room.bucket_bytes)
        self._rows = {side: self._spilled(f"short-{side}", pl.col(DIGESTS[1]), buckets) for side in ROW}
        self._changed: list[pl.DataFrame] = []

    def add(self, side: SideName, rows: pl.DataFrame, wanted: pl.Series | None = None) -> None:
        """Keep these rows of one version, or those of them that are ``wanted``."""
        short = rows.select(self._pairs.short(side))
        self._rows[side].add(short if wanted is None else short.filter(wanted))

    def finish(self, ascending: Mapping[SideName, bool]) -> None:
        """Count the pairs among the rows, and those that have none.

        Raises ``Repeated`` for a key that is there twice, unless the keys of that version are ``ascending``.
        """
        for before, after in zip(self._rows["b"].buckets(), self._rows["a"].buckets(), strict=True):
            sides: dict[SideName, pl.DataFrame | None] = {"b": before, "a": after}
            for side, rows in sides.items():
                if self._pairs.key and not ascending[side] and rows is not None and _repeats(rows):
                    raise Repeated(side)
            if before is not None and after is not None:
                self._match(before, after)
            elif (one := before if before is not None else after) is not None:
                self._tally.leave("b" if before is not None else "a", one[NUMBER])
            if sum(pairs.height for pairs in self._changed) * _PAIR_BYTES > self._room.bucket_bytes:
                self._read_changed()
        self._read_changed()

    def _match(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        found = joined(before, after, unique=bool(self._pairs.key))
        for side, rows in (("b", before), ("a", after)):
            missed = ~pl.repeat(False, rows.height, eager=True).scatter(found[PLACE[side]], True)  # type: ignore[index]
            self._tally.leave(side, rows[NUMBER].filter(missed))  # type: ignore[arg-type]
        if not self._pairs.key:
            self._tally.same(found.height)
            return
        delta = after[REST][found[PLACE["a"]]] - before[REST][found[PLACE["b"]]]
        changed, delta = found.filter(delta != 0), delta.filter(delta != 0)
        self._tally.same(found.height - changed.height)
        if changed.height:
            numbers = [before[NUMBER][changed[PLACE["b"]]].alias(ROW["b"])]
            numbers.append(after[NUMBER][changed[PLACE["a"]]].alias(ROW["a"]))
            self._changed.append(pl.DataFrame([*numbers, delta.alias(DELTA)]))

    def _read_changed(self) -> None:
        """Read the rows of changed pairs, and count their changes.

        The first ones tell which columns change, and only those of the others are read. Where these make up the
        difference of the digests, nothing else has changed; if not, the whole rows are read.
        """
        if not self._changed:
            return
        pairs = pl.concat(self._changed).sort(ROW["a"])
        self._changed.clear()
        first = max(self._tally.limit, _LEAST_FIRST)
        for rows in self._side_by_side(pairs.head(first)):
            self._tally.pair(rows.drop(DELTA))
        known = [column for column, count in sorted(self._tally.changed.items()) if count]
        unknown = [pairs.clear()]
        for rows in self._side_by_side(pairs.slice(first), known):
            explained = rows.select(self._pairs.delta(known) == pl.col(DELTA)).to_series()
            self._tally.pair_columns(rows.filter(explained), known)
            unknown.append(rows.filter(~explained).select(pairs.columns))
        for rows in self._side_by_side(pl.concat(unknown)):
            self._tally.pair(rows.drop(DELTA))

    def _side_by_side(self, pairs: pl.DataFrame, wanted: Collection[int] | None = None) -> Iterator[pl.DataFrame]:
        """The rows of pairs with their columns (those ``wanted``) of both versions, those of the earlier one read
        first."""
        if not pairs.height:
            return
        pairs = pairs.sort(ROW["b"])
        later = self._versions["a"].count()
        before = self._versions["b"]
        buckets = bucket_count(pairs.height * before.row_bytes(), self._room.bucket_bytes)
        spilled = self._spilled("changed", pl.col(ROW["a"]) * buckets // later, buckets)
        columns = {side: self._pairs.read_columns(side, wanted) for side in ROW}
        at = 0
        for rows in before.at(pairs[ROW["b"]], columns["b"], self._room.batch_rows, ROW["b"]):
            spilled.add(rows.hstack(pairs.select(ROW["a"], DELTA).slice(at, rows.height)))
            at += rows.height
        for bucket in spilled.buckets():
            if bucket is None or not bucket.height:
                continue
            ordered, at = bucket.sort(ROW["a"]), 0
            for rows in self._versions["a"].at(ordered[ROW["a"]], columns["a"], self._room.batch_rows, ROW["a"]):
                yield ordered.slice(at, rows.height).drop(ROW["a"]).hstack(rows)
                at += rows.height

    def _spilled(self, name: str, bucket: pl.Expr, buckets: int) -> Spilled:
        return Spilled(self._room.folder, name, bucket, buckets, self._room.bucket_bytes // 4)


def joined(before: pl.DataFrame, after: pl.DataFrame, *, unique: bool = False) -> pl.DataFrame:
    """The places of rows with the same digests in two frames, in any order.

    Unless all are known to be ``unique``, the n-th of equal rows matches the n-th one.
    """
    unique = unique or all(rows[DIGESTS[0]].n_unique() == rows.height for rows in (before, after))
    sides = []
    for side, rows in (("b", before), ("a", after)):
        columns = rows.select(DIGESTS).with_row_index(PLACE[side])  # type: ignore[index]
        if not unique:
            columns = columns.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over(DIGESTS).alias(_SAME))
        sides.append(columns)
    found = sides[0].join(sides[1], on=DIGESTS[:1] if unique else [*DIGESTS, _SAME], how="inner")
    if unique:
        found = found.filter(pl.col(DIGESTS[1]) == pl.col(f"{DIGESTS[1]}_right"))
    return found.select(PLACE.values())


def _repeats(rows: pl.DataFrame) -> bool:
    """Whether two rows have the same digests."""
    return rows[DIGESTS[0]].n_unique() < rows.height and rows.select(pl.struct(DIGESTS).n_unique()).item() < rows.height
