"""Numbers as people write them: separators, percent, currency, and whole numbers without a lost digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import cast as casting
from service.values import dtypes, type_names
from service.values.cast import TextForm
from service.values.number_text import NumberText


def cast(values: list[Any], target: str, **form: Any) -> list[Any]:
    words = {k: form.pop(k) for k in ("true_values", "false_values") if k in form}
    frame = pl.DataFrame({"v": values})
    how = TextForm(NumberText(**form), **words)
    assert how.conflict(type_names.read(target).kind) is None
    expression = casting.cast("v", frame.schema["v"], dtypes.parse(target), form=how)
    return frame.lazy().select(expression).collect(engine="streaming")["v"].to_list()


@pytest.mark.parametrize(
    "text",
    ["0.99999999999999999999", "1.00000000000000000001", "999999999999999.9999", "4503599627370496.25",
     "9007199254740992.5", "1.0000000000000000001e3", "0.9999999999999999999e1"],
)  # fmt: skip
@pytest.mark.parametrize("target", ["int64", "uint64", "int32", "int8"])
def test_no_digit_of_a_whole_number_is_lost(text: str, target: str) -> None:
    assert cast([text, f"-{text}", "7"], target) == [None, None, 7]


@pytest.mark.parametrize(
    ("text", "value"),
    [("12.000000000000000000000", 12), ("0.5e1", 5), ("1500e-2", 15), ("1.50e1", 15), ("9007199254740993", 2**53 + 1),
     ("9223372036854775807", 2**63 - 1), ("000", 0), ("0.0", 0), ("-0.0", 0), ("1.5e1 ", 15)],
)  # fmt: skip
def test_whole_numbers_in_other_forms(text: str, value: int) -> None:
    assert cast([text], "int64") == [value]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(2**60), max_value=2**60, places=6))
def test_a_text_is_a_whole_number_exactly_if_it_is_one(number: Decimal) -> None:
    whole = number == int(number) and abs(number) < 2**53
    assert cast([str(number)], "int64") == [int(number) if whole else None]


COMMA = {"decimal_comma": True}
EURO = {"decimal_comma": True, "thousands": ".", "currency": True}


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (COMMA, "6,5", 6.5),
        (COMMA, "-6,5", -6.5),
        (COMMA, "6", 6.0),
        (COMMA, ",5", 0.5),
        (COMMA, "6.5", None),
        (COMMA, "1.299,00", None),
        (COMMA, "1,5e3", 1500.0),
        ({"thousands": ","}, "1,299.00", 1299.0),
        ({"thousands": ","}, "12,345,678", 12_345_678.0),
        ({"thousands": ","}, "1,23,456.5", 123_456.5),
        ({"thousands": ","}, "1299", 1299.0),
        ({"thousands": ","}, "6,5", None),
        ({"thousands": ","}, "12,34", None),
        ({"thousands": ","}, "1,2345", None),
        ({"thousands": ","}, ",299", None),
        ({"thousands": "."}, None, None),
        ({"thousands": ".", **COMMA}, "1.299,00", 1299.0),
        ({"thousands": ".", **COMMA}, "1.299", 1299.0),
        ({"thousands": ".", **COMMA}, "12.345.678", 12_345_678.0),
        ({"thousands": " ", **COMMA}, "1 299,5", 1299.5),
        ({"thousands": " "}, "1\u202f299\u00a0000", 1_299_000.0),
        ({"thousands": "'"}, "1'299.5", 1299.5),
        ({"thousands": "'"}, "1\u2019299.5", 1299.5),
        ({"thousands": "_"}, "1_000", 1000.0),
        ({"percent": True}, "12.5%", 0.125),
        ({"percent": True}, "12.5 %", 0.125),
        ({"percent": True}, "-3%", -0.03),
        ({"percent": True}, "0.5", 0.5),
        ({"percent": True}, "%", None),
        ({"percent": True, **COMMA}, "7,5 %", 0.075),
        ({"currency": True}, "$5.00", 5.0),
        ({"currency": True}, "US$ 5.00", 5.0),
        ({"currency": True}, "-$5", -5.0),
        ({"currency": True}, "$-5", -5.0),
        ({"currency": True}, "($5.25)", -5.25),
        ({"currency": True}, "5 EUR", 5.0),
        ({"currency": True}, "CHF 5", 5.0),
        ({"currency": True}, "5 kr", 5.0),
        ({"currency": True}, "$", None),
        ({"currency": True}, "five $", None),
        ({"currency": ("€",)}, "5 €", 5.0),
        ({"currency": ("€",)}, "$5", None),
        ({"currency": True, "thousands": ","}, "$1,299.00", 1299.0),
        (EURO, "1.299,00 €", 1299.0),
        (EURO, "\u22121.299,00 €", -1299.0),
        (EURO, "EUR 1.299", 1299.0),
        ({"thousands": ","}, "", None),
        ({"thousands": ","}, "x", None),
        ({"thousands": ","}, "--5", None),
    ],
)
def test_written_numbers(form: dict[str, Any], text: str | None, value: float | None) -> None:
    if text is None:
        assert NumberText(**form).conflict() is not None
        return
    assert cast([text, f" {text} ", None], "float64", **form) == [value, value, None]
    exact = None if value is None else Decimal(str(value)).quantize(Decimal("0.0001"))
    assert cast([text], "decimal(20,4)", **form) == [exact]


def test_whole_numbers_with_separators() -> None:
    assert cast(["9.007.199.254.740.993", "1.299,00", "1,5"], "int64", thousands=".", **COMMA) == [
        2**53 + 1,
        1299,
        None,
    ]
    assert cast(["$1,000"], "uint16", thousands=",", currency=True) == [1000]


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([",", "_"]))
def test_what_python_groups_is_read(number: int, mark: str) -> None:
    assert cast([f"{number:{mark}}"], "int64", thousands=mark) == [number]


def test_words_of_booleans() -> None:
    both = {"true_values": ("Ja", "x"), "false_values": ("Nein", "")}
    assert cast(["ja", " JA ", "X", "nein", "", "yes", None], "boolean", **both) == [
        True, True, True, False, False, None, None,
    ]  # fmt: skip
    assert cast(["oui", "no", "yes"], "boolean", true_values=("oui",)) == [True, False, None]
    assert cast(["1", "0"], "boolean", false_values=("1",)) == [None, False] or cast(
        ["1", "true"], "boolean", false_values=("1",)
    ) == [False, True]
    assert cast([1, 2, 3], "boolean", true_values=("1",), false_values=("2",)) == [True, False, None]


@pytest.mark.parametrize(
    ("form", "target", "field"),
    [
        (TextForm(NumberText(thousands=".")), "float64", "thousands"),
        (TextForm(NumberText(thousands=",", decimal_comma=True)), "float64", "thousands"),
        (TextForm(NumberText(thousands=";")), "float64", "thousands"),
        (TextForm(NumberText(percent=True)), "int64", "percent"),
        (TextForm(NumberText(decimal_comma=True)), "date", "decimal_comma"),
        (TextForm(NumberText(currency=())), "float64", "currency"),
        (TextForm(NumberText(currency=("",))), "float64", "currency"),
        (TextForm(true_values=("a",)), "int64", "true_values"),
        (TextForm(true_values=()), "boolean", "true_values"),
        (TextForm(true_values=("a",), false_values=("A ",)), "boolean", "false_values"),
    ],
)
def test_settings_that_do_not_go_together(form: TextForm, target: str, field: str) -> None:
    conflict = form.conflict(type_names.read(target).kind)
    assert conflict is not None
    assert conflict[0] == field
