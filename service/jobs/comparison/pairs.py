"""Pairs: the columns of two versions side by side, and the expressions that read, match and compare them.

Inside a comparison, column ``i`` is called ``b<i>`` before and ``a<i>`` after, so that rows of both fit into one frame
whatever their names are. ``k<i>`` are the columns that match rows: those of the key in a form that both versions have,
or, without a key, a hash of the columns that both have. ``rb`` and ``ra`` are the numbers of a row in each version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from service.kit import errors
from service.values import dtypes, equality

SideName = Literal["b", "a"]
ROW: dict[SideName, str] = {"b": "rb", "a": "ra"}
SAME = "same"
"""Numbers equal rows, if there is no key: the n-th one matches the n-th one of the other version."""


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
        self.matching_columns = [f"k{i}" for i in range(len(key) or 1)]
        self.matching = self.matching_columns if key else [*self.matching_columns, SAME]

    def read(self, side: SideName) -> list[pl.Expr]:
        """The columns of one version under their names in the comparison, and those that match rows."""
        return [*self.read_columns(side), *self.read_keys(side)]

    def read_columns(self, side: SideName) -> list[pl.Expr]:
        """The columns of one version under their names in the comparison."""
        present = [(i, pair) for i, pair in enumerate(self.columns) if pair.type_in(side) is not None]
        return [pl.col(pair.name).alias(f"{side}{i}") for i, pair in present]

    def read_keys(self, side: SideName) -> list[pl.Expr]:
        """The columns that match rows."""
        if not self.key:
            return [self._hash(side).alias("k0")]
        return [
            _form(pl.col(pair.name), *pair.types_from(side)).alias(f"k{i}") for i, pair in enumerate(self._key_pairs)
        ]

    def differ(self) -> list[pl.Expr]:
        """For each column of both versions a boolean under its number: whether the values of a pair of rows differ."""
        return [
            equality.differ(pl.col(f"b{i}"), pl.col(f"a{i}"), pair.before, pair.after).alias(str(i))
            for i, pair in enumerate(self.columns)
            if pair.before is not None and pair.after is not None
        ]

    def rows(self, frame: pl.DataFrame, side: SideName) -> pl.DataFrame:
        """The rows of one version with the names of its columns."""
        return frame.select(
            pl.col(f"{side}{i}").alias(pair.name)
            for i, pair in enumerate(self.columns)
            if pair.type_in(side) is not None
        )

    def _hash(self, side: SideName) -> pl.Expr:
        shared = [pair for pair in self.columns if pair.in_both]
        forms = [_hashed_form(pair, side) for pair in shared] or [pl.lit(side)]
        return pl.struct(form.alias(str(i)) for i, form in enumerate(forms)).hash()


def _key_pair(name: str, columns: dict[str, ColumnPair]) -> ColumnPair:
    pair = columns.get(name)
    if pair is None:
        hint = errors.did_you_mean(name, columns)
        raise errors.Invalid(f"key: no column '{name}'{hint}", field="key", column=name)
    if pair.before is None or pair.after is None:
        where = "later" if pair.before is None else "earlier"
        raise errors.Invalid(f"key: only the {where} version has the column '{name}'", field="key", column=name)
    if not has_form(pair.before, pair.after):
        types = f"{dtypes.name_of(pair.before)} before and {dtypes.name_of(pair.after)} after"
        raise errors.Invalid(
            f"key: the values of '{name}' cannot be matched, as it is {types}; name other columns",
            field="key", column=name,
        )  # fmt: skip
    return pair


def has_form(one: pl.DataType, other: pl.DataType) -> bool:
    """Whether the values of two types have one form in which equal ones are equal."""
    return (
        one == other
        or (one.is_integer() and other.is_integer())
        or (one.is_float() and other.is_float())
        or (equality.is_text(one) and equality.is_text(other))
        or _are_times(one, other)
    )


def _are_times(one: pl.DataType, other: pl.DataType) -> bool:
    days = equality.is_day(one) and equality.is_day(other) and equality.is_zoned(one) == equality.is_zoned(other)
    return days or (isinstance(one, pl.Duration) and isinstance(other, pl.Duration))


def _form(column: pl.Expr, dtype: pl.DataType, other: pl.DataType) -> pl.Expr:
    """A column of ``dtype`` in the form in which values of both types match; only for types with ``has_form``."""
    if equality.is_text(dtype):
        return column if isinstance(dtype, pl.String) else column.cast(pl.String)
    if dtype == other:
        return column
    if dtype.is_integer():
        return column.cast(pl.Int128)
    if dtype.is_float():
        return column.cast(pl.Float64)
    return equality.nanoseconds(column, dtype)


def _hashed_form(pair: ColumnPair, side: SideName) -> pl.Expr:
    """A form that is the same for equal values and nearly always another for others; rows are compared afterwards."""
    dtype, other = pair.types_from(side)
    column = pl.col(pair.name)
    if has_form(dtype, other):
        return _form(column, dtype, other)
    if dtype.is_numeric() and other.is_numeric():
        return column.cast(pl.Float64)
    return pl.when(column.is_not_null()).then(pl.lit(side))  # they differ always
