"""Checked columns: text columns read as their types, in a plan that fails where a value would lose something.

Value and text of a column travel through one node of the plan, as a struct. The node sees whole batches: it compares
null counts and extremes, which cost next to nothing, and examines single texts only where these leave doubt. Columns
that nobody reads, and rows that a filter on other columns takes out, are neither read nor checked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.collectors.csv_file import type_inference
from service.kit import lazy
from service.values import dtypes, parse

if TYPE_CHECKING:
    import polars as pl

    from service.values import polars_errors
else:
    pl = lazy.module("polars")
    polars_errors = lazy.module("service.values.polars_errors")

_SHOWN = 200  # characters of a value that does not fit


@dataclass(frozen=True)
class CheckedColumn:
    """A text column that is read as ``dtype``; a text that does not fit is an error, but an empty one is missing.

    With ``inferred`` the type is a guess, and a text that says more than the value is an error, too. The error shows
    ``why``, and names ``at``: step and field.
    """

    name: str
    dtype: pl.DataType
    why: str
    at: tuple[str, str] | None = None
    decimal_comma: bool = False
    inferred: bool = False

    def packed(self) -> pl.Expr:
        """What travels: the value, its text, and whether the text was not read.

        Raises ``ValueError`` for types that text cannot be parsed to.
        """
        text = pl.col(self.name)
        read = type_inference.read if self.inferred else parse.tolerantly
        value = read(text, self.dtype, decimal_comma=self.decimal_comma)
        fields = {"value": value, "text": text, "lost": value.is_null() & text.is_not_null()}
        if self.inferred and self.dtype == pl.Float64:
            fields["size"] = text.str.len_bytes()  # as a method of the series it would plan a query for each batch
        return pl.struct(part.alias(name) for name, part in fields.items()).alias(self.name)

    def check(self, column: pl.Series) -> None:
        """Raise the error for the first text of a batch that does not fit."""
        fields = column.struct.unnest()  # a tenth of the time of one field after another
        value, text = fields.get_column("value"), fields.get_column("text")
        misfits = None
        if value.null_count() != text.null_count():
            misfits = text.filter(fields.get_column("lost") & (text != ""))
        if self.inferred and (misfits is None or misfits.is_empty()):
            misfits = type_inference.misfits(fields, self.dtype, decimal_comma=self.decimal_comma)
        if misfits is not None and not misfits.is_empty():
            fits = f"column '{self.name}': {misfits[0][:_SHOWN]} does not fit {dtypes.name_of(self.dtype)}"
            raise polars_errors.placed(f"{fits} ({self.why})", self.at)


def checked(lf: pl.LazyFrame, columns: Sequence[CheckedColumn]) -> pl.LazyFrame:
    """``lf`` with the ``columns`` as their types. Raises ``ValueError`` for types that text cannot be parsed to."""
    read = {c.name: c for c in columns if c.dtype != pl.String}
    if not read:
        return lf

    def check(batch: pl.DataFrame) -> pl.DataFrame:
        present = frozenset(batch.columns)
        for name, column in read.items():
            if name in present:
                column.check(batch.get_column(name))
        return batch

    packed = lf.with_columns(c.packed() for c in read.values())
    seen = packed.map_batches(
        check, predicate_pushdown=True, slice_pushdown=True, projection_pushdown=True, streamable=True
    )
    return seen.with_columns(pl.col(name).struct.field("value").alias(name) for name in read)


def infer_and_cast(
    text: pl.LazyFrame, parts: Iterable[pl.LazyFrame], known: Collection[str], *, decimal_comma: bool = False
) -> pl.LazyFrame:
    """``text``, the union of ``parts``, with each column (except ``known``) cast to a type that all values fit."""
    types: dict[str, pl.DataType] = {}
    long = set[str]()
    for part in parts:
        rows = part.select(pl.exclude(known)).select(pl.col(pl.String)).collect()
        for name, dtype in type_inference.infer(rows, dates=False, decimal_comma=decimal_comma).items():
            if rows[name].null_count() < rows.height:
                types[name] = _common_type(types[name], dtype) if name in types else dtype
                if dtype == pl.Int64 and (rows[name].str.len_bytes() > type_inference.INTEGER_DIGITS).any():
                    long.add(name)
    types |= {name: pl.String() for name in long if types[name] == pl.Float64}
    present = text.collect_schema()
    return checked(
        text,
        [
            CheckedColumn(name, dtype, "all values fit it", decimal_comma=decimal_comma, inferred=True)
            for name, dtype in types.items()
            if name in present
        ],
    )


def _common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other:
        return one
    return pl.Float64() if {one, other} == {pl.Int64(), pl.Float64()} else pl.String()
