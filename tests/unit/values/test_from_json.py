"""Records from outside: every type takes what the API answers of it, and says what it does not take."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from service.kit import errors
from service.values import from_json

UTC = dt.UTC


@pytest.mark.parametrize(
    ("dtype", "given", "wanted"),
    [
        (pl.Int64(), [1, None, 2.0, 2**63 - 1], [1, None, 2, 2**63 - 1]),
        (pl.UInt8(), [0, 255], [0, 255]),
        (pl.Float64(), [1, 2.5, None, "Infinity", "-Infinity"], [1.0, 2.5, None, float("inf"), float("-inf")]),
        (pl.Float32(), [0.5], [0.5]),
        (pl.String(), ["", "ü", None], ["", "ü", None]),
        (pl.Boolean(), [True, False, None], [True, False, None]),
        (pl.Date(), ["2024-02-29", "1969-12-31", None], [dt.date(2024, 2, 29), dt.date(1969, 12, 31), None]),
        (pl.Datetime("us"), ["1969-12-31T23:59:59.999999", "2024-01-01 10:00"],
         [dt.datetime(1969, 12, 31, 23, 59, 59, 999999), dt.datetime(2024, 1, 1, 10)]),
        (pl.Datetime("ms", "UTC"), ["2024-01-01T10:00:00.5Z", "2024-01-01T10:00:00+02:00"],
         [dt.datetime(2024, 1, 1, 10, 0, 0, 500_000, UTC), dt.datetime(2024, 1, 1, 8, tzinfo=UTC)]),
        (pl.Time(), ["10:00", "23:59:59.5"], [dt.time(10), dt.time(23, 59, 59, 500_000)]),
        (pl.Duration("ms"), [1500, -2000], [dt.timedelta(seconds=1.5), dt.timedelta(seconds=-2)]),
        (pl.Duration("us"), ["25:00:00.000001", "-00:00:00.5"],
         [dt.timedelta(hours=25, microseconds=1), dt.timedelta(seconds=-0.5)]),
        (pl.Decimal(5, 2), ["1.10", 2, 3.5, "-999.99", "1.000"],
         [Decimal("1.10"), Decimal(2), Decimal("3.5"), Decimal("-999.99"), Decimal(1)]),
        (pl.Decimal(38, 0), ["9" * 38], [Decimal("9" * 38)]),
        (pl.Categorical(), ["b", None], ["b", None]),
        (pl.Enum(["x", "y"]), ["y", None], ["y", None]),
        (pl.Binary(), ["AP8=", None], [b"\x00\xff", None]),
        (pl.List(pl.Date()), [["2024-01-01", None], [], None], [[dt.date(2024, 1, 1), None], [], None]),
        (pl.Array(pl.Int8(), 2), [[1, 2]], [[1, 2]]),
        (pl.Struct({"a": pl.Int64(), "t": pl.Datetime("us")}), [{"a": 1, "t": "2024-01-01T00:00"}, {}],
         [{"a": 1, "t": dt.datetime(2024, 1, 1)}, {"a": None, "t": None}]),
        (pl.Null(), [None], [None]),
    ],
    ids=str,
)  # fmt: skip
def test_every_type_takes_its_values(dtype: pl.DataType, given: list[Any], wanted: list[Any]) -> None:
    table = from_json.table([{"v": value} for value in given], {"v": dtype})
    assert table.schema == {"v": dtype}
    assert table["v"].to_list() == wanted


def test_nanoseconds_are_kept() -> None:
    table = from_json.table([{"t": "2024-01-01T00:00:00.123456789"}], {"t": pl.Datetime("ns")})
    assert table["t"].dt.timestamp("ns").to_list() == [1_704_067_200_123_456_789]


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        (pl.Int64(), "1", "expected a whole number"),
        (pl.Int64(), 1.5, "expected a whole number"),
        (pl.Int64(), True, "expected a whole number"),
        (pl.Int64(), 2**63, "out of range"),
        (pl.UInt8(), -1, "holds 0 to 255"),
        (pl.Float64(), "1.5", "expected a number"),
        (pl.Float64(), False, "expected a number"),
        (pl.Float64(), 10**400, "too large"),
        (pl.String(), 5, "expected text"),
        (pl.Boolean(), 1, "expected true or false"),
        (pl.Date(), "2024-02-30", "day is out of range|day 30 must be"),
        (pl.Date(), "2024-01-01T00:00:00", "expected a date"),
        (pl.Datetime("us"), "2024-01-01T00:00:00Z", "leave the offset out"),
        (pl.Datetime("us", "UTC"), "2024-01-01T00:00:00", "add the offset"),
        (pl.Datetime("ms"), "2024-01-01T00:00:00.0001", "more than 3 digits"),
        (pl.Datetime("us"), "yesterday", "such as 2024-01-31T10:00:00"),
        (pl.Time(), "25:00", "hour must be"),
        (pl.Duration("us"), "1s", "whole number"),
        (pl.Duration("ms"), "00:00:00.0001", "more than 3 digits"),
        (pl.Decimal(5, 2), "1.234", "more than 2 digits"),
        (pl.Decimal(5, 2), "1000", "too many digits"),
        (pl.Decimal(5, 2), "NaN", "expected a number"),
        (pl.Decimal(5, 2), "1e999999", "expected a number"),
        (pl.Enum(["small", "large"]), "smal", "did you mean 'small'"),
        (pl.Binary(), "not base64!", "base64"),
        (pl.Array(pl.Int8(), 2), [1], "a list of 2, got 1"),
        (pl.List(pl.Int8()), 5, "expected a list"),
        (pl.Struct({"a": pl.Int8()}), [], "expected an object"),
        (pl.Null(), 1, "its type is unknown"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(dtype: pl.DataType, value: Any, message: str) -> None:
    with pytest.raises(errors.Invalid, match=message) as caught:
        from_json.table([{"v": None}, {"v": value}], {"v": dtype})
    assert caught.value.details["field"] == "records[1].v"


def test_places_inside_of_values() -> None:
    dtype = pl.Struct({"prices": pl.List(pl.Int64())})
    with pytest.raises(errors.Invalid) as caught:
        from_json.table([{"v": {"prices": [1, "x"]}}, {"v": {"price": []}}], {"v": dtype})
    assert [e["field"] for e in caught.value.details["errors"]] == ["records[0].v.prices[1]", "records[1].v.price"]
    assert "did you mean 'prices'" in caught.value.details["errors"][1]["message"]


def test_records_have_every_column_and_no_other() -> None:
    schema = {"id": pl.Int64(), "price": pl.Float64()}
    with pytest.raises(errors.Invalid) as caught:
        from_json.table([{"id": 1, "price": 1.0}, {"id": 2, "prise": 1.0}, 5], schema)
    found = {e["field"]: e["message"] for e in caught.value.details["errors"]}
    assert list(found) == ["records[1].prise", "records[1].price", "records[2]"]
    assert "did you mean 'price'" in found["records[1].prise"]
    assert "a float64, or null" in found["records[1].price"]


def test_problems_are_bounded_and_in_order() -> None:
    schema = {"a": pl.Int64(), "b": pl.Int64()}
    with pytest.raises(errors.Invalid) as caught:
        from_json.table([{"a": 1, "b": "x"}] + [{"a": "x", "b": 1}] * 100, schema)
    assert len(caught.value.details["errors"]) == from_json.MOST_PROBLEMS
    with pytest.raises(errors.Invalid) as caught:
        from_json.table([{"a": 1, "b": "x"}, {"a": "x", "b": 1}], schema)
    assert [e["field"] for e in caught.value.details["errors"]] == ["records[0].b", "records[1].a"]


def test_only_names_that_are_listed_get_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def suggest(name: str, known: object) -> str:
        asked.append(name)
        return ""

    monkeypatch.setattr(errors, "did_you_mean", suggest)
    with pytest.raises(errors.Invalid):
        from_json.table([{f"k{i}": 1 for i in range(5_000)}], {"a": pl.Int64()})
    assert len(asked) == from_json.MOST_PROBLEMS


def test_no_records_have_the_columns() -> None:
    assert from_json.table([], {"a": pl.Date()}).schema == {"a": pl.Date()}
