"""Text to typed columns, as row-local expressions that lose nothing: what does not fit fails, naming its column.

Polars' own errors name the column and the value; ``why`` rides along inside the value, because an expression
has no other way of saying more. Dates are ISO 8601; a time without a zone is taken as it stands, or as one of
the wanted zone; one with a zone becomes UTC where none is wanted.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import polars as pl

DATE = "%Y-%m-%d"
NAIVE = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", DATE)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
CLOCK = ("%H:%M:%S%.f", "%H:%M")
TRUE = ("true", "yes", "t", "1")
FALSE = ("false", "no", "f", "0")


def parsed(
    column: str, dtype: pl.DataType, *, why: str = "", decimal_comma: bool = False, blank: bool = False
) -> pl.Expr:
    """A String column as ``dtype``; null stays null. ``why`` is added to a value that does not fit.

    ``blank`` says that an empty text is null, too, where the type is no text.
    Executing it raises ``pl.exceptions.InvalidOperationError`` that names the column where a value does not fit.
    Raises ``ValueError`` for types that text cannot become.
    """
    text = pl.col(column)
    if dtype == pl.String:
        return text
    return insist(tolerantly(text, dtype, decimal_comma=decimal_comma), column, dtype, why=why, blank=blank)


def insist(
    result: pl.Expr,
    column: str,
    dtype: pl.DataType,
    *,
    why: str = "",
    unless: pl.Expr | None = None,
    blank: bool = False,
) -> pl.Expr:
    """``result``, failing where it is null although ``column`` is not (nor empty: ``blank``), and where ``unless``."""
    text = pl.col(column)
    misfit = result.is_null() & (text != "" if blank else text.is_not_null())
    if unless is not None:
        misfit = misfit | unless
    shown = pl.concat_str(pl.when(misfit).then(text), pl.lit(f" ({why})" if why else " ")).alias(column)
    if dtype.is_numeric():
        failing = shown.cast(dtype)  # never a number, with what was added to it
    elif dtype.is_temporal():
        failing = shown.str.to_datetime(DATE).cast(pl.Int64).cast(dtype)
    elif dtype == pl.Boolean:
        failing = shown.cast(pl.Enum(["boolean"])) == "boolean"
    else:
        failing = shown.cast(pl.Enum([])).cast(pl.String).cast(dtype)
    return result.fill_null(failing).alias(column)


def tolerantly(text: pl.Expr, dtype: pl.DataType, *, decimal_comma: bool = False) -> pl.Expr:
    """Text as ``dtype``, null where it does not fit. Raises ``ValueError`` for types that text cannot become."""
    if decimal_comma and (dtype.is_float() or dtype.is_decimal()):
        text = text.str.replace(",", ".", literal=True)
    if dtype.is_numeric() or isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return text.cast(dtype, strict=False)
    match dtype:
        case pl.Boolean():
            return boolean(text, TRUE, FALSE)
        case pl.Date():
            return text.str.to_date(DATE, strict=False)
        case pl.Time():
            return pl.coalesce(text.str.to_time(f, strict=False) for f in CLOCK)
        case pl.Datetime():
            return _datetime(text, dtype)
        case _:
            raise ValueError(f"text cannot be read as {dtype}")


def boolean(text: pl.Expr, true: Sequence[str], false: Sequence[str]) -> pl.Expr:
    """Whether the text is one of the words ``true`` or of the words ``false``, in any case; null where of neither.

    All spellings of so few letters are looked up: lowering the case of a column costs ten times as much.
    """
    return pl.when(text.is_in(_spellings(true))).then(True).when(text.is_in(_spellings(false))).then(False)


@functools.lru_cache
def _spellings(words: Sequence[str]) -> list[str]:
    """Every mixture of small and capital letters."""
    both = [[dict.fromkeys((letter, letter.upper())) for letter in word] for word in words]
    return ["".join(letters) for word in both for letters in itertools.product(*word)]


def _datetime(text: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    unit, zone = dtype.time_unit, dtype.time_zone
    naive = pl.coalesce(text.str.to_datetime(f, time_unit=unit, strict=False) for f in NAIVE)
    zoned = pl.coalesce(text.str.to_datetime(f, time_unit=unit, strict=False) for f in ZONED)
    if zone is None:
        return naive.fill_null(zoned.dt.replace_time_zone(None))
    return zoned.dt.convert_time_zone(zone).fill_null(naive.dt.replace_time_zone(zone))
