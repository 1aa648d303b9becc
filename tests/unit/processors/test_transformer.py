"""The transformer: derived columns, date parts, scaling, encoding, order; what is recorded; what is refused."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import polars as pl
import polars.testing
import pytest

from tests.unit.processors.table import INF, NAN, Done, apply, invalid, refused

D, DT = dt.date, dt.datetime


def transform(data: Any, **config: Any) -> Done:
    done = apply("transformer", data, **config)
    assert json.loads(json.dumps(done.ctx.report().fitted, allow_nan=False)) == done.ctx.report().fitted
    return done


def test_derived_columns_may_use_earlier_ones_and_any_name() -> None:
    derive = {
        "b": "a * 2",
        "c": "b + 1",
        "half": "a / 2",
        'ü "q"': "\"größe\" || '!'",
        "x": "case when a > 1 then 'y' end",
    }
    made = transform({"a": [3, 1, None], "größe": ["L", None, "M"]}, derive=derive).columns
    assert made["c"] == [7, 3, None]
    assert made["half"] == [1.5, 0.5, None]
    assert made['ü "q"'] == ["L!", None, "M!"]
    assert made["x"] == ["y", None, None]


def test_a_derived_column_is_fitted_by_its_own_values_whatever_was_called_so_before() -> None:
    done = transform(
        {"a": [1, 2, 3]}, rename_columns={"a": "b"}, derive={"a": "b * 10"}, normalize={"a": "minmax", "b": "minmax"}
    )
    assert done.columns == {"b": [0.0, 0.5, 1.0], "a": [0.0, 0.5, 1.0]}
    assert done.ctx.report().fitted["normalize"]["a"] == {"method": "minmax", "min": 10.0, "scale": 20.0}


def test_renamed_columns_change_places() -> None:
    done = transform({"a": [0, 2], "b": [0, 4]}, rename_columns={"a": "b", "b": "a"}, normalize={"a": "maxabs"})
    assert done.columns == {"b": [0, 2], "a": [0.0, 1.0]}
    assert done.ctx.report().fitted["normalize"]["a"]["scale"] == 4.0


# -- date parts ------------------------------------------------------------------------------------------------


def test_all_parts_of_a_leap_day_and_of_a_missing_one() -> None:
    parts = ["year", "quarter", "month", "week", "day", "weekday", "hour", "minute", "is_weekend", "epoch"]
    data = {"t": [DT(2024, 2, 29, 23, 59), None]}
    made = transform(data, datetime={"t": {"parts": parts, "drop": True}}).columns
    assert list(made) == [f"t_{p}" for p in parts]
    assert [v[0] for v in made.values()] == [2024, 1, 2, 9, 29, 4, 23, 59, False, 1709251140]
    assert all(v[1] is None for v in made.values())


def test_weeks_are_iso_and_circles_close() -> None:
    data = {"t": [D(2021, 1, 3), D(2024, 12, 30), D(2024, 1, 1)]}
    made = transform(data, datetime={"t": {"parts": ["week", "weekday"], "cyclical": ["month", "weekday"]}}).columns
    assert made["t_week"] == [53, 1, 1]
    assert made["t_weekday"] == [7, 1, 1]
    assert made["t_month_sin"][0] == pytest.approx(0.0)
    assert made["t_weekday_cos"][0] == pytest.approx(math.cos(2 * math.pi * 6 / 7))


def test_parts_in_a_zone_are_those_of_the_clock_there() -> None:
    zoned = pl.Series("t", [DT(2024, 3, 31, 0, 30), DT(2024, 3, 31, 1, 30)]).dt.replace_time_zone("UTC")
    frame = pl.DataFrame({"t": zoned.dt.convert_time_zone("Europe/Berlin")})
    made = transform(frame, datetime={"t": {"parts": ["hour", "epoch"]}}).columns
    assert made["t_hour"] == [1, 3]
    assert made["t_epoch"][1] - made["t_epoch"][0] == 3600


# -- scaling ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "values", "wanted", "constants"),
    [
        ("standard", [1, 2, None, 3], [-(1.5**0.5), 0.0, None, 1.5**0.5], {"mean": 2.0, "scale": (2 / 3) ** 0.5}),
        ("standard", [5, 5], [0.0, 0.0], {"mean": 5.0, "scale": 1.0}),
        ("standard", [7], [0.0], {"mean": 7.0, "scale": 1.0}),
        ("minmax", [1.0, NAN, 3.0, None], [0.0, NAN, 1.0, None], {"min": 1.0, "scale": 2.0}),
        ("minmax", [4, 4], [0.0, 0.0], {"min": 4.0, "scale": 1.0}),
        ("robust", [1, 2, 3, 4, 5], [-1.0, -0.5, 0.0, 0.5, 1.0], {"median": 3.0, "scale": 2.0}),
        ("maxabs", [-4, 2], [-1.0, 0.5], {"scale": 4.0}),
        ("maxabs", [0, 0], [0.0, 0.0], {"scale": 1.0}),
        ("log1p", [0.0, -1.0, -2.0, None], [0.0, None, None, None], {}),
        ("standard", [None, None], [None, None], {"mean": None, "scale": 1.0}),
        ("minmax", [None, None], [None, None], {"min": None, "scale": 1.0}),
        ("robust", [None, None], [None, None], {"median": None, "scale": 1.0}),
        ("standard", [], [], {"mean": None, "scale": 1.0}),
    ],
)
def test_scaling(method: str, values: list[Any], wanted: list[Any], constants: dict[str, Any]) -> None:
    kind = pl.Float64 if any(isinstance(v, float) for v in values) else pl.Int64
    done = transform(pl.DataFrame({"a": values}, schema={"a": kind}), normalize={"a": method})
    expected = pl.DataFrame({"a": wanted}, schema={"a": pl.Float64})
    pl.testing.assert_frame_equal(done.rows, expected)
    recorded = done.ctx.report().fitted["normalize"]["a"]
    assert recorded.pop("method") == method
    assert recorded == pytest.approx(constants)


def test_scaling_into_another_column_keeps_the_first() -> None:
    made = transform({"a": [1, 3]}, normalize={"a": {"method": "minmax", "into": "z"}}).columns
    assert made == {"a": [1, 3], "z": [0.0, 1.0]}


# -- encoding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("onehot", {"c_a": [0, 1, 0, 0], "c_b": [1, 0, 0, 1]}),
        ({"method": "onehot", "drop_first": True}, {"c_b": [1, 0, 0, 1]}),
        ({"method": "onehot", "keep": True}, {"c": ["b", "a", None, "b"], "c_a": [0, 1, 0, 0], "c_b": [1, 0, 0, 1]}),
        (
            {"method": "onehot", "categories": ["b"], "handle_unknown": "other"},
            {"c_b": [1, 0, 0, 1], "c_other": [0, 1, 0, 0]},
        ),
        ({"method": "onehot", "max_categories": 1}, {"c_b": [1, 0, 0, 1]}),
        ("ordinal", {"c": [1, 0, None, 1]}),
        ({"method": "ordinal", "into": "o"}, {"c": ["b", "a", None, "b"], "o": [1, 0, None, 1]}),
        ({"method": "ordinal", "categories": ["z", "b"]}, {"c": [1, None, None, 1]}),
        ({"method": "ordinal", "categories": ["b"], "handle_unknown": "other"}, {"c": [0, 1, None, 0]}),
    ],
)
def test_encoding_text(setting: Any, wanted: dict[str, list[Any]]) -> None:
    done = transform({"k": [1, 2, 3, 4], "c": ["b", "a", None, "b"], "z": [0] * 4}, encode={"c": setting})
    assert done.columns == {"k": [1, 2, 3, 4], **wanted, "z": [0] * 4}
    kinds = {n: t for n, t in done.rows.schema.items() if n not in ("k", "z") and t != pl.String}
    wanted_kind: pl.DataType = pl.Int32() if "ordinal" in str(setting) else pl.UInt8()
    assert set(kinds.values()) == {wanted_kind}


@pytest.mark.parametrize(
    ("values", "dtype", "names"),
    [
        ([True, None, False], pl.Boolean, ["c_false", "c_true"]),
        ([2, None, 1], pl.Int64, ["c_1", "c_2"]),
        ([2.5, NAN, None, 1.0], pl.Float64, ["c_1.0", "c_2.5"]),
        ([D(2024, 2, 29), None], pl.Date, ["c_2024-02-29"]),
        (["y", "x", None], pl.Categorical, ["c_x", "c_y"]),
        (["y", "x", None], pl.Enum(["z", "y", "x"]), ["c_x", "c_y"]),
        (["ß", "é"], pl.String, ["c_ß", "c_é"]),
    ],
)
def test_categories_of_every_type_are_sorted(values: list[Any], dtype: Any, names: list[str]) -> None:
    frame = pl.DataFrame({"c": pl.Series(values, dtype=dtype)})
    assert transform(frame, encode={"c": "onehot"}).rows.columns == names
    codes = transform(frame, encode={"c": "ordinal"}).columns["c"]
    assert sorted(c for c in codes if c is not None) == list(range(len(names)))


@pytest.mark.parametrize("method", ["onehot", "ordinal"])
def test_no_values_make_no_categories_and_a_warning(method: str) -> None:
    done = transform(pl.DataFrame({"k": [1], "c": [None]}, schema_overrides={"c": pl.String}), encode={"c": method})
    assert done.warned == ["no_categories"]
    assert done.rows.columns == (["k"] if method == "onehot" else ["k", "c"])


def test_an_unknown_category_may_fail_the_run_with_its_value() -> None:
    setting = {"method": "ordinal", "categories": ["a"], "handle_unknown": "fail"}
    field, said = refused("transformer", {"c": ["a", None, "zebra"]}, encode={"c": setting})
    assert (field, said) == ("encode.c.handle_unknown", "column 'c': zebra is not a known category")
    assert transform({"c": ["a", None]}, encode={"c": setting}).columns == {"c": [0, None]}


# -- order -----------------------------------------------------------------------------------------------------


def test_select_and_sort_with_missing_last() -> None:
    data = {"a": [3, 1, None, 3], "b": ["w", "x", "y", "v"], "c": [0] * 4}
    made = transform(data, select=["b", "a"], sort=["-a", "b"]).rows.rows()
    assert made == [("v", 3), ("w", 3), ("x", 1), ("y", None)]


def test_a_column_may_begin_with_a_minus() -> None:
    assert transform({"-a": [2, 1]}, sort=["-a"]).columns == {"-a": [1, 2]}
    assert transform({"-a": [1, 2]}, sort=["--a"]).columns == {"-a": [2, 1]}


def test_the_settings_apply_in_their_order() -> None:
    done = transform(
        {"p": [1, 2], "c": ["x", "y"], "t": [D(2024, 1, 1), D(2024, 5, 1)]},
        rename_columns={"p": "price"},
        derive={"double": "price * 2"},
        datetime={"t": {"parts": ["month"], "drop": True}},
        normalize={"double": "minmax", "t_month": "minmax"},
        encode={"c": "onehot"},
        sort=["-double"],
    )
    assert done.rows.columns == ["price", "c_x", "c_y", "double", "t_month"]
    assert done.columns["double"] == [1.0, 0.0]


# -- refused ---------------------------------------------------------------------------------------------------

DATA = {"price": [1], "city": ["x"], "day": [D(2024, 1, 1)], "l": [[1]], "city_x": [1], "inf": [INF]}


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"rename_columns": {"prize": "x"}}, "rename_columns.prize", "did you mean 'price'?"),
        ({"rename_columns": {"price": "city"}}, "rename_columns.price", "there is already a column 'city'"),
        ({"derive": {"city": "price"}}, "derive.city", "there is already a column 'city'"),
        ({"derive": {"x": "prize * 2"}}, "derive.x", "did you mean 'price'?"),
        ({"derive": {"x": "price = city"}}, "derive.x", "Could not convert string"),
        ({"datetime": {"dai": {"parts": ["year"]}}}, "datetime.dai", "did you mean 'day'?"),
        ({"datetime": {"city": {"parts": ["year"]}}}, "datetime.city", "cast it to date or datetime before"),
        ({"datetime": {"day": {"cyclical": ["hour"]}}}, "datetime.day", "a date has no hour"),
        ({"normalize": {"prize": "minmax"}}, "normalize.prize", "did you mean 'price'?"),
        ({"normalize": {"city": "minmax"}}, "normalize.city", "the column is string, not a number"),
        ({"normalize": {"inf": "minmax"}}, "normalize.inf", "infinite values"),
        ({"normalize": {"price": {"method": "log1p", "into": "city"}}}, "normalize.price.into", "already"),
        ({"encode": {"citi": "onehot"}}, "encode.citi", "did you mean 'city"),
        ({"encode": {"l": "onehot"}}, "encode.l", "values of type list(int64) cannot be categories"),
        ({"encode": {"city": "onehot"}}, "encode.city", "there is already a column 'city_x'"),
        ({"encode": {"price": {"method": "ordinal", "categories": ["x"]}}}, "encode.price.categories", "does not fit"),
        ({"select": ["prize"]}, "select", "did you mean 'price'?"),
        ({"sort": ["-prize"]}, "sort", "did you mean 'price'?"),
    ],
)
def test_a_setting_that_cannot_be_followed_names_its_place(config: dict[str, Any], field: str, message: str) -> None:
    found, said = refused("transformer", DATA, **config)
    assert found == field
    assert message in said


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"derive": {"x": "row_number()"}}, "derive.x", "no row-local function 'row_number'"),
        ({"datetime": {"d": {}}}, "datetime.d", "name parts or cyclical parts"),
        ({"datetime": {"d": {"parts": ["yaer"]}}}, "datetime.d.parts[0]", "yaer"),
        ({"normalize": {"a": "standart"}}, "normalize.a", "did you mean 'standard'?"),
        ({"normalize": {"a": "minmax"}, "encode": {"a": "ordinal"}}, "encode.a", "'normalize' replaces the column"),
        ({"encode": {"a": {"method": "onehot", "into": "b"}}}, "encode.a", "'into' applies to"),
        ({"encode": {"a": {"method": "ordinal", "keep": True}}}, "encode.a", "applies to onehot"),
        ({"encode": {"a": {"method": "onehot", "categories": ["x"], "max_categories": 3}}}, "encode.a", "either"),
        ({"encode": {"a": {"method": "onehot", "categories": ["x", "x"]}}}, "encode.a", "twice"),
        ({"encode": {"a": {"method": "onehot", "max_categories": 0}}}, "encode.a.max_categories", ">= 1"),
        ({"select": ["a", "a"]}, "select", "'a' is listed twice"),
    ],
)
def test_validation_finds_what_needs_no_data(config: dict[str, Any], field: str, message: str) -> None:
    problems = invalid("transformer", **config)
    assert list(problems) == [field]
    assert message in problems[field]


def test_too_many_columns_are_refused() -> None:
    field, said = refused("transformer", {"a": list(range(1001))}, encode={"a": "onehot"})
    assert field == "encode.a"
    assert "set max_categories" in said
