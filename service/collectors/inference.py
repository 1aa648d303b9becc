"""Types of CSV columns from a sample of their text, so that nothing is lost.

A column is a number only if every value in the sample is one *and says no more than the number*: leading zeros
(``00501``), a leading plus, and more digits than the type holds make it text. What the sample did not show cannot
slip through later: whole numbers are compared with their text as they are read, and the run fails with column
and value instead of dropping a zero.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from service.steps import parsing

_WORDS = ("true", "false")
_INTEGER_DIGITS = 15
"""A whole number in a column of floats may have as many: more would be rounded."""
_FLOAT_DIGITS = 17
_GLANCE = 200
_MORE_THAN_A_NUMBER = r"^[+-]?0\d|^\+"


def infer(sample: pl.DataFrame, *, dates: bool, decimal_comma: bool) -> dict[str, pl.DataType]:
    """The type of each column of ``sample`` (all String); columns without any value are text."""
    types: dict[str, pl.DataType] = dict.fromkeys(sample.columns, pl.String())
    filled = [n for n, c in zip(sample.columns, sample.count().row(0), strict=True) if c]
    if not filled:
        return types
    comma = "," if decimal_comma else "."
    tests: dict[str, Callable[[pl.Expr], pl.Expr]] = {
        "integer": lambda x: x.cast(pl.Int64, strict=False).is_not_null(),
        "plain": lambda x: x.cast(pl.Int64, strict=False).cast(pl.String).eq_missing(x),
        "float": lambda x: parsing.tolerantly(x, pl.Float64(), decimal_comma=decimal_comma).is_not_null(),
        "word": lambda x: x.str.to_lowercase().is_in(_WORDS),
    }
    if dates:
        tests["date"] = lambda x: parsing.tolerantly(x, pl.Date()).is_not_null()
        tests["datetime"] = lambda x: parsing.tolerantly(x, pl.Datetime("us")).is_not_null()
    passed = dict.fromkeys((f"{kind}:{name}" for name in filled for kind in tests), True)
    for part in (sample.head(_GLANCE), sample):  # most columns are plainly text, and drop out at a glance
        asked = [key for key, held in passed.items() if held]
        if asked:
            passed |= part.select(_held(key, tests) for key in asked).row(0, named=True)
    numbers = [n for n in filled if passed[f"float:{n}"]]
    exact = _exact(sample, numbers, comma)
    for name in filled:
        if name in numbers:
            if passed[f"integer:{name}"]:
                types[name] = pl.Int64() if passed[f"plain:{name}"] else pl.String()
            elif exact[name]:
                types[name] = pl.Float64()
        elif passed[f"word:{name}"]:
            types[name] = pl.Boolean()
        elif dates and passed[f"date:{name}"]:
            types[name] = pl.Date()
        elif dates and passed[f"datetime:{name}"]:
            types[name] = pl.Datetime("us")
    return types


def _held(key: str, tests: dict[str, Callable[[pl.Expr], pl.Expr]]) -> pl.Expr:
    kind, _, name = key.partition(":")
    return (tests[kind](pl.col(name)) | pl.col(name).is_null()).all().alias(key)


def _exact(sample: pl.DataFrame, numbers: list[str], comma: str) -> dict[str, bool]:
    """Which of the numeric columns say no more than floats do."""
    if not numbers:
        return {}

    def test(name: str) -> pl.Expr:
        text = pl.col(name)
        digits = text.str.replace(r"[eE].*$", "").str.replace_all(r"\D", "").str.strip_chars_start("0").str.len_bytes()
        whole = ~text.str.contains("e", literal=True) & ~text.str.contains(comma, literal=True)
        fits = ~((digits > _FLOAT_DIGITS) | (whole & (digits > _INTEGER_DIGITS))).any()
        figures = text.str.contains(r"\d").any()  # 'nan' and 'inf' alone are words
        return (fits & figures & ~text.str.contains(_MORE_THAN_A_NUMBER).any()).alias(name)

    return sample.select(test(n) for n in numbers).row(0, named=True)


def typed(name: str, dtype: pl.DataType, why: str) -> pl.Expr | None:
    """The expression that reads a String column as the inferred type; None where the parser may do it itself."""
    text = pl.col(name)
    if dtype == pl.Int64:
        padded = (text.str.starts_with("0") & (text != "0")) | text.str.starts_with("-0") | text.str.starts_with("+")
        return parsing.insist(text.cast(pl.Int64, strict=False), name, dtype, why=why, unless=padded)
    return parsing.parsed(name, dtype, why=why) if dtype in (pl.Boolean, pl.Date) or dtype.is_temporal() else None
