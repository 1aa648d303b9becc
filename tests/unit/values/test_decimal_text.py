"""Decimals from text: the values and the lost digits that Python's own decimals give, for every way of reading."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import decimal_text

_PRECISE = Context(prec=800)


def _expected(text: str | None, precision: int, scale: int) -> tuple[Decimal | None, bool]:
    """The decimal (None if there is none), and whether it has fewer digits than the text."""
    if text is None:
        return None, False
    try:
        number = Decimal(text.strip())
        value = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN, _PRECISE)
    except InvalidOperation:
        return None, False
    if not value.is_finite() or abs(value) >= Decimal(10) ** (precision - scale):
        return None, False
    return value, value != number


def _read(texts: list[str | None], precision: int, scale: int) -> list[tuple[Decimal | None, bool]]:
    target = pl.Decimal(precision, scale)
    read = pl.DataFrame({"x": texts}, schema={"x": pl.String}).select(
        decimal_text.counted(pl.col("x"), target).alias("both"),
        decimal_text.rounded(pl.col("x"), target).alias("value"),
        decimal_text.exact(pl.col("x").str.strip_chars(), target).alias("exact"),
    )
    both = read["both"].struct.unnest()
    assert both["value"].equals(read["value"])
    cut = [
        flag and value is not None
        for flag, value in zip(both["cut"].fill_null(value=False), both["value"], strict=True)
    ]
    assert read["exact"].to_list() == [None if lost else v for lost, v in zip(cut, both["value"], strict=True)]
    return list(zip(both["value"], cut, strict=True))


_PLAIN = st.from_regex(r"[-+]?[0-9]{1,9}(\.[0-9]{0,8})?", fullmatch=True)
_AWKWARD = st.one_of(
    st.from_regex(r"[-+]?[0-9]{0,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"-?0\.0{0,9}[0-9]{1,3}", fullmatch=True),
    st.sampled_from([None, "", "soon", " 1.5", "1.25 ", "1,5", "nan", "inf", "-0", "-0.00", "1e-9", "5e-324", "1.e1"]),
)


@given(
    plain=st.lists(_PLAIN, max_size=6), awkward=st.lists(_AWKWARD, max_size=6),
    target=st.sampled_from([(38, 0), (4, 0), (10, 2), (18, 2), (9, 6), (38, 15), (38, 22), (38, 25)]),
)  # fmt: skip
def test_values_and_lost_digits_are_those_of_decimal_arithmetic(
    plain: list[str], awkward: list[str | None], target: tuple[int, int]
) -> None:
    texts = [*plain, *awkward, *plain]
    assert _read(texts, *target) == [_expected(text, *target) for text in texts]


@pytest.mark.parametrize(
    ("text", "value", "cut"),
    [
        ("1.005", "1.00", True),  # the float is below the half
        ("1.015", "1.02", True),
        ("0.125", "0.12", True),
        ("0.1250000000000000000001", "0.13", True),
        ("0.1200000000000000000000", "0.12", False),
        ("0.12000000000001", "0.12", True),
        ("999999999999999", "999999999999999.00", False),
        ("9007199254740993", "9007199254740993.00", False),  # not a float
        ("99999999999999.9", "99999999999999.90", False),
        ("1e-3", "0.00", True),
        ("1200e-2", "12.00", False),
        ("125e-3", "0.12", True),
        ("1e-400", "0.00", True),  # 0 as a float
        ("0e-400", "0.00", False),
        ("-0.001", "0.00", True),
    ],
)
def test_what_a_float_cannot_tell_is_read_as_text(text: str, value: str, *, cut: bool) -> None:
    assert _read([text, "1.5", "2.25"], 30, 2) == [
        (Decimal(value), cut),
        (Decimal("1.5"), False),
        (Decimal("2.25"), False),
    ]
    assert _read([text], 30, 2) == [(Decimal(value), cut)]


def test_white_space_around_all_numbers() -> None:
    assert _read([" 1.5", "2.125 ", "\t7"], 10, 2) == [
        (Decimal("1.5"), False),
        (Decimal("2.12"), True),
        (Decimal(7), False),
    ]


def test_too_many_digits_for_the_precision() -> None:
    assert _read(["99.99", "100", "99.995", "-100.0"], 4, 2) == [(Decimal("99.99"), False), *[(None, False)] * 3]
