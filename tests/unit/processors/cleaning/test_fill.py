"""Filling and outliers: values, what is recorded, and types that cannot be filled so."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.unit.processors.table import INF, NAN, apply, refused

D, DT = dt.date, dt.datetime


def filled(values: list[Any], dtype: Any, how: Any) -> tuple[pl.Series, Any, list[str]]:
    frame = pl.DataFrame({"a": pl.Series(values, dtype=dtype)})
    done = apply("cleaner", frame, fill_na={"a": how})
    recorded = done.ctx.report().fitted["fill_na"]["a"]
    assert json.loads(json.dumps(recorded)) == recorded
    return done.rows["a"], recorded, done.warned


@pytest.mark.parametrize(
    ("values", "dtype", "how", "wanted"),
    [
        ([1, None], pl.Int8, 5, 5),
        ([1, None], pl.Int64, "7", 7),
        ([1.5, None], pl.Float32, 2, 2.0),
        ([1.5, NAN], pl.Float64, 0, 0.0),
        ([Decimal("1.50"), None], pl.Decimal(8, 2), 0.25, Decimal("0.25")),
        (["x", None], pl.String, "", ""),
        (["x", None], pl.String, 3, "3"),
        ([True, None], pl.Boolean, False, False),
        ([True, None], pl.Boolean, "no", False),
        ([D(2024, 2, 29), None], pl.Date, "2024-03-01", D(2024, 3, 1)),
        ([DT(2024, 2, 29), None], pl.Datetime("us"), "2024-03-01T10:00", DT(2024, 3, 1, 10)),
        ([dt.time(1), None], pl.Time, "10:30", dt.time(10, 30)),
        (["x", None], pl.Categorical, "new", "new"),
        (["x", None], pl.Enum(["x", "y"]), "y", "y"),
        ([None, None], pl.Null, "x", "x"),
    ],
)
def test_a_value_fills_what_is_missing_and_keeps_the_type(values: list[Any], dtype: Any, how: Any, wanted: Any) -> None:
    column, recorded, _ = filled(values, dtype, how)
    assert column[1] == wanted
    assert column.dtype == (pl.String if dtype == pl.Null else dtype)
    assert recorded == {"value": how}


def test_a_time_is_filled_in_the_column_s_zone() -> None:
    frame = pl.DataFrame({"a": pl.Series([None], dtype=pl.Datetime("us", "Europe/Berlin"))})
    made = apply("cleaner", frame, fill_na={"a": "2024-07-01T12:00"}).rows["a"]
    assert made.dt.to_string("iso")[0] == "2024-07-01 12:00:00.000000+02:00"


@pytest.mark.parametrize(
    ("values", "dtype", "strategy", "wanted", "recorded"),
    [
        ([1, 2, 4, None], pl.Int64, "mean", 7 / 3, 7 / 3),
        ([1, 2, 4, None], pl.Int64, "median", 2.0, 2.0),
        ([1, 4, None, 4], pl.Int64, "mode", 4, 4),
        ([2, 1, None], pl.Int64, "mode", 1, 1),
        ([3, 1, None], pl.Int64, "min", 1, 1),
        ([3, 1, None], pl.Int64, "max", 3, 3),
        ([3, 1, None], pl.Int64, "zero", 0, 0),
        ([1.0, NAN, 4.0, None], pl.Float64, "mean", 2.5, 2.5),
        ([1.0, INF, None], pl.Float64, "max", None, None),
        ([Decimal("1.10"), Decimal("2.20"), None], pl.Decimal(8, 2), "mean", Decimal("1.65"), 1.6500000000000001),
        ([Decimal("1.10"), None], pl.Decimal(8, 2), "max", Decimal("1.10"), "1.10"),
        (["b", "a", "b", None], pl.String, "mode", "b", "b"),
        (["b", "a", None], pl.String, "mode", "a", "a"),
        (["ä", "b", None], pl.String, "min", "b", "b"),
        ([True, True, False, None], pl.Boolean, "mode", True, True),
        ([D(2024, 2, 28), D(2024, 3, 1), None], pl.Date, "median", D(2024, 2, 29), "2024-02-29"),
        (
            [DT(2024, 1, 1), DT(2024, 1, 2), None],
            pl.Datetime("us"),
            "median",
            DT(2024, 1, 1, 12),
            "2024-01-01T12:00:00",
        ),
        (["x", "x", "y", None], pl.Categorical, "mode", "x", "x"),
        (["y", "y", "x", None], pl.Enum(["x", "y"]), "mode", "y", "y"),
    ],
)
def test_a_strategy_fits_its_value(values: list[Any], dtype: Any, strategy: str, wanted: Any, recorded: Any) -> None:
    column, said, _ = filled(values, dtype, {"strategy": strategy})
    assert column[-1] == wanted
    assert said == {"strategy": strategy, "value": recorded}


@pytest.mark.parametrize("strategy", ["mean", "median", "mode", "min", "max"])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float64, pl.Null])
def test_nothing_to_fit_is_a_warning_and_leaves_missing(strategy: str, dtype: Any) -> None:
    column, said, warned = filled([None, None], dtype, {"strategy": strategy})
    assert column.null_count() == 2
    assert said["value"] is None
    assert warned == ["nothing_to_fill"]
    averaged = strategy in ("mean", "median") and dtype == pl.Int64
    assert column.dtype == (pl.Float64 if averaged else dtype)


@pytest.mark.parametrize(
    ("values", "how", "message"),
    [
        (["x", None], {"strategy": "mean"}, "mean needs numbers, and the column is string; cast it first or use mode"),
        ([True, None], {"strategy": "median"}, "median needs numbers"),
        ([D(2024, 1, 1)], {"strategy": "zero"}, "zero needs numbers"),
        ([[1], None], {"strategy": "mode"}, "a list(int64) has no mode"),
        ([1, None], "x", "'x' does not fit the column's type int64"),
        ([1, None], 1.5, "1.5 does not fit"),
        ([1, None], 2**70, "does not fit"),
        ([D(2024, 1, 1)], "2024-02-30", "does not fit the column's type date"),
        ([[1], None], "x", "does not fit the column's type list(int64)"),
    ],
)
def test_what_cannot_fill_is_refused(values: list[Any], how: Any, message: str) -> None:
    field, said = refused("cleaner", {"a": values}, fill_na={"a": how})
    assert field == "fill_na.a"
    assert message in said


# -- outliers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "setting", "wanted"),
    [
        ([1.0, 2.0, 3.0, 4.0, 100.0], {"method": "iqr"}, [1.0, 2.0, 3.0, 4.0, 7.0]),
        ([1.0, 2.0, 3.0, 4.0, 100.0], {"method": "iqr", "action": "null"}, [1.0, 2.0, 3.0, 4.0, None]),
        ([1.0, 2.0, 3.0, 4.0, 100.0], {"method": "iqr", "action": "drop"}, [1.0, 2.0, 3.0, 4.0]),
        ([1.0, 2.0, 3.0, 4.0, 100.0], {"method": "iqr", "factor": 100}, [1.0, 2.0, 3.0, 4.0, 100.0]),
        ([1, 2, 3, 4, 100], {"method": "quantile", "factor": 0.25}, [2, 2, 3, 4, 4]),
        ([2, 3], {"method": "quantile", "factor": 0.2}, [2, 3]),
        ([0, 0, 0, 0, 10], {"method": "zscore", "factor": 1}, [0, 0, 0, 0, 6]),
        ([5.0, NAN, None, 5.0], {"method": "zscore", "action": "drop"}, [5.0, NAN, None, 5.0]),
        ([1.0, 2.0, 3.0, INF], {"method": "quantile", "factor": 0.4}, [2.2, 2.2, 2.8, 2.8]),
    ],
)
def test_outliers_by_method_and_action(values: list[Any], setting: dict[str, Any], wanted: list[Any]) -> None:
    done = apply("cleaner", {"a": values}, outliers={"a": setting})
    column = done.rows["a"]
    assert column.equals(pl.Series("a", wanted, dtype=column.dtype), null_equal=True)
    fitted = done.ctx.report().fitted["outliers"]["a"]
    assert set(fitted) == {"method", "action", "low", "high"}


def test_clipping_keeps_the_type_and_its_range() -> None:
    frame = pl.DataFrame({"u": pl.Series([0, 1, 2, 3, 255], dtype=pl.UInt8), "d": ["1.0", "1.1", "1.2", "1.3", "9.9"]})
    done = apply(
        "cleaner", frame, cast={"d": "decimal(6,2)"}, outliers={"u": {"method": "iqr"}, "d": {"method": "iqr"}}
    )
    assert done.rows.schema == {"u": pl.UInt8, "d": pl.Decimal(6, 2)}
    assert done.rows["u"].to_list() == [0, 1, 2, 3, 6]
    assert done.rows["d"].to_list()[-1] == Decimal("1.60")


def test_no_values_have_no_bounds() -> None:
    done = apply("cleaner", pl.DataFrame({"a": [None]}, schema={"a": pl.Int64}), outliers={"a": {"method": "iqr"}})
    assert done.rows["a"].to_list() == [None]
    assert done.warned == ["no_bounds"]
    assert done.ctx.report().fitted["outliers"]["a"]["low"] is None


def test_outliers_are_for_numbers() -> None:
    field, said = refused("cleaner", {"a": ["x"]}, outliers={"a": {"method": "iqr"}})
    assert (field, said) == ("outliers.a", "outliers.a: outliers apply to numbers, and the column is string")


def test_fills_come_before_outliers() -> None:
    done = apply("cleaner", {"a": [1.0, 2.0, 3.0, None]}, fill_na={"a": 100}, outliers={"a": {"method": "iqr"}})
    assert done.rows["a"].to_list()[3] < 100
