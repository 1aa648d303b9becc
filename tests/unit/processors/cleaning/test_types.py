"""Casts of a cleaner: settings that do not go together, what is counted, and what is suggested."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from service.processors.cleaning import cast_hints
from service.values import dtypes
from tests.unit.processors.table import apply, invalid, refused


@pytest.mark.parametrize(
    ("setting", "field", "message"),
    [
        ({"type": "float64", "thousands": "."}, "cast.a.thousands", "decimal mark already; set decimal_comma"),
        ({"type": "float64", "thousands": ",", "decimal_comma": True}, "cast.a.thousands", "decimal mark already"),
        ({"type": "float64", "thousands": "x"}, "cast.a.thousands", "must be one of"),
        ({"type": "int64", "percent": True}, "cast.a.percent", "needs a float or decimal"),
        ({"type": "date", "decimal_comma": True}, "cast.a.decimal_comma", "applies to numbers, not to date"),
        ({"type": "string", "currency": True}, "cast.a.currency", "applies to numbers, not to string"),
        ({"type": "float64", "currency": []}, "cast.a.currency", "name symbols or codes"),
        ({"type": "int64", "true_values": ["a"]}, "cast.a.true_values", "applies to boolean, not to int64"),
        ({"type": "boolean", "false_values": []}, "cast.a.false_values", "an empty list"),
        (
            {"type": "boolean", "true_values": ["Ja"], "false_values": ["ja"]},
            "cast.a.false_values",
            "'ja' is among true_values, too",
        ),
    ],
)
def test_settings_that_do_not_go_together(setting: dict[str, Any], field: str, message: str) -> None:
    assert message in invalid("cleaner", cast={"a": setting})[field]


def test_texts_are_read_as_the_settings_say() -> None:
    data = {"p": ["1.299,00 €", "6,5"], "s": ["12,5 %", "3%"], "b": ["ja", "Nein"], "n": ["1,000", "2"]}
    number = {"type": "float64", "decimal_comma": True}
    made = apply(
        "cleaner", data,
        cast={
            "p": {**number, "thousands": True, "currency": "€"}, "s": {**number, "percent": True},
            "b": {"type": "boolean", "true_values": ["ja"], "false_values": ["nein"]},
            "n": {"type": "int32", "thousands": True},
        },
    )  # fmt: skip
    assert made.columns == {"p": [1299.0, 6.5], "s": [0.125, 0.03], "b": [True, False], "n": [1000, 2]}


def test_a_value_that_was_missing_is_not_lost() -> None:
    data = {"a": [None, None, None, "x", "1"], "f": [float("nan")] * 4 + [1.0]}
    assert apply("cleaner", data, cast={"a": "int64", "f": "int64"}).columns["f"] == [None] * 4 + [1]
    field, message = refused("cleaner", data, cast={"a": "int64"}, max_lost_share=0.4)
    assert (field, "1 of 2 values" in message) == ("cast.a", True)


@pytest.mark.parametrize("on_error", ["null", "fail"])
@pytest.mark.parametrize(
    ("values", "target", "count"),
    [
        (["0.125", "1.50", "2.5000", "-7"], "decimal(10,2)", 1),
        (["1e-3", "125e-2", "1.5e1", "1.256e1"], "decimal(10,2)", 1),
        ([0.125, 0.1, 3.3000000000000003, 19.99], "decimal(10,2)", 1),
        ([Decimal("0.125"), Decimal("0.120")], "decimal(10,2)", 1),
        ([Decimal("0.125"), Decimal("2.000")], "int64", 1),
        ([1.5, 2.0, -0.5], "int64", 2),
        (["0.125", "1.5"], "float64", 0),
    ],
)
def test_digits_that_a_type_does_not_hold_are_counted(
    values: list[Any], target: str, count: int, on_error: str
) -> None:
    cast = {"x": {"type": target, "on_error": on_error}}
    wanted = [("cast.digits", "x", count, len(values))] if count else []
    assert losses("cleaner", {"x": values}, cast=cast) == wanted


def test_digits_beyond_a_percentage_are_counted() -> None:
    cast = {"x": {"type": "decimal(10,2)", "percent": True}}
    assert losses("cleaner", {"x": ["12.5%", "12%"]}, cast=cast) == [("cast.digits", "x", 1, 2)]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("float32", [("cast", "x", 1, 3)]),
        ("string", []),
        ("categorical", []),
        ("int64", [("cast", "x", 1, 2), ("cast.digits", "x", 1, 2)]),
        ("decimal(10,1)", [("cast", "x", 1, 2)]),
        ("boolean", []),
    ],
)
def test_nan_neither_hides_a_lost_value_nor_counts_as_one(target: str, wanted: list[tuple[str, str, int, int]]) -> None:
    assert losses("cleaner", {"x": [1e300, float("nan"), 1.5, None]}, cast={"x": target}) == wanted


NANOSECONDS = ["2024-01-01T00:00:00.123456789Z", "2024-01-01 00:00:00.123456000", "2024-01-01", None]


@pytest.mark.parametrize("on_error", ["null", "fail"])
def test_digits_beyond_microseconds_are_cut_and_counted(on_error: str) -> None:
    config = {"cast": {"t": {"type": "datetime", "on_error": on_error}}, "max_lost_share": 0}
    made = apply("cleaner", {"t": NANOSECONDS}, **config)
    whole = dt.datetime(2024, 1, 1, 0, 0, 0, 123456)
    assert made.columns == {"t": [whole, whole, dt.datetime(2024, 1, 1), None]}
    assert losses("cleaner", {"t": NANOSECONDS}, **config) == [("cast.microseconds", "t", 1, 3)]


@pytest.mark.parametrize(
    ("form", "text"),
    [("%d.%m.%Y %H:%M:%S.%f", "01.02.2024 10:00:00.1234567"), ("%Y%m%d%H%M%S%f", "202402011000001234567")],
)
def test_they_are_counted_by_a_format(form: str, text: str) -> None:
    cast = {"t": {"type": "datetime", "format": form}}
    data = {"t": [text, text[:-1]]}
    assert losses("cleaner", data, cast=cast) == [("cast.microseconds", "t", 1, 2)]


def test_nanoseconds_of_a_moment_are_cut_and_counted() -> None:
    data = pl.DataFrame({"t": pl.Series([1_000_000_001, 1_000_001_000, None]).cast(pl.Datetime("ns"))})
    assert losses("cleaner", data, cast={"t": "datetime"}) == [("cast.microseconds", "t", 1, 2)]
    assert losses("cleaner", data, cast={"t": "date"}) == []


def test_a_whole_number_that_a_float_cannot_hold_is_lost() -> None:
    data = {"a": [2**53, 2**53 + 1, 2**63 - 1, -(2**53) - 1, 2**60, None]}
    config = {"cast": {"a": "float64"}, "max_lost_share": 1}
    assert apply("cleaner", data, **config).columns == {"a": [2.0**53, None, None, None, 2.0**60, None]}
    assert losses("cleaner", data, **config) == [("cast", "a", 3, 5)]
    assert "null_values" not in refused("cleaner", data, cast={"a": "float64"})[1]


def test_lost_items_of_lists_are_counted() -> None:
    data = {"a": ["[1, 2]", '[1, "x"]', "[3]"]}
    field, message = refused("cleaner", data, cast={"a": "list(int64)"}, max_lost_share=0)
    assert (field, "1 of 3 values" in message) == ("cast.a", True)


@pytest.mark.parametrize(
    ("samples", "target", "wanted"),
    [
        (["1,299.00", "5"], "float64", "thousands: ','"),
        (["6,5"], "float64", "{type: float64, decimal_comma: true}"),
        (["1.299,00"], "decimal(10,2)", "thousands: '.', decimal_comma: true"),
        (["5 %"], "float64", "percent: true"),
        (["€ 5"], "int64", "currency: true"),
        (["$1,299.00"], "float64", "thousands: ',', currency: true"),
        (["12.5"], "int64", "float64"),
        (["31.01.2024"], "date", "format: '%d.%m.%Y'"),
        (["01/31/2024 10:00"], "datetime", "format: '%m/%d/%Y %H:%M'"),
        (["1717804800000"], "datetime", "format: 'epoch_ms'"),
        (["20240131"], "date", "format: '%Y%m%d'"),
        (["10h30"], "time", "format: '%Hh%M'"),
        (["ja"], "boolean", "true_values"),
        (["c"], "enum(a,b)", "add the values to the enum"),
        (["n/a"], "float64", "null_values"),
    ],
)
def test_what_to_write_instead(samples: list[str], target: str, wanted: str) -> None:
    suggestion = cast_hints.suggest(samples, dtypes.parse(target))
    assert suggestion is not None
    assert wanted in suggestion


def losses(kind: str, data: pl.DataFrame | dict[str, Any], **config: Any) -> list[tuple[str, str, int, int]]:
    done = apply(kind, data, **config)
    return [(loss.setting, loss.column, loss.count, loss.known) for loss in done.losses]


@pytest.mark.parametrize(
    ("kind", "config", "wanted"),
    [
        ("cleaner", {"outliers": {"v": {"method": "quantile", "factor": 0.2}}}, ("outliers", "v", 2, 5)),
        (
            "cleaner",
            {"outliers": {"v": {"method": "quantile", "factor": 0.2, "action": "null"}}},
            ("outliers", "v", 2, 5),
        ),
        ("transformer", {"bin": {"v": {"method": "edges", "edges": [0, 50]}}}, ("bin", "v", 1, 5)),
        ("transformer", {"normalize": {"w": "log1p"}}, ("normalize", "w", 2, 5)),
        ("transformer", {"encode": {"c": {"method": "ordinal", "categories": ["a"]}}}, ("encode", "c", 3, 5)),
        ("transformer", {"encode": {"c": {"method": "onehot", "max_categories": 1}}}, ("encode", "c", 3, 5)),
        (
            "transformer",
            {"encode": {"c": {"method": "binary", "categories": ["a", "b"], "handle_unknown": "other"}}},
            ("encode", "c", 1, 5),
        ),
    ],
)
def test_other_losses_are_counted_and_never_a_reason_to_fail(
    kind: str, config: dict[str, Any], wanted: tuple[str, str, int, int]
) -> None:
    data = {"v": [1, 2, 3, 4, 99, None], "w": [-1.0, -5.0, 0.0, 1.0, 2.0, None], "c": ["a", "a", "b", "b", "z", None]}
    assert losses(kind, data, **config) == [wanted]
    assert losses("transformer", data, encode={"c": "ordinal"}, bin={"v": {"method": "uniform"}}) == []


def test_a_replacement_that_an_enum_lacks_is_refused() -> None:
    data = pl.DataFrame({"e": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"]))})
    assert refused("cleaner", data, replace={"e": {"a": "c"}})[0] == "replace.e"
