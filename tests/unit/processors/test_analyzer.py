"""The analyzer: what a profile holds for each kind of column, and its warnings."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import msgspec
import polars as pl
import pytest

from service.engine import estimates
from service.values.profile import Histogram, Profile
from tests.unit.processors.table import INF, NAN, apply, invalid, refused

D, DT = dt.date, dt.datetime


def profile(data: Any, **config: Any) -> dict[str, Any]:
    """The profile as JSON has it; the data must come through as it was."""
    done = apply("analyzer", data, **config)
    assert done.rows.equals(data if isinstance(data, pl.DataFrame) else pl.DataFrame(data), null_equal=True)
    [found] = msgspec.to_builtins(done.ctx.report().profiles)
    read = json.loads(json.dumps(found, allow_nan=False))
    assert isinstance(read, dict)
    return read


def column(values: list[Any], dtype: Any = None, **config: Any) -> dict[str, Any]:
    [found] = profile(pl.DataFrame({"a": pl.Series(values, dtype=dtype)}), **config)["columns"]
    assert isinstance(found, dict)
    return found


def codes(data: Any, **config: Any) -> list[tuple[str, str | None]]:
    return [(w["code"], w["column"]) for w in profile(data, **config)["warnings"]]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([-1e308, None, 0.0, 1e308, INF, -INF, NAN, 5e-324]), pl.Series([-1.7976931348623157e308] * 3 + [1.0]),
        pl.Series([-3.4e38, 3.4e38], dtype=pl.Float32), pl.Series([INF, -INF, NAN]),
        pl.Series([0, 2**64 - 1], dtype=pl.UInt64), pl.Series([-(2**127), 2**127 - 1], dtype=pl.Int128),
        pl.Series(["-" + "9" * 38, "9" * 38]).cast(pl.Decimal(38, 0)),
        pl.Series([-(2**62), 2**62]).cast(pl.Duration("us")), pl.Series([-(2**31), 2**31 - 1], dtype=pl.Int32),
    ],
)  # fmt: skip
@pytest.mark.parametrize("bins", [1, 3, 20])
def test_a_profile_of_extremes_can_be_read_again(values: pl.Series, bins: int) -> None:
    done = apply("analyzer", values.to_frame("a"), histogram_bins=bins)
    found = list(done.ctx.report().profiles)
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[Profile]) == found
    histogram = found[0].columns[0].histogram
    assert isinstance(histogram, Histogram)
    assert histogram.edges == sorted(histogram.edges)


def test_a_number_column() -> None:
    found = column([1.0, 2.0, 4.0, None, NAN, -1.0, 0.0], quantiles=[0.25, 0.5], histogram_bins=2)
    assert found == {
        "name": "a", "type": "float64", "count": 5, "missing": 2, "missing_share": 2 / 7, "distinct": 5,
        "min": -1.0, "max": 4.0, "mean": pytest.approx(1.2), "std": pytest.approx(1.9235384),
        "variance": pytest.approx(3.7), "skew": pytest.approx(0.5901287), "kurtosis": pytest.approx(-0.0219138),
        "zeros": 1, "negatives": 1, "quantiles": {"0.25": 0.0, "0.5": 1.0},
        "histogram": {"edges": [-1.0, 1.5, 4.0], "counts": [3, 2]},
    }  # fmt: skip


def test_whole_numbers_of_more_than_64_bits_are_text() -> None:
    """As decimals are. A sum in SQL has 128 bits; the message that carries a profile has 64."""
    found = column([2**100, -(2**100), 0, None], pl.Int128)
    assert (found["min"], found["max"]) == (str(-(2**100)), str(2**100))
    assert column([2**64 - 1, 0], pl.Int128)["max"] == 2**64 - 1
    [profiled] = apply("analyzer", {"a": pl.Series([2**100], dtype=pl.Int128)}).ctx.report().profiles
    assert msgspec.msgpack.encode(profiled)


def test_a_text_column() -> None:
    found = column(["b", "a", "b", "", "größe", None], top_k=2)
    assert found == {
        "name": "a", "type": "string", "count": 5, "missing": 1, "missing_share": 1 / 6, "distinct": 4,
        "min_length": 0, "max_length": 5, "empty": 1,
        "top": [{"value": "b", "count": 2}, {"value": "", "count": 1}],
    }  # fmt: skip


def test_a_date_column() -> None:
    found = column([D(2024, 2, 28), D(2024, 3, 1), None], histogram_bins=1)
    assert (found["min"], found["max"], found["span_seconds"]) == ("2024-02-28", "2024-03-01", 2 * 86_400.0)
    assert found["histogram"] == {"edges": [1709078400.0, 1709251200.0], "counts": [2]}
    assert found["distinct"] == 2


def test_times_in_a_zone_and_of_day() -> None:
    zoned = pl.Series([DT(2024, 1, 1), DT(2024, 7, 1)]).dt.replace_time_zone("Europe/Berlin")
    found = column(zoned.to_list(), zoned.dtype)
    assert found["min"] == "2024-01-01T00:00:00+01:00"
    assert found["span_seconds"] == 182 * 86_400 - 3600
    assert column([dt.time(1), dt.time(2, 30)])["span_seconds"] == 5400.0


def test_a_boolean_column() -> None:
    assert column([True, True, False, None])["true_share"] == pytest.approx(2 / 3)
    assert column([None], pl.Boolean)["true_share"] is None


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([[1], None], pl.List(pl.Int64)), ([{"x": 1}, None], None), ([b"x", None], pl.Binary), ([None, None], pl.Null)],
)
def test_other_kinds_are_counted(values: list[Any], dtype: Any) -> None:
    found = column(values, dtype)
    assert set(found) == {"name", "type", "count", "missing", "missing_share"}
    assert found["missing"] == values.count(None)


@pytest.mark.parametrize(
    "dtype", [pl.Int64, pl.UInt8, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Datetime("us", "UTC"), pl.Time,
              pl.Decimal(10, 2), pl.Categorical, pl.Enum(["x"]), pl.Duration],
)  # fmt: skip
def test_no_rows_and_nothing_but_missing(dtype: Any) -> None:
    for values in ([], [None, None]):
        found = column(values, dtype)
        assert (found["count"], found["distinct"]) == (0, 0)
        assert found["missing_share"] == (1.0 if values else 0.0)


def test_infinite_values_have_no_place_in_json() -> None:
    found = column([1.0, INF, -INF, 3.0], histogram_bins=2)
    assert found["mean"] is None
    assert found["max"] is None
    assert found["histogram"] == {"edges": [1.0, 2.0, 3.0], "counts": [1, 1]}


@pytest.mark.parametrize(
    ("values", "skew", "kurtosis"), [([1, 2], None, None), ([1, 2, 4], 0.935, None), ([5] * 4, None, None)]
)
def test_the_shape_needs_enough_values(values: list[int], skew: float | None, kurtosis: float | None) -> None:
    found = column(values)
    assert found["skew"] == (None if skew is None else pytest.approx(skew, abs=1e-3))
    assert found["kurtosis"] == kurtosis


def test_counts_of_the_whole() -> None:
    frame = pl.DataFrame({"a": [1, 1, 1, 2], "b": ["x", "x", "x", "x"], "l": [[1], [1], [1], [1]]})
    found = profile(frame, columns=["a"])
    assert (found["row_count"], found["column_count"], found["duplicate_rows"]) == (4, 3, 2)
    assert [c["name"] for c in found["columns"]] == ["a"]


def test_correlation_is_over_complete_pairs_and_a_constant_has_none() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, 3.0, None], "y": [2.0, 4.0, NAN, 1.0], "k": [1, 1, 1, 1], "t": ["a"] * 4})
    found = profile(frame)["correlation"]
    assert (found["method"], found["columns"]) == ("pearson", ["x", "y", "k"])
    assert found["matrix"] == [[1.0, pytest.approx(1.0), None], [pytest.approx(1.0), 1.0, None], [None, None, None]]
    assert profile(frame, correlation="none")["correlation"] == {"method": "none", "columns": [], "matrix": []}


def test_ranks_correlate_where_values_do_not_lie_on_a_line() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, 3.0, 4.0, None], "y": [1, 8, 27, 64, 0], "z": [5, 5, 1, 1, 9]})
    found = profile(frame, correlation="spearman")
    assert found["correlation"]["method"] == "spearman"
    assert found["correlation"]["matrix"][0][1:] == [pytest.approx(1.0), pytest.approx(-0.8944271909999159)]


def test_estimates_are_named_and_few_rows_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, 3.0, None] * 9, "t": ["a", "b", None, "c"] * 9, "b": [True] * 36})
    exact = profile(frame)
    assert "estimates" not in exact
    assert profile(frame, exact=False) == exact
    assert profile(frame.select("b"), exact=False)["exact"] is True
    monkeypatch.setattr(estimates, "FROM", 36)
    found = profile(frame, exact=False)
    assert (found.pop("exact"), exact.pop("exact")) == (False, True)
    assert found.pop("estimates") == {
        "figures": ["distinct", "histogram", "lengths", "quantiles", "top", "warnings"], "sample_rows": 36,
        "share_error": pytest.approx(0.2264, rel=1e-3), "distinct_error": 2 / 128,
    }  # fmt: skip
    assert found == exact  # a sample of all rows


def test_more_numbers_than_can_be_paired_are_not_correlated() -> None:
    frame = pl.DataFrame({f"c{i}": [1, 2] for i in range(65)})
    found = profile(frame)
    assert found["correlation"]["columns"] == []
    assert [w["code"] for w in found["warnings"]] == ["not_correlated"]


def test_warnings() -> None:
    rows = 200
    frame = pl.DataFrame(
        {
            "empty": pl.Series([None] * rows, dtype=pl.Int64),
            "sparse": [1.0, 2.0] + [None] * (rows - 2),
            "constant": ["x"] * rows,
            "names": [f"name {i}" for i in range(rows)],
            "mixed": ["12", "13"] * 40 + ["12,5"] * 20 + ["x", "y", "z", "v"] * 25,
            "a": list(range(rows)),
            "b": [2.0 * i for i in range(rows)],
            "tail": [math.exp(i / 20) for i in range(rows)],
        }
    )
    assert codes(frame, correlation="none") == [
        ("empty", "empty"), ("mostly_missing", "sparse"), ("constant", "constant"), ("high_cardinality", "names"),
        ("mixed_formats", "mixed"), ("skewed", "tail"),
    ]  # fmt: skip
    assert ("strong_correlation", "a") in codes(frame)


def test_a_tidy_table_has_no_warning() -> None:
    assert codes({"n": [1, 2, 3, 4], "m": [2.0, 1.0, 4.0, 3.0], "s": ["a", "b", "a", "b"]}) == []


def test_bounds_of_the_settings() -> None:
    assert list(invalid("analyzer", quantiles=[1.5])) == ["quantiles[0]"]
    assert list(invalid("analyzer", histogram_bins=0, top_k=-1)) == ["histogram_bins", "top_k"]
    assert "pearsn" in invalid("analyzer", correlation="pearsn")["correlation"]
    assert invalid("analyzer", columns=["a", "a"]) == {"columns": "'a' is listed twice"}
    assert refused("analyzer", {"price": [1]}, columns=["prize"])[1].endswith("did you mean 'price'?")
