"""Inference of CSV column types from a sample of their text, so that no information is lost.

A column is numeric only if every value in the sample is a number *and the number says as much as the text*: leading
zeros (``00501``), a leading plus, and more digits than the type holds make it text. Values outside the sample are
checked when they are read: numbers are compared with their text, and the run fails with column and value instead of
dropping a zero.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from service.kit import lazy
from service.values import parse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_TRUE, _FALSE = ("true",), ("false",)
_INTEGER_DIGITS = 15
"""The most digits of a whole number in a float column: more would be rounded."""
_FLOAT_DIGITS = 17
_GLANCE = 200
_PADDED = r"^[+-]?0\d|^\+"


def infer(sample: pl.DataFrame, *, dates: bool, decimal_comma: bool) -> dict[str, pl.DataType]:
    """The type of each column of ``sample`` (all String); a column without values is text.

    An empty text is not a value: a file with quotes around all fields writes missing numbers so.
    """
    sample = sample.with_columns(pl.when(pl.all() != "").then(pl.all()))
    types: dict[str, pl.DataType] = dict.fromkeys(sample.columns, pl.String())
    filled = [n for n, c in zip(sample.columns, sample.count().row(0), strict=True) if c]
    comma = "," if decimal_comma else "."
    numbers = _columns_that_fit(sample, filled, lambda text: _float(text, comma))
    whole = _columns_that_fit(sample, numbers, lambda text: text.cast(pl.Int64, strict=False))
    others = [n for n in filled if n not in numbers]
    for name in _columns_where(sample, whole, lambda text: ~_padded(text)):
        types[name] = pl.Int64()
    for name in _exact_floats(sample, [n for n in numbers if n not in whole], comma):
        types[name] = pl.Float64()
    for name in _columns_where(sample, others, lambda text: text.str.to_lowercase().is_in(_TRUE + _FALSE)):
        types[name] = pl.Boolean()
    if dates:
        for dtype in (pl.Datetime("us"), pl.Date()):  # a column of dates is one of datetimes too
            read = functools.partial(parse.tolerantly, dtype=dtype)
            types |= dict.fromkeys(_columns_that_fit(sample, others, read), dtype)
    return types


def infer_and_cast(
    text: pl.LazyFrame, parts: Iterable[pl.LazyFrame], known: Collection[str], *, decimal_comma: bool = False
) -> pl.LazyFrame:
    """``text``, the union of ``parts``, with each column (except ``known``) cast to a type that all values fit."""
    types: dict[str, pl.DataType] = {}
    long = set[str]()
    for part in parts:
        rows = part.select(pl.exclude(known)).select(pl.col(pl.String)).collect()
        for name, dtype in infer(rows, dates=False, decimal_comma=decimal_comma).items():
            if rows[name].null_count() < rows.height:
                types[name] = _common_type(types[name], dtype) if name in types else dtype
                if dtype == pl.Int64 and (rows[name].str.len_bytes() > _INTEGER_DIGITS).any():
                    long.add(name)
    types |= {name: pl.String() for name in long if types[name] == pl.Float64}
    present = text.collect_schema()
    casts = []
    for name, dtype in types.items():
        if name in present and dtype != pl.String:
            casts.append(cast_checked(name, dtype, why="all values fit it", decimal_comma=decimal_comma))
    return text.with_columns(casts)


def _common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other:
        return one
    return pl.Float64() if {one, other} == {pl.Int64(), pl.Float64()} else pl.String()


def _samples(sample: pl.DataFrame) -> list[pl.DataFrame]:
    """The beginning of the sample, then all of it: most text columns are recognized at the beginning."""
    return [sample.head(_GLANCE), sample] if sample.height > _GLANCE else [sample]


def _columns_that_fit(sample: pl.DataFrame, names: list[str], read: Callable[[pl.Expr], pl.Expr]) -> list[str]:
    """The columns in which ``read`` can read every value."""
    for part in _samples(sample):
        if names:
            lost = part.select((read(pl.col(n)).null_count() - pl.col(n).null_count()).alias(n) for n in names).row(0)
            names = [n for n, count in zip(names, lost, strict=True) if not count]
    return names


def _columns_where(sample: pl.DataFrame, names: list[str], test: Callable[[pl.Expr], pl.Expr]) -> list[str]:
    """The columns in which ``test`` holds for every value."""
    for part in _samples(sample):
        if names:
            holds_for = part.select(test(pl.col(names)).all()).row(0)
            names = [n for n, holds in zip(names, holds_for, strict=True) if holds]
    return names


def _padded(text: pl.Expr) -> pl.Expr:
    """Whether a whole number has a leading zero or plus; cheaper than formatting the number and comparing.

    In byte order ``:`` follows ``9``, and ``+`` and ``-0`` precede ``-1``; so does ``-0.5`` among floats.
    """
    return ((text >= "00") & (text < "0:")) | ((text >= "+") & (text < "-1"))


def _exact_floats(sample: pl.DataFrame, names: list[str], comma: str) -> list[str]:
    """The numeric columns in which a float says as much as the text."""
    return [n for n in _columns_where(sample, names, lambda text: ~_rounded(text, comma)) if _has_digits(sample[n])]


def _has_digits(text: pl.Series) -> bool:
    return bool(text.str.contains(r"\d").any())  # a column of only 'nan' and 'inf' is text


def _rounded(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether the text of a number says more than the float that it would become."""
    return _says_more_than_float(text, comma) | _overflows(text, comma)


