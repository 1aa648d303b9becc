"""Decimals from text: the values, and where they have fewer digits than the text, from one reading of it.

Polars' own cast rounds in silence, and a second look at the text costs as much as the cast. A float tells both. A
text of at most ``_LENGTH`` bytes has at most 15 digits or is a whole number, so that different numbers have different
floats. Let ``n`` be the float times ``10^scale``, rounded; below ``_EXACT`` that is off by less than a half. The text
is ``n / 10^scale`` if its float is that of the quotient, and has digits beyond the scale if not. What a float cannot
tell is read as text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from service.kit import lazy
from service.values import number_text

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_LENGTH = 16
_EXACT = 2.0**51
_ROUNDING = 1.5 * 2.0**52  # added and taken away again, it leaves no fraction of a float below _EXACT
_SCALE = 22  # greater powers of ten are not exact as floats
_UNDERFLOW = len("1e-324")  # the shortest text of a number that is 0 as a float and not in truth


def rounded(text: pl.Expr, target: pl.Decimal) -> pl.Expr:
    """The text, trimmed, as decimals, halves to even; null where it is not a number or has too many digits."""
    return text.map_batches(lambda batch: _read(batch, target, trim=True)[0], return_dtype=target, is_elementwise=True)


def counted(text: pl.Expr, target: pl.Decimal) -> pl.Expr:
    """A struct of ``value``, as ``rounded``, and ``cut``: whether the text has digits that the value has not."""

    def both(batch: pl.Series) -> pl.Series:
        value, cut = _read(batch, target, trim=True)
        return pl.DataFrame({"value": value, "cut": cut}).to_struct(batch.name)

    kind = pl.Struct({"value": target, "cut": pl.Boolean()})
    return text.map_batches(both, return_dtype=kind, is_elementwise=True)


def exact(text: pl.Expr, target: pl.Decimal) -> pl.Expr:
    """The text as decimals, as it is; null also where a digit would be lost."""

    def whole(batch: pl.Series) -> pl.Series:
        value, cut = _read(batch, target, trim=False)
        return value.zip_with(~cut.fill_null(value=False), value.clear(len(value))) if cut.any() else value

    return text.map_batches(whole, return_dtype=target, is_elementwise=True)


def _read(text: pl.Series, target: pl.Decimal, *, trim: bool) -> tuple[pl.Series, pl.Series]:
    """The values, and whether their texts have more digits (null where there is no value)."""
    slowly = functools.partial(_slowly, target=target, trim=trim)
    beyond = functools.partial(_beyond, scale=target.scale)
    length = text.str.len_bytes()
    if target.scale > _SCALE or int(length.sum()) > _LENGTH * len(text):
        return slowly(text), beyond(text)
    number = text.cast(pl.Float64, strict=False)
    if trim and 2 * number.null_count() > len(text):
        trimmed = text.str.strip_chars()
        if trimmed.str.len_bytes().sum() < length.sum():
            return _read(trimmed, target, trim=False)
    unit, most = 10.0**target.scale, min(_EXACT, 10.0 ** (target.precision or 38))
    whole = (number * unit + _ROUNDING) - _ROUNDING
    same = whole / (number * 0.0 + unit) == number  # Polars divides by a scalar inexactly: times its reciprocal
    told = (length <= _LENGTH) & ((number != 0) | (length < _UNDERFLOW)) & (whole < _EXACT) & (whole > -_EXACT)
    cut, sure = told & ~same, told & same & (whole < most) & (whole > -most)
    if sure.all() and number.null_count() == text.null_count():
        return number.cast(target, strict=False), cut
    rest = _not_true(sure, text)
    value = _replaced(number.set(rest, None).cast(target, strict=False), rest, text, slowly)
    if told.all() and number.null_count() == text.null_count():
        return value, cut
    return value, _replaced(cut, _not_true(told, text), text, beyond)


def _not_true(flags: pl.Series, text: pl.Series) -> pl.Series:
    rest = ~flags.fill_null(value=False)
    return rest & text.is_not_null() if text.null_count() else rest


def _replaced(quick: pl.Series, rest: pl.Series, text: pl.Series, read: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """``quick``, and where ``rest`` is true what ``read`` makes of the text; all of that where it is the most."""
    if 2 * int(rest.sum()) > len(text):
        return read(text)
    return quick.scatter(rest.arg_true(), read(text.filter(rest))) if rest.any() else quick


def _slowly(text: pl.Series, target: pl.Decimal, *, trim: bool) -> pl.Series:
    def cast(shown: pl.Expr) -> pl.Expr:
        return shown.cast(target, strict=False)

    value = text.cast(target, strict=False)
    return number_text.trimmed_where_missing(value, text, cast) if trim else value


def _beyond(text: pl.Series, scale: int) -> pl.Series:
    """Whether a number in plain digits has others than zeros after ``scale`` digits behind its point."""
    found = text.str.contains(rf"\.[0-9]{{{scale}}}[0-9]*[1-9]|[eE]").fill_null(value=False)
    rows = found.arg_true()
    powers = rows.filter(text.gather(rows).str.contains("[eE]")) if len(rows) else rows
    if not len(powers):
        return found
    return found.scatter(
        powers, pl.DataFrame({"text": text.gather(powers)}).select(_digits("text") > scale).to_series()
    )


def _digits(name: str) -> pl.Expr:
    """The decimals of a number with an exponent: the places after the point up to the last one that is not zero."""
    parts = pl.col(name).str.extract_groups(r"([0-9]*)\.?([0-9]*)[eE]([-+]?[0-9]+)").struct
    whole, fraction = parts.field("1"), parts.field("2").str.strip_chars_end("0")
    short = whole.str.strip_chars_end("0")
    size = whole.str.len_bytes().cast(pl.Float64)
    places = (
        pl.when(fraction != "")
        .then(fraction.str.len_bytes().cast(pl.Float64))
        .when(short != "")
        .then(short.str.len_bytes() - size)
    )
    return (places - parts.field("3").cast(pl.Float64)).fill_null(0)
