"""Inference of CSV column types from a sample of their text, so that no information is lost.

A column is numeric only if every value in the sample is a number *and the number says as much as the text*: leading
zeros (``00501``), a leading plus, and more digits than the type holds make it text. Values outside the sample are
checked when they are read: numbers are compared with their text, and the run fails with column and value instead of
dropping a zero.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from service.kit import lazy
from service.values import parse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_TRUE, _FALSE = ("true",), ("false",)
INTEGER_DIGITS = 15
"""The most digits of a whole number in a float column: more would be rounded."""
_EDGE = 10.0**INTEGER_DIGITS
_FLOAT_DIGITS = 17
_GLANCE = 200
_PADDED = r"^[+-]?0\d|^\+"
Text = TypeVar("Text", "pl.Expr", "pl.Series")


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
    for name in _columns_where(sample, whole, lambda text: ~_padded(text, pl.Int64())):
        types[name] = pl.Int64()
    for name in _exact_floats(sample, [n for n in numbers if n not in whole], comma):
        types[name] = pl.Float64()
    for name in _columns_where(sample, others, lambda text: text.str.to_lowercase().is_in(_TRUE + _FALSE)):
        types[name] = pl.Boolean()
    if dates:
        for dtype in (pl.Datetime("us"), pl.Date()):  # a column of dates is one of datetimes too
            dated = functools.partial(parse.tolerantly, dtype=dtype)
            types |= dict.fromkeys(_columns_that_fit(sample, others, dated), dtype)
    return types


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


def _padded(text: Text, dtype: pl.DataType) -> Text:
    """Whether a number has a leading zero or plus; cheaper than formatting the number and comparing.

    In byte order ``:`` follows ``9`` and ``,`` follows ``+``. As a whole number ``-0`` says more than 0.
    """
    below, above = ("-0", "-1") if dtype == pl.Int64 else ("-00", "-0:")
    zeros = ((text >= "00") & (text < "0:")) | ((text >= below) & (text < above))
    return zeros | ((text >= "+") & (text < ","))


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
    whole = rf"^-?0*[1-9]\d{{{INTEGER_DIGITS},}}$"
    digits = rf"^-?[0{point}]*[1-9](?:{point}?\d){{{_FLOAT_DIGITS},}}"
    return text.str.contains(f"{_PADDED}|{whole}|{digits}")


def _overflows(text: pl.Expr, comma: str) -> pl.Expr:
    """Whether it is a number (not the word 'inf') that is infinite as a float."""
    return pl.when(_float(text, comma).is_infinite()).then(text).str.contains(r"\d")


def _float(text: pl.Expr, comma: str) -> pl.Expr:
    return parse.tolerantly(text, pl.Float64(), decimal_comma=comma == ",")


def read(text: pl.Expr, dtype: pl.DataType, *, decimal_comma: bool) -> pl.Expr:
    """A text as the inferred type, null where it is another text; see ``misfits`` for texts that say more."""
    if dtype == pl.Boolean:  # only the words that inference accepts
        return parse.boolean(text, _TRUE, _FALSE)
    return parse.tolerantly(text, dtype, decimal_comma=decimal_comma)


def misfits(batch: pl.DataFrame, dtype: pl.DataType, *, decimal_comma: bool) -> pl.Series | None:
    """The texts that say more than the values of the inferred type that they were read as, if there may be any.

    ``batch`` has the columns ``value`` and ``text``, and ``size``, bytes of the text, for floats. Most numbers are seen
    to be plain by the extremes of a batch, and by one comparison of their texts.
    """
    if dtype not in (pl.Int64, pl.Float64):
        return None
    text = batch.get_column("text")
    low = text < "1"
    if low.any():
        doubtful = text.filter(low)
        padded = _padded(doubtful, dtype)
        if padded.any():
            return doubtful.filter(padded)
    if dtype == pl.Int64:
        return None
    value, size = batch.get_column("value"), batch.get_column("size")
    longest: Any = size.max() or 0
    extremes: tuple[Any, Any] = value.min() or 0, value.max() or 0
    if longest <= _FLOAT_DIGITS + 1 and extremes[0] > -_EDGE and extremes[1] < _EDGE:
        return None
    doubtful = text.filter((size > _FLOAT_DIGITS + 1) | (value >= _EDGE) | (value <= -_EDGE))
    comma = "," if decimal_comma else "."
    return doubtful.to_frame().filter(says_more(pl.col("text"), dtype, comma)).to_series()


def says_more(text: pl.Expr, dtype: pl.DataType, comma: str) -> pl.Expr:
    """Whether a text says more than the value of the inferred type that it can be read as."""
    if dtype == pl.Int64:
        return _padded(text, dtype)
    if dtype == pl.Float64:
        return _rounded(text, comma)
    if dtype == pl.Boolean:
        return parse.boolean(text, _TRUE, _FALSE).is_null() & (text != "")
    return text.is_null() & text.is_not_null()
