"""Values and types at the edge of what a step can do: it is done rightly, or refused at the place of the setting."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest

from service.kit import errors
from tests.unit.processors.table import INF, NAN, apply, refused


@pytest.mark.parametrize("rows", [20, 100, 1000])
@pytest.mark.parametrize("value", [0.1, 4.2, 1 / 3])
def test_a_constant_column_has_no_outliers_and_no_correlation(rows: int, value: float) -> None:
    frame = pl.DataFrame({"k": [value] * rows, "x": [float(i % 7) for i in range(rows)]})
    for method in ("iqr", "zscore", "quantile"):
        assert apply("cleaner", frame, outliers={"k": {"method": method, "action": "drop"}}).rows.height == rows
    [profile] = msgspec.to_builtins(apply("analyzer", frame).ctx.report().profiles)
    assert (profile["columns"][0]["mean"], profile["columns"][0]["std"]) == (value, 0.0)
    assert profile["correlation"]["matrix"] == [[None, None], [None, 1.0]]


def test_shares_are_of_the_known_values_also_beside_nan() -> None:
    done = apply("transformer", {"v": [1.5, 2.5, NAN, None]}, encode={"v": "frequency"})
    assert done.columns["v"] == [0.5, 0.5, None, None]


def test_bounds_beyond_a_decimal_clip_nothing() -> None:
    values = [Decimal("1.10"), Decimal("-2.25"), Decimal("9999999999.99"), None]
    frame = pl.DataFrame({"v": pl.Series(values, dtype=pl.Decimal(12, 2))})
    assert apply("cleaner", frame, outliers={"v": {"method": "zscore"}}).columns["v"] == values


@pytest.mark.parametrize("value", [9999999999.996, 1e10, 1e11, -1e11, 1e20, INF, NAN])
def test_floats_that_are_one_digit_too_long_for_a_decimal_are_missing(value: float) -> None:
    done = apply("cleaner", {"v": [value, 9999999999.99]}, cast={"v": "decimal(12,2)"})
    assert done.columns["v"] == [None, Decimal("9999999999.99")]


def test_a_date_that_nobody_can_write_is_named_by_its_column() -> None:
    days = pl.Series([-800_000, 19_000], dtype=pl.Int32).cast(pl.Date)
    days = pl.concat([days, pl.Series([3_000_000], dtype=pl.Int32).cast(pl.Date)])  # the year 10183
    with pytest.raises(errors.Permanent, match=r"^column 'd' holds dates outside of the years 1 to 9999; ") as raised:
        apply("analyzer", pl.DataFrame({"v": [1, 2, 3], "d": days}))
    advice = raised.value.message.partition("filter them before, by ")[2]
    filtered = apply("cleaner", pl.DataFrame({"d": days}), filter=advice).rows
    assert apply("analyzer", filtered).ctx.report().profiles[0].row_count == 1


@pytest.mark.parametrize("number", [9 * 10**17, 2**63 - 1, 1 - 2**63])
@pytest.mark.parametrize("dtype", [pl.Date(), pl.Datetime("us"), pl.Datetime("ms", "UTC")])
def test_a_date_beyond_what_the_engine_can_write_is_named_too(dtype: pl.DataType, number: int) -> None:
    physical = pl.Series([0, number >> 32 if dtype == pl.Date else number])
    days = physical.cast(pl.Int32 if dtype == pl.Date else pl.Int64).cast(dtype)
    with pytest.raises(errors.Permanent, match=r"^column 'd' holds dates outside of the years 1 to 9999; "):
        apply("analyzer", pl.DataFrame({"v": [1, 2], "d": days}))


@pytest.mark.parametrize(("key", "order"), [("f", [1, 3, 0, 2]), ("-f", [3, 1, 0, 2])])
def test_missing_values_are_last_in_every_order(key: str, order: list[int]) -> None:
    frame = pl.DataFrame({"f": [NAN, 1.0, None, 2.0], "row": range(4)})
    assert apply("transformer", frame, sort=[key]).columns["row"] == order


@pytest.mark.parametrize(
    ("wanted", "values", "kept"),
    [
        ("int64", [1.0, 1.5, NAN, None, INF, -2.0], [0, 2, 3, 5]),
        ("int8", [1.0, 300.0, -128.0], [0, 2]),
        ("boolean", [0, 1, 2, None], [0, 1, 3]),
        ("int64", [Decimal("1.0"), Decimal("1.5")], [0]),
        ("float64", [1, 2**62], [0, 1]),
    ],
)
def test_a_number_is_of_a_type_that_loses_nothing_of_it(wanted: str, values: list[Any], kept: list[int]) -> None:
    frame = pl.DataFrame({"v": values, "row": range(len(values))})
    done = apply("validator", frame, rules=[{"column": "v", "check": "type", "type": wanted}], on_fail="drop")
    assert done.columns["row"] == kept


@pytest.mark.parametrize("dtype", [pl.String(), pl.Categorical(), pl.Enum(["n/a", "x"])])
def test_marks_of_missing_values_are_found_among_categories_too(dtype: pl.DataType) -> None:
    rows = apply("cleaner", {"v": pl.Series(["x", "n/a", None], dtype=dtype)}, null_values=["n/a", "-"]).rows
    assert rows["v"].cast(pl.String).to_list() == ["x", None, None]
    assert rows["v"].dtype == dtype


def test_categories_that_are_one_value_are_refused() -> None:
    setting = {"method": "onehot", "categories": [1, 3]}
    field, message = refused("transformer", {"b": [True, False]}, encode={"b": setting})
    assert (field, "two of them are the same value true" in message) == ("encode.b.categories", True)


def test_infinite_categories_have_names() -> None:
    done = apply("transformer", {"v": [INF, -INF, 1.0, INF]}, encode={"v": "onehot"})
    assert done.columns == {"v_-inf": [0, 1, 0, 0], "v_1.0": [0, 0, 1, 0], "v_inf": [1, 0, 0, 1]}
    assert done.ctx.report().fitted["encode"]["v"]["categories"] == ["-inf", 1.0, "inf"]


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("transformer", {"derive": {"m": "length(v)", "n": "CAST(trim(v) AS INTEGER)"}}, "derive.n"),
        ("transformer", {"derive": {"n": "strptime(v, '%Y-%m-%d')"}}, "derive.n"),
        ("transformer", {"derive": {"covert": "CAST(w AS VARCHAR)", "n": "CAST(v AS INTEGER)"}}, "derive.n"),
        ("transformer", {"aggregate": {"by": ["w"], "metrics": {"m": "sum(CAST(v AS INT))"}}}, "aggregate.metrics.m"),
        ("cleaner", {"filter": "v::INTEGER > 1", "drop_duplicates": True}, "filter"),
        ("validator", {"rules": [{"expression": "CAST(v AS INTEGER) > 1"}]}, "rules[0].expression"),
        ("sql", {"query": "SELECT w, CAST(v AS INTEGER) AS n FROM input"}, "query"),
    ],
)
def test_a_value_that_an_expression_cannot_cast_is_blamed_on_the_expression(
    kind: str, config: dict[str, Any], field: str
) -> None:
    found, message = refused(kind, pl.DataFrame({"v": ["1", "x"], "w": [1, 2]}), **config)
    assert found == field
    assert "Could not " in message
    assert "TRY_CAST" in message


DURATION = pl.Series([dt.timedelta(hours=1), dt.timedelta(days=2), None])
BYTES = pl.Series([b"12", "ß".encode(), b"\xff", b"\xed\xa0\x80", None])


def test_a_duration_becomes_a_category_by_its_text_and_an_unknown_one_is_named_by_its_column() -> None:
    texts = apply("cleaner", {"v": DURATION}, cast={"v": "categorical"}).rows["v"].cast(pl.String)
    assert texts.to_list() == apply("cleaner", {"v": DURATION}, cast={"v": "string"}).columns["v"]
    setting = {"method": "ordinal", "max_categories": 1, "handle_unknown": "fail"}
    assert refused("transformer", {"v": DURATION}, encode={"v": setting})[0] == "encode.v.handle_unknown"


@pytest.mark.parametrize(
    ("wanted", "values"), [("string", ["12", "ß", None, None, None]), ("int64", [12] + [None] * 4)]
)
def test_bytes_are_read_as_text_and_what_is_none_is_a_bad_value(wanted: str, values: list[Any]) -> None:
    assert apply("cleaner", {"v": BYTES}, cast={"v": wanted}, max_lost_share=1).columns["v"] == values
    strict = {"v": {"type": wanted, "on_error": "fail"}}
    assert refused("cleaner", {"v": BYTES}, cast=strict)[0] == "cast.v"
    assert refused("cleaner", {"v": BYTES}, replace={"v": {"a": "b"}})[0] == "replace.v"


def test_bytes_may_be_the_key_of_a_split() -> None:
    parts = apply("transformer", {"v": BYTES}, split={"key": "v", "shares": {"a": 0.5, "b": 0.5}}).columns["split"]
    texts = pl.Series(["12", "ß"])
    assert (
        parts[:2]
        == apply("transformer", {"v": texts}, split={"key": "v", "shares": {"a": 0.5, "b": 0.5}}).columns["split"]
    )


@pytest.mark.parametrize("column", [pl.Series([[1]]), pl.Series([{"x": 1}]), DURATION, pl.Series([["a"]])])
@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("transformer", {"derive": {"n": "ln(v)"}}, "derive.n"),
        ("cleaner", {"filter": "ln(v) = 1"}, "filter"),
        ("validator", {"rules": [{"expression": "ln(v) = 1"}]}, "rules[0].expression"),
        (
            "transformer",
            {"aggregate": {"by": ["w"], "metrics": {"m": "max(ln(v))"}}},
            "aggregate.metrics.m",
        ),
        ("sql", {"query": "SELECT ln(v) AS n FROM input"}, "query"),
    ],
)
def test_what_does_not_fit_a_type_is_found_at_its_step(
    column: pl.Series, kind: str, config: dict[str, Any], field: str
) -> None:
    frame = pl.DataFrame({"v": column, "w": 1})
    with_no_rows = refused(kind, frame.clear(), **config)
    assert refused(kind, frame, **config) == with_no_rows
    assert with_no_rows[0] == field


@pytest.mark.parametrize(
    ("text", "kept"), [("f < 2", [0, 2, 3]), ("f >= 0 AND i = 1", [0, 1, 2]), ("f < 2 OR i = 1", [0, 1, 2, 3])]
)
def test_nan_neither_holds_nor_breaks_a_condition(text: str, kept: list[int]) -> None:
    frame = pl.DataFrame({"f": [1.0, 5.0, None, NAN], "i": [1, 1, 1, 2]})
    done = apply("validator", frame, rules=[{"expression": text}], on_fail="drop")
    assert done.rows.equals(frame[kept])