def _says_more_than_float(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether a number is padded, or has more digits than a float."""
    point = re.escape(comma)
    whole = rf"^-?0*[1-9]\d{{{_INTEGER_DIGITS},}}$"
    digits = rf"^-?[0{point}]*[1-9](?:{point}?\d){{{_FLOAT_DIGITS},}}"
    return text.str.contains(f"{_PADDED}|{whole}|{digits}")


def _overflows(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether it is a number (not the word 'inf') that is infinite as a float."""
    return pl.when(_float(text, comma).is_infinite()).then(text).str.contains(r"\d")


def _float(text: pl.Expr, comma: str) -> pl.Expr:
    return parse.tolerantly(text, pl.Float64(), decimal_comma=comma == ",")


def _may_say_more(text: pl.Expr, comma: str) -> pl.Expr:
    """A cheap first test for ``_says_more_than_float``, by beginning, length and size; false for most numbers."""
    long = text.str.len_bytes() > _FLOAT_DIGITS + len(comma)
    return _padded(text) | long | (_float(text, comma).abs() >= 10.0**_INTEGER_DIGITS)


def cast_checked(
    name: str, dtype: pl.DataType, *, why: str, at: tuple[str, str] | None = None, decimal_comma: bool = False
) -> pl.Expr:
    """The expression that reads a String column as the inferred type, and fails if information would be lost."""
    text, comma = pl.col(name), "," if decimal_comma else "."
    insist = functools.partial(parse.insist, column=name, dtype=dtype, why=why, blank=True, at=at)
    if dtype == pl.Int64:
        return insist(text.cast(pl.Int64, strict=False), unless=says_more(text, dtype, comma))
    if dtype == pl.Float64:
        return insist(_float(text, comma), unless=says_more(text, dtype, comma))
    if dtype == pl.Boolean:
        return insist(parse.boolean(text, _TRUE, _FALSE))
    return parse.parsed(name, dtype, why=why, blank=True, at=at)


def says_more(text: pl.Expr, dtype: pl.DataType, comma: str) -> pl.Expr:
    """Whether a text says more than the value of the inferred type that it can be read as."""
    if dtype == pl.Int64:
        return _padded(text)
    if dtype == pl.Float64:
        # the engine evaluates a condition again wherever it occurs, so it occurs once
        return _says_more_than_float(pl.when(_may_say_more(text, comma)).then(text), comma) | _overflows(text, comma)
    if dtype == pl.Boolean:  # only the words that inference accepts
        return parse.boolean(text, _TRUE, _FALSE).is_null() & (text != "")
    return text.is_null() & text.is_not_null()
