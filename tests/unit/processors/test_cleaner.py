"""The cleaner's names, texts, types and duplicates: every option, and what it says when it cannot follow one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from service.processors.cleaning.names import snake_case
from tests.unit.processors.table import NAN, apply, invalid, refused

D = dt.date


def clean(data: Any, **config: Any) -> dict[str, list[Any]]:
    return apply("cleaner", data, **config).columns


def test_names_become_snake_case_in_every_script_and_stay_apart() -> None:
    names = ["Order ID", "orderID", "Straße Nr.", " ", "日本", "XMLHttpRequest2", "ＦＵＬＬ width", "order_id_2"]
    assert list(snake_case(names).values()) == [
        "order_id", "order_id_2", "straße_nr", "column_4", "日本", "xml_http_request2", "full_width", "order_id_2_2",
    ]  # fmt: skip


def test_normalize_names_comes_before_every_other_setting() -> None:
    made = clean({"Unit Price": ["1"], "B": ["x"]}, normalize_names=True, cast={"unit_price": "int64"})
    assert made == {"unit_price": [1], "b": ["x"]}


def test_renames_happen_all_at_once() -> None:
    assert clean({"a": [1], "b": [2]}, rename_columns={"a": "b", "b": "a"}) == {"b": [1], "a": [2]}


def test_columns_are_dropped_and_selected_in_order() -> None:
    made = clean({"a": [1], "b": [2], "c": [3]}, drop_columns=["b"], select_columns=["c", "a"])
    assert list(made) == ["c", "a"]


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"rename_columns": {"prize": "x"}}, "rename_columns.prize", "did you mean 'price'?"),
        ({"rename_columns": {"price": "city"}}, "rename_columns.price", "there is already a column 'city'"),
        ({"drop_columns": ["prize"]}, "drop_columns", "no column 'prize' here; did you mean 'price'?"),
        ({"drop_columns": ["price", "city"]}, "drop_columns", "no column is left"),
        ({"select_columns": ["zzz"]}, "select_columns", "no column 'zzz' here"),
        ({"strip_strings": ["price"]}, "strip_strings", "column 'price' is int64, not text"),
        ({"strip_strings": ["citi"]}, "strip_strings", "did you mean 'city'?"),
        ({"replace": {"price": {"x": 1}}}, "replace.price.x", "does not fit the column's type int64"),
        ({"replace": {"price": {"1": 2, "1.0": 3}}}, "replace.price", "two replacements for the value 1"),
        ({"cast": {"citi": "int64"}}, "cast.citi", "did you mean 'city'?"),
        ({"cast": {"price": "date"}}, "cast.price", "only with format: epoch"),
        ({"cast": {"city": {"type": "date", "format": "%H:%M"}}}, "cast.city", "lacks a part of a date"),
        ({"cast": {"city": {"type": "date", "format": "%Q"}}}, "cast.city", "is not a format for date"),
        ({"cast": {"city": {"type": "int64", "format": "%d"}}}, "cast.city", "a format applies to dates and times"),
        ({"filter": "prize > 1"}, "filter", "no column 'prize' here; did you mean 'price'?"),
        ({"filter": "price + 1"}, "filter", "a condition must be boolean; this is int64"),
        ({"filter": "price = city"}, "filter", "Could not convert string"),
        ({"drop_na": ["prize"]}, "drop_na", "did you mean 'price'?"),
        ({"drop_duplicates": ["prize"]}, "drop_duplicates", "did you mean 'price'?"),
        ({"fill_na": {"prize": 1}}, "fill_na.prize", "did you mean 'price'?"),
        ({"fill_na": {"price": "mean"}}, "fill_na.price", "write {strategy: mean}"),
        ({"outliers": {"prize": {"method": "iqr"}}}, "outliers.prize", "did you mean 'price'?"),
    ],
)
def test_a_setting_that_cannot_be_followed_names_its_place(config: dict[str, Any], field: str, message: str) -> None:
    found, said = refused("cleaner", {"price": [1], "city": ["x"]}, **config)
    assert found == field
    assert said.startswith(f"{field}: ")
    assert message in said


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"cast": {"a": "int65"}}, "cast.a", "did you mean 'int64'?"),
        ({"cast": {"a": {"type": "enum()"}}}, "cast.a.type", "an enum needs its values"),
        ({"cast": {"a": {"type": "date", "format": []}}}, "cast.a.format", "an empty list"),
        ({"filter": "sum(a) > 1"}, "filter", "no row-local function 'sum'"),
        ({"filter": "a + "}, "filter", "something is missing at character"),
        ({"rename_columns": {"a": "c", "b": "c"}}, "rename_columns", "'c' is listed twice"),
        ({"select_columns": ["a", "a"]}, "select_columns", "'a' is listed twice"),
        ({"outliers": {"a": {"method": "quantile", "factor": 0.5}}}, "outliers.a.factor", "below 0.5"),
        ({"outliers": {"a": {"method": "iqr", "factor": 0}}}, "outliers.a.factor", "> 0"),
        ({"outliers": {"a": {"method": "irq"}}}, "outliers.a.method", "irq"),
        ({"fill_na": {"a": None}}, "fill_na.a", "null fills nothing"),
        ({"fill_na": {"a": {"strategy": "medium"}}}, "fill_na.a.strategy", "medium"),
        ({"drop_duplicates": {"keep": "best"}}, "drop_duplicates.keep", "best"),
        ({"strip_strings": []}, "strip_strings", "length >= 1"),
        ({"null_value": ["x"]}, "null_value", "did you mean 'null_values'?"),
        ({"fill_na": {"a": {"strategy": "mean", "by": "b"}}}, "fill_na.a.by", "unknown setting"),
    ],
)
def test_validation_finds_what_needs_no_data(config: dict[str, Any], field: str, message: str) -> None:
    problems = invalid("cleaner", **config)
    assert list(problems) == [field]
    assert message in problems[field]


def test_missing_columns_may_be_ignored_with_a_warning_each() -> None:
    config: dict[str, Any] = {
        "drop_columns": ["x"],
        "cast": {"prize": "int64"},
        "drop_duplicates": ["y"],
        "drop_na": ["z"],
    }
    done = apply("cleaner", {"price": ["1", "1"]}, missing_columns="ignore", **config)
    assert done.columns == {"price": ["1", "1"]}
    assert done.warned == ["missing_column"] * 4
    assert done.ctx.report().warnings[1].details == {"column": "prize", "field": "config.cast.prize"}
    assert "did you mean 'price'?" in done.ctx.report().warnings[1].message


def test_texts_are_trimmed_and_marks_of_missing_become_null() -> None:
    data = {"a": [" n/a ", "\u00a0x\u3000", "", None], "b": ["n/a", " y ", "", "-"], "n": [1, 2, 3, 4]}
    made = clean(data, strip_strings=["a"], null_values=["", "n/a", "-"])
    assert made["a"] == [None, "x", None, None]
    assert made["b"] == [None, " y ", None, None]
    assert clean(data, strip_strings=True)["b"] == ["n/a", "y", "", "-"]


@pytest.mark.parametrize(
    ("values", "dtype", "mapping", "wanted"),
    [
        (["m", "f", None], pl.String, {"m": "male", "f": None}, ["male", None, None]),
        (["1", "2"], pl.String, {"1": 7}, ["7", "2"]),
        ([1, 2, None], pl.Int64, {"1": 7, "2": None}, [7, None, None]),
        ([1.5, NAN], pl.Float64, {"1.5": 2}, [2.0, NAN]),
        ([True, False], pl.Boolean, {"true": False}, [False, False]),
        ([D(2024, 2, 29)], pl.Date, {"2024-02-29": "2024-03-01"}, [D(2024, 3, 1)]),
        (["x", None], pl.Categorical, {"x": "y"}, ["y", None]),
        (["x", "y"], pl.Enum(["x", "y"]), {"x": "y"}, ["y", "y"]),
        ([None, None], pl.Null, {"x": "y"}, [None, None]),
    ],
)
def test_values_are_replaced_by_their_own_type(values: list[Any], dtype: Any, mapping: Any, wanted: list[Any]) -> None:
    made = apply("cleaner", pl.DataFrame({"a": pl.Series(values, dtype=dtype)}), replace={"a": mapping}).rows
    assert made["a"].equals(pl.Series("a", wanted, dtype=dtype), null_equal=True)


def test_casts_by_name_or_with_format_and_null_for_what_does_not_fit() -> None:
    made = clean(
        {"n": [" 12 ", "12.5", "x"], "t": ["01.02.2024", "2024-03-04", "31.02.2024"], "d": ["1.255", "2", ""]},
        cast={"n": "int64", "t": {"type": "date", "format": ["%d.%m.%Y", "%Y-%m-%d"]}, "d": "decimal(10,2)"},
        max_lost_share=1,
    )
    assert made["n"] == [12, None, None]
    assert made["t"] == [D(2024, 2, 1), D(2024, 3, 4), None]
    assert made["d"] == [Decimal("1.26"), Decimal("2.00"), None]


def test_a_strict_cast_names_step_setting_column_and_value() -> None:
    field, said = "config.cast.größe", "column 'größe': 12,5 is not int64"
    with pytest.raises(Exception, match="12,5") as caught:
        apply("cleaner", {"größe": ["1", "12,5"]}, cast={"größe": {"type": "int64", "on_error": "fail"}})
    assert getattr(caught.value, "message", "") == said
    assert getattr(caught.value, "details", {}) == {"step": "processors[0]", "field": field}


def test_a_strict_cast_lets_good_and_missing_values_pass() -> None:
    config = {"type": "int64", "on_error": "fail"}
    assert clean({"a": ["1", None, " 2 "]}, cast={"a": config}) == {"a": [1, None, 2]}


def test_filter_keeps_rows_that_are_true() -> None:
    assert clean({"a": [1, 2, None, 3]}, filter="a >= 2 and a <> 3") == {"a": [2]}


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (True, [0]),
        (["a"], [0, 2]),
        ({"columns": ["a", "f"], "how": "all"}, [0, 1, 2]),
        ({"how": "all"}, [0, 1, 2, 3]),
        ({"columns": ["f"]}, [0]),
        (False, [0, 1, 2, 3]),
    ],
)
def test_rows_with_missing_values_go_and_nan_is_missing(rule: Any, kept: list[int]) -> None:
    data = {"a": ["x", None, "z", None], "f": [1.0, NAN, None, NAN], "k": [0, 1, 2, 3]}
    if isinstance(rule, dict) and rule.get("columns") == ["a", "f"]:
        data["f"] = [1.0, 2.0, None, NAN]
    assert clean(data, drop_na=rule)["k"] == kept


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (["a"], [1, 3, 4]),
        ({"columns": ["a"], "keep": "last"}, [2, 3, 5]),
        ({"columns": ["a"], "keep": "none"}, [3]),
        ({"columns": ["a"], "keep": "any"}, [1, 3, 4]),
        (True, [1, 2, 3, 4, 5]),
    ],
)
def test_duplicates_by_key_keep_their_order(rule: Any, kept: list[int]) -> None:
    data = {"a": [1, 1, 2, None, None], "row": [1, 2, 3, 4, 5], "_row": [0] * 5, "rows": [0] * 5}
    assert clean(data, drop_duplicates=rule)["row"] == kept


def test_whole_rows_repeat_also_with_nested_values_and_nan() -> None:
    frame = pl.DataFrame(
        {"l": [[1], [1], None, None], "s": [{"x": 1}, {"x": 1}, None, None], "f": [NAN, NAN, 0.0, -0.0]}
    )
    assert apply("cleaner", frame, drop_duplicates=True).rows.height == 2
    assert apply("cleaner", frame, drop_duplicates={"keep": "none"}).rows.height == 0


@pytest.mark.parametrize("rows", [0, 1])
def test_everything_works_on_no_row_and_on_one(rows: int) -> None:
    frame = pl.DataFrame({"a": [" 1 "], "b": ["x"], "c": [None], "d": [2.5]}, schema_overrides={"c": pl.String})
    config: dict[str, Any] = {
        "normalize_names": True, "strip_strings": True, "null_values": ["-"], "replace": {"b": {"x": "y"}},
        "cast": {"a": "int64"}, "filter": "a >= 0", "fill_na": {"a": {"strategy": "median"}, "c": {"strategy": "mode"}},
        "outliers": {"d": {"method": "zscore"}}, "drop_duplicates": ["a"],
    }  # fmt: skip
    done = apply("cleaner", frame.head(rows), **config)
    assert done.rows.rows() == [(1, "y", None, 2.5)][:rows]
    assert done.rows.schema == {"a": pl.Float64, "b": pl.String, "c": pl.String, "d": pl.Float64}
