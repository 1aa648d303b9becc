"""Types of CSV columns from a sample of their text, so that nothing is lost.

A column is a number only if every value in the sample is one *and says no more than the number*: leading zeros
(``00501``), a leading plus, and more digits than the type holds make it text. What the sample did not show cannot
slip through later: numbers are compared with their text as they are read, and the run fails with column and value
instead of dropping a zero.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable

import polars as pl

from service.values import parse

_TRUE, _FALSE = ("true",), ("false",)
_INTEGER_DIGITS = 15
"""A whole number in a column of floats may have as many: more would be rounded."""
_FLOAT_DIGITS = 17
_GLANCE = 200
_MORE_THAN_A_NUMBER = r"^[+-]?0\d|^\+"


def infer(sample: pl.DataFrame, *, dates: bool, decimal_comma: bool) -> dict[str, pl.DataType]:
    """The type of each column of ``sample`` (all String); columns without any value are text.

    An empty text is no value: in a file with quotes around all fields that is how a missing number looks.
    """
    sample = sample.with_columns(pl.when(pl.all() != "").then(pl.all()))
    types: dict[str, pl.DataType] = dict.fromkeys(sample.columns, pl.String())
    filled = [n for n, c in zip(sample.columns, sample.count().row(0), strict=True) if c]
    comma = "," if decimal_comma else "."
    numbers = _fitting(sample, filled, lambda text: _float(text, comma))
    whole = _fitting(sample, numbers, lambda text: text.cast(pl.Int64, strict=False))
    others = [n for n in filled if n not in numbers]
    for name in _where(sample, whole, lambda text: ~_padded(text)):
        types[name] = pl.Int64()
    for name in _exact(sample, [n for n in numbers if n not in whole], comma):
        types[name] = pl.Float64()
    for name in _where(sample, others, lambda text: text.str.to_lowercase().is_in(_TRUE + _FALSE)):
        types[name] = pl.Boolean()
    if dates:
        for dtype in (pl.Datetime("us"), pl.Date()):  # a column of dates is one of datetimes too
            read = functools.partial(parse.tolerantly, dtype=dtype)
            types |= dict.fromkeys(_fitting(sample, others, read), dtype)
    return types


def united(
    text: pl.LazyFrame, parts: Iterable[pl.LazyFrame], known: Collection[str], *, decimal_comma: bool = False
) -> pl.LazyFrame:
    """``text``, which consists of ``parts``, with the types that all values of its columns fit, but for those known."""
    types: dict[str, pl.DataType] = {}
    long = set[str]()
    for part in parts:
        rows = part.select(pl.exclude(known)).select(pl.col(pl.String)).collect()
        for name, dtype in infer(rows, dates=False, decimal_comma=decimal_comma).items():
            if rows[name].null_count() < rows.height:
                types[name] = _both(types[name], dtype) if name in types else dtype
                if dtype == pl.Int64 and (rows[name].str.len_bytes() > _INTEGER_DIGITS).any():
                    long.add(name)
    types |= {name: pl.String() for name in long if types[name] == pl.Float64}
    present = text.collect_schema()
    casts = []
    for name, dtype in types.items():
        if name in present and dtype != pl.String:
            casts.append(typed(name, dtype, why="all of them fit it", decimal_comma=decimal_comma))
    return text.with_columns(casts)


def _both(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other:
        return one
    return pl.Float64() if {one, other} == {pl.Int64(), pl.Float64()} else pl.String()


def _looks(sample: pl.DataFrame) -> list[pl.DataFrame]:
    """The sample, after a glance at its beginning: most columns are plainly text, and drop out there."""
    return [sample.head(_GLANCE), sample] if sample.height > _GLANCE else [sample]


def _fitting(sample: pl.DataFrame, names: list[str], read: Callable[[pl.Expr], pl.Expr]) -> list[str]:
    """The columns in which ``read`` makes something of every value."""
    for part in _looks(sample):
        if names:
            lost = part.select((read(pl.col(n)).null_count() - pl.col(n).null_count()).alias(n) for n in names).row(0)
            names = [n for n, count in zip(names, lost, strict=True) if not count]
    return names


def _where(sample: pl.DataFrame, names: list[str], test: Callable[[pl.Expr], pl.Expr]) -> list[str]:
    """The columns in which the test holds for every value."""
    for part in _looks(sample):
        if names:
            held = part.select(test(pl.col(names)).all()).row(0)
            names = [n for n, holds in zip(names, held, strict=True) if holds]
    return names


def _padded(text: pl.Expr) -> pl.Expr:
    """Whether a whole number has a leading zero or plus: cheaper than writing the number back and comparing.

    Byte by byte ``:`` comes after ``9``, and before ``-1`` come ``+`` and ``-0``; among floats ``-0.5``, too.
    """
    return ((text >= "00") & (text < "0:")) | ((text >= "+") & (text < "-1"))


def _exact(sample: pl.DataFrame, names: list[str], comma: str) -> list[str]:
    """The numeric columns that say no more than floats do."""
    return [n for n in _where(sample, names, lambda text: ~_rounded(text, comma)) if _figures(sample[n])]


def _figures(text: pl.Series) -> bool:
    return bool(text.str.contains(r"\d").any())  # 'nan' and 'inf' alone are words


def _rounded(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether a number says more than the float that it would become."""
    return _more(text, comma) | _endless(text, comma)


