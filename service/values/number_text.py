"""Numbers as people write them: separators, signs, percent and currency, as row-local expressions.

``NumberText`` says how the texts of a column are written; ``plain`` turns such a text into the form that machines read
(``-1299.5``), and any other text into null. Numbers in plain digits, with or without an exponent, are always read.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

SEPARATORS = {",": ",", ".": r"\.", " ": r"[ \u{a0}\u{2007}\u{2009}\u{202f}]", "'": "['\u2019]", "_": "_"}
"""Thousands separators, and the regular expressions of the characters that they stand for."""
_ANY_CURRENCY = r"(?:\p{Lu}{0,3}\p{Sc}|[A-Z]{3}|kr\.?|zł|Kč|Ft|Fr\.?|lei|円|元)"
_EXACT = 2**53  # from here on, a float may stand for several whole numbers
_FEW = 1_000
_FLOAT_DIGITS = 15  # decimal numbers of this many digits have different floats


@dataclass(frozen=True)
class NumberText:
    """How numbers are written. ``currency``: True for any symbol or code, or the ones that occur."""

    decimal_comma: bool = False
    thousands: str | None = None
    percent: bool = False
    currency: bool | tuple[str, ...] = False

    def __bool__(self) -> bool:
        return self != NumberText()

    def conflict(self) -> tuple[str, str] | None:
        """A (setting, message) that cannot work, or None."""
        if self.thousands is not None and self.thousands not in SEPARATORS:
            return "thousands", f"must be one of {', '.join(map(repr, SEPARATORS))}"
        mark = "," if self.decimal_comma else "."
        if self.thousands == mark:
            hint = "" if self.decimal_comma else "; set decimal_comma: true for numbers such as 1.299,00"
            return "thousands", f"'{mark}' is the decimal mark already{hint}"
        if self.currency == () or (self.currency is not True and self.currency and not all(self.currency)):
            return "currency", "name symbols or codes, or write true for any"
        return None


def trimmed_where_missing(value: pl.Series, text: pl.Series, read: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    """``value``, and ``read`` of the text without white space around it where the text as it is cannot be read.

    For one batch of rows: as an expression this would be computed for all rows, though few texts need it.
    """
    if value.null_count() == text.null_count():
        return value
    missing = value.is_null()
    if any_of_few(text.filter(missing), lambda shown: shown != shown.strip()) is False:
        return value
    rows = (missing & text.is_not_null()).arg_true()
    trimmed = text.gather(rows).str.strip_chars().to_frame().select(read(pl.all())).to_series()
    found = trimmed.is_not_null()
    return value.scatter(rows.filter(found), trimmed.filter(found))


def any_of_few(texts: pl.Series, holds: Callable[[str], bool]) -> bool | None:
    """Whether a condition holds for any of some texts; None where they are too many to ask.

    In the middle of a plan most methods of a series are queries of their own, and threads wait for them. A hundred
    values of a batch take less time in Python.
    """
    if len(texts) > _FEW:
        return None
    return any(text is not None and holds(text) for text in texts.to_list())


def plain(text: pl.Expr, form: NumberText) -> pl.Expr:
    """The text (trimmed) in plain digits, null where it is not written in this ``form``."""
    if not form:
        return text
    mark = "," if form.decimal_comma else r"\."
    whole = "[0-9]+"
    if form.thousands is not None:
        gap = SEPARATORS[form.thousands]
        whole = rf"[0-9]{{1,3}}(?:{gap}[0-9]{{2,3}})*{gap}[0-9]{{3}}|[0-9]+"
    symbol = _symbol(form.currency)
    unit = rf"(?:{symbol}\s*)?" if symbol else ""
    after = (rf"(?:\s*{symbol})?" if symbol else "") + (r"\s*(?P<percent>%)?" if form.percent else "")
    number = rf"(?P<whole>{whole})?(?:{mark}(?P<part>[0-9]*))?(?P<power>[eE][-+]?[0-9]+)?"
    sign = r"(?P<sign>[-+\u{2212}]?)\s*"
    signed = rf"{sign}{unit}(?P<inner>[-+\u{{2212}}]?){number}{after}"
    pattern = rf"^{signed}$"
    if symbol:  # accounts write negative amounts in brackets
        text = text.str.replace(r"^\((.*)\)$", "-${1}")
    assembled = text.str.replace(
        pattern, "${sign}${inner}${whole}.${part}${power}" + ("|${percent}" if form.percent else "")
    )
    known = pl.when(text.str.contains(pattern)).then(assembled).str.replace("\u2212", "-", literal=True)
    if form.thousands is not None:
        known = known.str.replace_all(SEPARATORS[form.thousands], "") if form.thousands != "." else _without_dots(known)
    if form.percent:
        known = known.str.replace("|%", "e-2", literal=True).str.strip_suffix("|")
    return known.str.replace(r"\.($|e)", "${1}")


def _without_dots(text: pl.Expr) -> pl.Expr:
    """The text without its dots but the last, which is the decimal mark now."""
    return (
        text.str.replace(r"\.([^.]*)$", "#${1}")
        .str.replace_all(".", "", literal=True)
        .str.replace("#", ".", literal=True)
    )


def _symbol(currency: bool | tuple[str, ...]) -> str:
    if currency is True:
        return _ANY_CURRENCY
    return "(?:" + "|".join(sorted(map(re.escape, currency), key=len, reverse=True)) + ")" if currency else ""


def whole_number(text: pl.Expr, target: pl.DataType) -> pl.Expr:
    """The text as whole numbers of type ``target``; null where a digit would be lost.

    ``12.0`` and ``1e3`` are whole up to 2^53. A float alone cannot tell: that of 0.99999999999999999999 is 1, and
    that of 1e-400 is 0.
    """
    direct = text.cast(target, strict=False)
    check = functools.partial(_whole_numbers, target=target)
    return pl.map_batches([direct, text], check, return_dtype=target, is_elementwise=True)


def _whole_numbers(read: Sequence[pl.Series], target: pl.DataType) -> pl.Series:
    direct, text = read
    if direct.null_count() == text.null_count():
        return direct
    rows = (direct.is_null() & text.is_not_null()).arg_true()
    other = text.gather(rows)
    number = other.cast(pl.Float64, strict=False)
    digits = other.str.replace(r"[eE].*$", "").str.replace_all(r"[-+.]", "").str.strip_chars("0").str.len_chars()
    whole = other.str.contains(r"^[-+]?[0-9]+\.0*$") | (digits <= _FLOAT_DIGITS)
    exact = (number == number.round()) & (number.abs() < _EXACT) & whole & ((number != 0) | (digits == 0))
    found = exact.fill_null(value=False)
    values = number.filter(found).cast(pl.Int64).cast(target, strict=False)
    return direct.scatter(rows.filter(found), values)


def real_beyond_scale(number: pl.Expr, scale: int) -> pl.Expr:
    """Whether a float differs from the one with ``scale`` decimals by more than floats of its size are apart."""
    return (number - number.round(scale)).abs() > (number.abs() * 2.0**-50 if scale else 0)


def real_number(text: pl.Expr, target: pl.DataType) -> pl.Expr:
    """The text, trimmed, as floats of type ``target``; null where a number is beyond their range, such as 1e400."""

    def read(shown: pl.Expr) -> pl.Expr:
        return shown.cast(target, strict=False)

    check = functools.partial(_real_numbers, read=read)
    return pl.map_batches([read(text), text], check, return_dtype=target, is_elementwise=True)


def _real_numbers(batch: Sequence[pl.Series], read: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    text = batch[1]
    number = trimmed_where_missing(batch[0], text, read)
    rows = (number == math.inf) | (number == -math.inf)  # ``is_infinite`` would plan a query for each batch
    if not rows.any():
        return number
    beyond = rows.arg_true().filter(text.filter(rows).str.contains("[0-9]"))
    return number if beyond.is_empty() else number.scatter(beyond, None)


def words(texts: Iterable[str]) -> list[str]:
    """The words as they are compared: trimmed and in lower case."""
    return [text.strip().lower() for text in texts]
