"""Pairs: the columns of two versions side by side, and the expressions that read, match and compare them.

Inside a comparison, column ``i`` is called ``b<i>`` before and ``a<i>`` after, so that rows of both fit into one frame
whatever their names are; ``rb`` and ``ra`` are the numbers of a row in each version. ``k<i>`` are the columns of the
key in a form that both versions have. A row in short has its number as ``n``, two digests of what matches it (the key,
or, without one, all columns that both versions have), ``m0`` and ``m1``, and one of the other columns, ``v``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from service.jobs.comparison import digests
from service.kit import errors
from service.values import dtypes, equality

SideName = Literal["b", "a"]
ROW: dict[SideName, str] = {"b": "rb", "a": "ra"}
DIGESTS = ["m0", "m1"]
NUMBER, REST = "n", "v"
DELTA = "delta"
"""How much ``v`` of a row grew, which is the sum over its columns."""
SHORT_BYTES = 32
"""The size of a row in short."""


@dataclass(frozen=True)
class ColumnPair:
    """A column: its name, and its type in each version that has it."""

    name: str
    before: pl.DataType | None
    after: pl.DataType | None

    @property
    def in_both(self) -> bool:
        return self.before is not None and self.after is not None

    def types_from(self, side: SideName) -> tuple[pl.DataType, pl.DataType]:
        """Its type in one version and in the other one; both must have it."""
        assert self.before is not None
        assert self.after is not None
        return (self.before, self.after) if side == "b" else (self.after, self.before)

    def type_in(self, side: SideName) -> pl.DataType | None:
        """Its type in one version, None if it is not there."""
        return self.before if side == "b" else self.after


class Pairs:
    """The columns of both versions, in the order of the later one, removed ones last, and the key.

    Raises ``errors.Invalid`` if a key column is not in both, or has types that cannot be matched.
    """

    def __init__(self, before: pl.Schema, after: pl.Schema, key: Sequence[str]) -> None:
        names = [*after, *(name for name in before if name not in after)]
        self.columns = [ColumnPair(name, before.get(name), after.get(name)) for name in names]
        self.key = list(key)
        by_name = {pair.name: pair for pair in self.columns}
        self._key_pairs = [_key_pair(name, by_name) for name in key]
        self.matching_columns = [f"k{i}" for i in range(len(key))] or DIGESTS
        self._seeds = [digests.seeds(len(self.columns)) for _ in range(3)]
        self._others = [i for i, pair in enumerate(self.columns) if pair.in_both and pair.name not in self.key]

    def read(self, side: SideName) -> list[pl.Expr]:
        """The columns of one version under their names in the comparison, and those that match rows."""
        return [*self.read_columns(side), *self.read_keys(side)]

    def read_columns(self, side: SideName, wanted: Collection[int] | None = None) -> list[pl.Expr]:
        """The columns of one version (with these numbers) under their names in the comparison."""
        present = [(i, pair) for i, pair in enumerate(self.columns) if pair.type_in(side) is not None]
        return [pl.col(pair.name).alias(f"{side}{i}") for i, pair in present if wanted is None or i in wanted]

    def read_keys(self, side: SideName) -> list[pl.Expr]:
        """The columns that match rows."""
        if not self.key:
            values = [_comparable(pl.col(pair.name), pair, side) for pair in self.columns if pair.in_both]
            return self._digests(values or [pl.lit(side)])
        return [
            digests.form(pl.col(pair.name), *pair.types_from(side)).alias(f"k{i}")
            for i, pair in enumerate(self._key_pairs)
        ]

    def short(self, side: SideName) -> list[pl.Expr]:
        """Rows in short, from rows with the columns that are ``read``."""
        number = pl.col(ROW[side]).alias(NUMBER)
        if not self.key:
            return [*map(pl.col, DIGESTS), number]
        keys = self._digests([pl.col(name) for name in self.matching_columns])
        return [*keys, self._rest(side, self._others).alias(REST), number]

    def delta(self, columns: Collection[int]) -> pl.Expr:
        """What the columns with these numbers add to ``DELTA`` of a pair of rows."""
        return self._rest("a", columns) - self._rest("b", columns)

    def differ(self, wanted: Collection[int] | None = None) -> list[pl.Expr]:
        """For each column of both versions (with these numbers) a boolean under its number: whether the values of a
        pair of rows differ."""
        return [
            equality.differ(pl.col(f"b{i}"), pl.col(f"a{i}"), pair.before, pair.after).alias(str(i))
            for i, pair in enumerate(self.columns)
            if pair.before is not None and pair.after is not None and (wanted is None or i in wanted)
        ]

    def rows(self, frame: pl.DataFrame, side: SideName) -> pl.DataFrame:
        """The rows of one version with the names of its columns."""
        return frame.select(
            pl.col(f"{side}{i}").alias(pair.name)
            for i, pair in enumerate(self.columns)
            if pair.type_in(side) is not None
        )

    def _rest(self, side: SideName, columns: Collection[int]) -> pl.Expr:
        values = [_comparable(pl.col(f"{side}{i}"), self.columns[i], side) for i in columns]
        return digests.digest(values, [self._seeds[2][i] for i in columns])

    def _digests(self, values: Sequence[pl.Expr]) -> list[pl.Expr]:
        seeds = zip(self._seeds, DIGESTS, strict=False)
        return [digests.digest(values, own[: len(values)]).alias(name) for own, name in seeds]


def _comparable(column: pl.Expr, pair: ColumnPair, side: SideName) -> pl.Expr:
    return digests.comparable(column, *pair.types_from(side), label=side)


def _key_pair(name: str, columns: dict[str, ColumnPair]) -> ColumnPair:
    pair = columns.get(name)
    if pair is None:
        hint = errors.did_you_mean(name, columns)
        raise errors.Invalid(f"key: no column '{name}'{hint}", field="key", column=name)
    if pair.before is None or pair.after is None:
        where = "later" if pair.before is None else "earlier"
        raise errors.Invalid(f"key: only the {where} version has the column '{name}'", field="key", column=name)
    if not digests.has_form(pair.before, pair.after):
        types = f"{dtypes.name_of(pair.before)} before and {dtypes.name_of(pair.after)} after"
        raise errors.Invalid(
            f"key: the values of '{name}' cannot be matched, as it is {types}; name other columns",
            field="key", column=name,
        )  # fmt: skip
    return pair