def _more(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether a number is padded, or has more digits than a float."""
    point = re.escape(comma)
    whole = rf"^-?0*[1-9]\d{{{_INTEGER_DIGITS},}}$"
    digits = rf"^-?[0{point}]*[1-9](?:{point}?\d){{{_FLOAT_DIGITS},}}"
    return text.str.contains(f"{_MORE_THAN_A_NUMBER}|{whole}|{digits}")


def _endless(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether it is a number, and no word, that is infinite as a float."""
    return pl.when(_float(text, comma).is_infinite()).then(text).str.contains(r"\d")


def _float(text: pl.Expr, comma: str) -> pl.Expr:
    return parse.tolerantly(text, pl.Float64(), decimal_comma=comma == ",")


def _dubious(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether a number may be one of ``_more``, told cheaply by its beginning, length and size; most are not."""
    long = text.str.len_bytes() > _FLOAT_DIGITS + len(comma)
    return _padded(text) | long | (_float(text, comma).abs() >= 10.0**_INTEGER_DIGITS)


def typed(
    name: str, dtype: pl.DataType, *, why: str, at: tuple[str, str] | None = None, decimal_comma: bool = False
) -> pl.Expr:
    """The expression that reads a String column as the inferred type, and fails where something would be lost."""
    text, comma = pl.col(name), "," if decimal_comma else "."
    insist = functools.partial(parse.insist, column=name, dtype=dtype, why=why, blank=True, at=at)
    if dtype == pl.Int64:
        return insist(text.cast(pl.Int64, strict=False), unless=lost(text, dtype, comma))
    if dtype == pl.Float64:
        return insist(_float(text, comma), unless=lost(text, dtype, comma))
    if dtype == pl.Boolean:
        return insist(parse.boolean(text, _TRUE, _FALSE))
    return parse.parsed(name, dtype, why=why, blank=True, at=at)


def lost(text: pl.Expr, dtype: pl.DataType, comma: str) -> pl.Expr:
    """Whether a text says more than the value of the inferred type that it can be read as."""
    if dtype == pl.Int64:
        return _padded(text)
    if dtype == pl.Float64:
        # the engine works a condition out again wherever it stands, so it stands in one place
        return _more(pl.when(_dubious(text, comma)).then(text), comma) | _endless(text, comma)
    if dtype == pl.Boolean:  # of the words that the sample had; others would read the same
        return parse.boolean(text, _TRUE, _FALSE).is_null() & (text != "")
    return text.is_null() & text.is_not_null()
