"""Text to typed columns, as row-local expressions: a text that does not fit is null (``refuse`` makes errors).

Dates are ISO 8601; a time without a zone is local time of the target's zone, if it has one; a time with a zone becomes
UTC if the target has none. Digits beyond microseconds do not fit a datetime, nor do those beyond its scale a decimal.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.kit import lazy
from service.values import decimal_text, time_text

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

DATE = "%Y-%m-%d"
NAIVE = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", DATE)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
CLOCK = ("%H:%M:%S%.f", "%H:%M")
TRUE = ("true", "yes", "t", "1")
FALSE = ("false", "no", "f", "0")


def refuse(bad: pl.Expr, message: pl.Expr, value: pl.Expr, at: tuple[str, str] | None = None) -> pl.Expr:
    """``value``; execution fails with ``message`` where ``bad``. The message must begin with ``column``.

    ``at`` is the step and the field to name: the plan is executed long after the step was applied.
    Using ``bad`` inside of the message would compute it a second time, with all its inputs.

    An expression cannot raise; a strict cast of the message to a number fails, and ``polars_errors`` finds the message
    in the error. Both branches of a condition are computed for all rows, so a message costs little only if its parts
    are null where nothing is wrong.
    """
    message = pl.when(bad).then(message)
    if at is not None:
        message = pl.concat_str(pl.lit(f"at {at[0]}|{at[1]}|"), message)
    return pl.when(message.cast(pl.Int8, strict=True).is_null()).then(value).otherwise(None)


def tolerantly(text: pl.Expr, dtype: pl.DataType, *, decimal_comma: bool = False) -> pl.Expr:
    """Text as ``dtype``, null where it does not fit. Raises ``ValueError`` for types that text cannot be parsed to."""
    if decimal_comma and (dtype.is_float() or dtype.is_decimal()):
        text = text.str.replace(",", ".", literal=True)
    if isinstance(dtype, pl.Decimal):
        return decimal_text.exact(text, dtype)
    if dtype.is_numeric() or isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return text.cast(dtype, strict=False)
    match dtype:
        case pl.Boolean():
            return boolean(text, TRUE, FALSE)
        case pl.Date():
            return time_text.dated(text).str.to_date(DATE, strict=False)
        case pl.Time():
            clock = time_text.timed(text)
            return pl.coalesce(clock.str.to_time(f, strict=False) for f in CLOCK)
        case pl.Datetime():
            return _datetime(text, dtype)
        case _:
            raise ValueError(f"text cannot be read as {dtype}")


def boolean(text: pl.Expr, true: Sequence[str], false: Sequence[str]) -> pl.Expr:
    """True for the words ``true``, false for the words ``false``, in any case; null for any other text.

    All spellings of these short words are looked up: converting a column to lower case costs ten times as much.
    """
    return pl.when(text.is_in(_spellings(true))).then(True).when(text.is_in(_spellings(false))).then(False)


@functools.lru_cache
def _spellings(words: Sequence[str]) -> list[str]:
    """Every mixture of small and capital letters."""
    both = [[dict.fromkeys((letter, letter.upper())) for letter in word] for word in words]
    return ["".join(letters) for word in both for letters in itertools.product(*word)]


def _datetime(text: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    unit, zone, text = dtype.time_unit, dtype.time_zone, time_text.timed(time_text.dated(text))
    text = pl.when(~time_text.beyond_microseconds(text).fill_null(value=False)).then(text)
    naive = pl.coalesce(text.str.to_datetime(f, time_unit=unit, strict=False) for f in NAIVE)
    zoned = pl.coalesce(text.str.to_datetime(f, time_unit=unit, strict=False) for f in ZONED)
    if zone is None:
        return naive.fill_null(zoned.dt.replace_time_zone(None))
    return zoned.dt.convert_time_zone(zone).fill_null(naive.dt.replace_time_zone(zone))
