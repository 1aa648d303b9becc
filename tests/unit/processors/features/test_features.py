"""Bins, encodings by numbers, text features, windows, aggregates and splits; what is fitted by which rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.steps.context import ProcessContext
from service.steps.report import Split
from tests.unit.processors.table import INF, NAN, Done, apply, decode, invalid, refused

CATEGORIES = {"c": ["a", "b", "a", None, "c", "a"], "y": [1.0, 0.0, 3.0, 5.0, None, 2.0]}
ROWS = {"g": ["a", "b", "a", None, "b", "a"], "t": [3, 1, 1, 2, 2, None], "v": [1, 2, 3, 4, 5, 6]}


def transform(data: Any, **config: Any) -> Done:
    done = apply("transformer", data, **config)
    assert json.loads(json.dumps(done.ctx.report().fitted, allow_nan=False)) == done.ctx.report().fitted
    return done


# -- bins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "setting", "wanted", "edges"),
    [
        ([0, 1, 2, 3, 4], {"method": "uniform", "bins": 2}, [0, 0, 1, 1, 1], [0.0, 2.0, 4.0]),
        ([0.0, NAN, None, 4.0], {"method": "uniform", "bins": 2}, [0, None, None, 1], [0.0, 2.0, 4.0]),
        ([1, 2, 3, 4, 5, 6], {"method": "quantile", "bins": 3}, [0, 0, 1, 1, 2, 2], None),
        ([7, 7, 7], {"method": "uniform", "bins": 3}, [0, 0, 0], [7.0]),
        ([1, 1, 1, 1, 9], {"method": "quantile", "bins": 4}, [0, 0, 0, 0, 0], [1.0, 9.0]),
        (
            [-1, 0, 5, 10, 20, 21],
            {"method": "edges", "edges": [0, 10, 20]},
            [None, 0, 0, 1, 1, None],
            [0.0, 10.0, 20.0],
        ),
        ([5, 15], {"method": "edges", "edges": [0, 10, 20], "labels": ["lo", "hi"]}, ["lo", "hi"], [0.0, 10.0, 20.0]),
        ([None, None], {"method": "uniform"}, [None, None], []),
        ([], {"method": "quantile"}, [], []),
    ],
)
def test_bins(values: list[Any], setting: dict[str, Any], wanted: list[Any], edges: list[float] | None) -> None:
    kind = pl.Float64 if any(isinstance(v, float) for v in values) else pl.Int64
    done = transform(pl.DataFrame({"a": values}, schema={"a": kind}), bin={"a": setting})
    assert done.columns["a"] == wanted
    assert done.rows.schema["a"] == (pl.String if "labels" in setting else pl.Int32)
    fitted = done.ctx.report().fitted["bin"]["a"]
    assert fitted["method"] == setting["method"]
    assert edges is None or fitted["edges"] == edges


def test_bins_may_be_encoded_in_their_turn() -> None:
    setting = {"method": "edges", "edges": [0, 10, 20], "labels": ["lo", "hi"]}
    made = transform({"a": [5, 15, 99]}, bin={"a": setting}, encode={"a": "onehot"}).columns
    assert made == {"a_hi": [0, 1, 0], "a_lo": [1, 0, 0]}


def test_bins_into_another_column_leave_the_first_to_be_scaled() -> None:
    done = transform({"a": [0, 4]}, bin={"a": {"method": "uniform", "bins": 2, "into": "b"}}, normalize={"a": "minmax"})
    assert done.columns == {"a": [0.0, 1.0], "b": [0, 1]}


# -- encodings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "wanted", "values"),
    [
        ("frequency", [0.6, 0.2, 0.6, None, 0.2, 0.6], [0.6, 0.2, 0.2]),
        ({"method": "frequency", "max_categories": 1}, [0.6, None, 0.6, None, None, 0.6], [0.6]),
        (
            {"method": "frequency", "max_categories": 1, "handle_unknown": "other"},
            [0.6, 0.0, 0.6, None, 0.0, 0.6],
            [0.6],
        ),
        ({"method": "target", "target": "y", "smoothing": 0}, [2.0, 0.0, 2.0, None, None, 2.0], [2.0, 0.0]),
        ({"method": "target", "target": "y", "smoothing": 2}, [2.08, 4.4 / 3, 2.08, None, None, 2.08], [2.08, 4.4 / 3]),
        (
            {"method": "target", "target": "y", "smoothing": 0, "handle_unknown": "other"},
            [2.0, 0.0, 2.0, None, 2.2, 2.0],
            None,
        ),
    ],
)
def test_categories_by_a_number(setting: Any, wanted: list[Any], values: list[float] | None) -> None:
    done = transform(CATEGORIES, encode={"c": setting})
    assert done.columns["c"] == [None if w is None else pytest.approx(w) for w in wanted]
    assert done.rows.schema["c"] == pl.Float64
    assert values is None or done.ctx.report().fitted["encode"]["c"]["values"] == pytest.approx(values)


def test_a_constant_target_is_its_mean_and_a_boolean_counts_as_a_number() -> None:
    data = {"c": ["a", "b"], "y": [3, 3], "z": [True, False]}
    assert transform(data, encode={"c": {"method": "target", "target": "y"}}).columns["c"] == [3.0, 3.0]
    assert transform(data, encode={"c": {"method": "target", "target": "z", "smoothing": 0}}).columns["c"] == [1.0, 0.0]


def test_bits_of_the_category_s_number() -> None:
    made = transform(CATEGORIES, encode={"c": "binary"}).columns
    assert (made["c_0"], made["c_1"]) == ([0, 1, 0, 0, 1, 0], [1, 0, 1, 0, 1, 1])
    kept = transform(CATEGORIES, encode={"c": {"method": "binary", "keep": True, "categories": ["a"]}}).columns
    assert kept["c"] == CATEGORIES["c"]
    assert kept["c_0"] == [1, 0, 1, 0, 0, 1]


def test_buckets_are_the_same_for_ever() -> None:
    data = {"c": ["a", "b", "a", None, "größe"], "n": [1, 2, 1, None, -5]}
    setting = {"method": "hash", "buckets": 1000}
    made = transform(data, encode={"c": setting, "n": {**setting, "into": "m"}})
    assert made.columns["c"] == [7, 133, 7, None, 906]
    assert made.columns["m"] == [667, 917, 667, None, 333]
    assert made.ctx.report().fitted["encode"]["c"] == {"method": "hash", "buckets": 1000, "hash": "fnv1a-64x64"}
    plain, said = (transform(data, encode={"c": setting}) for setting in ("hash", {"method": "hash", "buckets": 1024}))
    assert plain.columns == said.columns
    assert plain.ctx.report().fitted == said.ctx.report().fitted


# -- text and windows --------------------------------------------------------------------------------------------


def test_features_of_text() -> None:
    made = transform({"s": ["Hello World", "", None, " Ü "]}, text={"s": ["length", "words", "lower"]}).columns
    assert made["s_length"] == [11, 0, None, 3]
    assert made["s_words"] == [2, 0, None, 1]
    assert made["s_lower"] == ["hello world", "", None, " ü "]


def test_lags_and_leads() -> None:
    made = transform(ROWS, lag={"v": {"by": ["g"], "order_by": ["t"], "periods": [1, -1]}}).columns
    assert made["v_lag_1"] == [3, None, None, None, 2, 1]
    assert made["v_lead_1"] == [6, 5, 1, None, None, None]
    same = transform(ROWS, lag={"v": {"by": "g", "order_by": "t", "periods": [1, -1]}})
    assert same.columns == made
    assert transform(ROWS, lag={"v": {}}).columns["v_lag_1"] == [None, 1, 2, 3, 4, 5]


def test_rolling_statistics() -> None:
    setting = {"function": ["sum", "mean"], "window": 2, "by": ["g"], "order_by": ["t"]}
    made = transform(ROWS, rolling={"v": setting}).columns
    assert made["v_rolling_sum_2"] == [4.0, None, None, None, 7.0, 7.0]
    assert made["v_rolling_mean_2"] == [2.0, None, None, None, 3.5, 3.5]
    partial = transform(ROWS, rolling={"v": {"function": "max", "window": 3, "min_values": 1}}).columns
    assert partial["v_rolling_max_3"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


# -- aggregates --------------------------------------------------------------------------------------------------


def test_groups_in_the_order_of_their_first_rows() -> None:
    metrics = {
        "n": "count(*)", "known": "count(t)", "total": "sum(v * 2)", "span": "max(v) - min(v)",
        "share": "sum(v) / count(*)", "kinds": "count(distinct t)", "middle": "median(v)",
        "most": "coalesce(max(t), 0)",
    }  # fmt: skip
    done = transform(ROWS, aggregate={"by": ["g"], "metrics": metrics})
    assert done.columns == {
        "g": ["a", "b", None], "n": [3, 2, 1], "known": [2, 2, 1], "total": [20, 14, 8], "span": [5, 3, 0],
        "share": [10 / 3, 3.5, 4.0], "kinds": [2, 2, 1], "middle": [3.0, 3.5, 4.0], "most": [3, 2, 2],
    }  # fmt: skip
    assert done.rows.schema["n"] == done.rows.schema["known"] == pl.Int64


def test_sums_are_divided_exactly() -> None:
    numbers = list(range(1, 200))
    done = transform(pl.DataFrame({"n": numbers}), aggregate={"by": ["n"], "metrics": {"v": "floor(sum(n) / 49)"}})
    assert done.columns["v"] == [n // 49 for n in numbers]


def test_small_whole_numbers_do_not_wrap_around_in_a_sum() -> None:
    frame = pl.DataFrame({"g": ["a"] * 3, "v": pl.Series([2_000_000_000] * 3, dtype=pl.Int32)})
    assert transform(frame, aggregate={"by": ["g"], "metrics": {"s": "sum(v)"}}).columns["s"] == [6_000_000_000]


# -- splits ------------------------------------------------------------------------------------------------------


def test_a_split_keeps_keys_together_and_about_the_shares() -> None:
    frame = pl.DataFrame({"k": [f"customer {i % 2000}" for i in range(4000)], "row": range(4000)})
    setting = {"key": "k", "shares": {"train": 0.7, "valid": 0.2, "test": 0.1}}
    done = transform(frame, split=setting)
    parts = done.rows.group_by("k").agg(pl.col("split").n_unique())["split"]
    assert parts.max() == 1
    counts = dict(done.rows.group_by("split").len().iter_rows())
    assert counts == {
        "train": pytest.approx(2800, abs=150),
        "valid": pytest.approx(800, abs=120),
        "test": pytest.approx(400, abs=90),
    }
    backwards = transform(frame.reverse(), split=setting).rows.reverse()
    assert backwards.equals(done.rows)
    other = transform(frame, split={**setting, "seed": 1}).rows
    assert (other["split"] != done.rows["split"]).any()
    assert done.ctx.report().splits == (Split("split", "train"),)


def test_later_fits_go_by_the_training_rows(tmp_path: Path) -> None:
    frame = pl.DataFrame({"k": range(200), "v": [float(i) for i in range(200)], "c": ["x"] * 199 + ["y"]})
    ctx = ProcessContext("processors[0]", tmp_path)
    made = decode("transformer", {"split": {"key": "k", "column": "part"}}).apply(
        PolarsFrame(frame.lazy(), tmp_path), ctx
    )
    assert isinstance(made, PolarsFrame)
    train = made.lazy.collect().filter(pl.col("part") == "train")
    later = ProcessContext("processors[1]", tmp_path, splits=ctx.report().splits)
    config = {"normalize": {"v": "minmax"}, "encode": {"c": "frequency"}}
    done = decode("transformer", config).apply(made, later)
    assert isinstance(done, PolarsFrame)
    assert done.lazy.collect().height == 200
    assert later.report().fitted["normalize"]["v"]["min"] == train["v"].min()
    assert later.report().fitted["normalize"]["v"]["scale"] == train["v"].max() - train["v"].min()  # type: ignore[operator]
    assert later.report().fitted["fitted_by"] == {"column": "part", "part": "train"}
    cleaned = ProcessContext("processors[2]", tmp_path, splits=ctx.report().splits)
    decode("cleaner", {"fill_na": {"v": {"strategy": "max"}}, "outliers": {"v": {"method": "iqr"}}}).apply(
        made, cleaned
    )
    assert cleaned.report().fitted["fill_na"]["v"]["value"] == train["v"].max()


@pytest.mark.parametrize("strategy", ["mean", "median", "min", "max", "mode"])
def test_groups_are_filled_by_their_training_rows(strategy: str, tmp_path: Path) -> None:
    frame = pl.LazyFrame(
        {
            "g": ["x", "x", "x", "y", "y"],
            "v": [2.0, 50.0, None, 7.0, None],
            "part": ["train", "test", "test"] + ["test"] * 2,
        }
    )
    ctx = ProcessContext("processors[1]", tmp_path, splits=(Split("part", "train"),))
    config = {"fill_na": {"v": {"strategy": strategy, "group_by": "g"}}}
    done = decode("cleaner", config).apply(PolarsFrame(frame, tmp_path), ctx)
    assert isinstance(done, PolarsFrame)
    assert done.lazy.collect()["v"].to_list() == [2.0, 50.0, 2.0, 7.0, None]
    assert ctx.report().fitted["fitted_by"] == {"column": "part", "part": "train"}


def test_a_lost_split_is_said(tmp_path: Path) -> None:
    ctx = ProcessContext("processors[1]", tmp_path, splits=(Split("part", "train"),))
    decode("transformer", {"normalize": {"v": "minmax"}}).apply(PolarsFrame(pl.LazyFrame({"v": [1, 2]}), tmp_path), ctx)
    assert [w.code for w in ctx.report().warnings] == ["split_lost"]
    assert "fitted_by" not in ctx.report().fitted


# -- refused -----------------------------------------------------------------------------------------------------

DATA = {"price": [1, 2], "city": ["x", "y"], "l": [[1], [2]], "inf": [INF, 1.0], "price_lag_1": [1, 2]}


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"bin": {"prize": {"method": "uniform"}}}, "bin.prize", "did you mean 'price'?"),
        ({"bin": {"city": {"method": "uniform"}}}, "bin.city", "not a number"),
        ({"bin": {"inf": {"method": "uniform"}}}, "bin.inf", "infinite values"),
        ({"bin": {"price": {"method": "uniform", "into": "city"}}}, "bin.price.into", "already"),
        ({"bin": {"price": {"method": "quantile", "bins": 2, "labels": ["a", "b"]}}, "rename_columns": {"price": "p"}},
         "bin.price", "no column 'price'"),
        ({"encode": {"city": {"method": "target", "target": "prize"}}}, "encode.city.target", "did you mean 'price'?"),
        ({"encode": {"price": {"method": "target", "target": "city"}}}, "encode.price.target", "'city' is string"),
        ({"encode": {"l": {"method": "hash", "buckets": 3}}}, "encode.l", "cannot be categories"),
        ({"text": {"citi": ["length"]}}, "text.citi", "did you mean 'city'?"),
        ({"text": {"price": ["length"]}}, "text.price", "not text"),
        ({"lag": {"prize": {}}}, "lag.prize", "did you mean 'price'?"),
        ({"lag": {"price": {"by": ["citi"]}}}, "lag.price.by", "did you mean 'city'?"),
        ({"lag": {"price": {"order_by": ["citi"]}}}, "lag.price.order_by", "did you mean 'city'?"),
        ({"lag": {"price": {}}}, "lag.price", "there is already a column 'price_lag_1'"),
        ({"rolling": {"city": {"function": "sum", "window": 2}}}, "rolling.city", "not a number"),
        (
            {"rolling": {"price": {"function": "sum", "window": "7d", "order_by": "city"}}},
            "rolling.price.order_by",
            "needs a date or datetime, and 'city' is string",
        ),
        ({"aggregate": {"by": ["citi"], "metrics": {"n": "count(*)"}}}, "aggregate.by", "did you mean 'city'?"),
        ({"aggregate": {"by": ["city"], "metrics": {"n": "sum(prize)"}}}, "aggregate.metrics.n", "mean 'price'?"),
        ({"aggregate": {"by": ["city"], "metrics": {"n": "sum(city)"}}}, "aggregate.metrics.n", "not supported"),
        ({"split": {"key": "citi"}}, "split.key", "did you mean 'city'?"),
        ({"split": {"key": "l"}}, "split.key", "cannot be a key"),
        ({"split": {"key": "city", "column": "price"}}, "split.column", "already"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_followed_names_its_place(config: dict[str, Any], field: str, message: str) -> None:
    found, said = refused("transformer", DATA, **config)
    assert found == field
    assert message in said


def test_labels_for_bins_that_coincide_are_refused() -> None:
    setting = {"method": "quantile", "bins": 2, "labels": ["lo", "hi"]}
    assert "only 1 bins are different" in refused("transformer", {"a": [1, 1, 1]}, bin={"a": setting})[1]


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"bin": {"a": {"method": "edges", "edges": [1]}}}, "bin.a.edges", "at least two numbers"),
        ({"bin": {"a": {"method": "edges", "edges": [2, 1]}}}, "bin.a.edges", "each greater"),
        ({"bin": {"a": {"method": "edges", "edges": [1, 2], "bins": 3}}}, "bin.a.bins", "not to edges"),
        ({"bin": {"a": {"method": "uniform", "edges": [1, 2]}}}, "bin.a.edges", "not to uniform"),
        ({"bin": {"a": {"method": "uniform", "bins": 2, "labels": ["x"]}}}, "bin.a.labels", "1 labels for 2 bins"),
        ({"bin": {"a": {"method": "uniform", "bins": 2, "labels": ["x", "x"]}}}, "bin.a.labels", "twice"),
        ({"bin": {"a": {"method": "uniform"}}, "normalize": {"a": "minmax"}}, "normalize.a", "bin it 'into' another"),
        ({"encode": {"a": {"method": "target"}}}, "encode.a", "target needs 'target'"),
        ({"encode": {"a": {"method": "ordinal", "buckets": 3}}}, "encode.a", "buckets applies to hash"),
        ({"encode": {"a": {"method": "ordinal", "target": "b"}}}, "encode.a", "target applies to the method target"),
        (
            {"encode": {"a": {"method": "hash", "buckets": 3, "max_categories": 3}}},
            "encode.a",
            "does not apply to hash",
        ),
        ({"encode": {"a": {"method": "frequency", "categories": ["x"]}}}, "encode.a", "categories applies to"),
        ({"encode": {"a": {"method": "onehot", "smoothing": 1}}}, "encode.a", "smoothing applies to target"),
        ({"lag": {"a": {"periods": 0}}}, "lag.a.periods", "other than 0"),
        ({"lag": {"a": {"periods": [1, 1]}}}, "lag.a.periods", "twice"),
        (
            {"rolling": {"a": {"function": "sum", "window": 2, "min_values": 3}}},
            "rolling.a.min_values",
            "cannot hold 3",
        ),
        (
            {"rolling": {"a": {"function": "sum", "window": "7d"}}},
            "rolling.a.order_by",
            "needs one date or datetime column",
        ),
        (
            {"rolling": {"a": {"function": "sum", "window": "7 days", "order_by": "t"}}},
            "rolling.a.window",
            "matching regex",
        ),
        ({"rolling": {"a": {"function": "summ", "window": 2}}}, "rolling.a.function", "did you mean 'sum'?"),
        ({"text": {"a": []}}, "text.a", "length >= 1"),
        ({"aggregate": {"by": [], "metrics": {"n": "count(*)"}}}, "aggregate.by", "length >= 1"),
        ({"aggregate": {"by": ["a"], "metrics": {"n": "b + 1"}}}, "aggregate.metrics.n", "an aggregate is needed"),
        (
            {"aggregate": {"by": ["a"], "metrics": {"n": "sum(b) + c"}}},
            "aggregate.metrics.n",
            "outside of an aggregate",
        ),
        ({"aggregate": {"by": ["a"], "metrics": {"n": "sum(max(b))"}}}, "aggregate.metrics.n", "contain another one"),
        ({"aggregate": {"by": ["a"], "metrics": {"a": "sum(b)"}}}, "aggregate.metrics.a", "a column of 'by'"),
        ({"aggregate": {"by": ["a"], "metrics": {"n": "sum(b) over ()"}}}, "aggregate.metrics.n", "a window"),
        ({"split": {"key": "a", "shares": {"x": 0.5}}}, "split.shares", "add up to 0.5, not to 1"),
        ({"split": {"key": []}}, "split.key", "at least one column"),
    ],
)
def test_validation_finds_what_needs_no_data(config: dict[str, Any], field: str, message: str) -> None:
    problems = invalid("transformer", **config)
    assert list(problems) == [field]
    assert message in problems[field]


def test_narrow_floats_are_scaled_summed_and_filled_in_64_bits() -> None:
    big = pl.Series("x", [1e20, 1e20, 3e20, 2e20, -1e20], dtype=pl.Float32)
    wide = big.cast(pl.Float64).to_frame()
    scaled, wanted = (apply("transformer", f, normalize={"x": "standard"}).rows["x"] for f in (big.to_frame(), wide))
    assert scaled.to_list() == pytest.approx(wanted.to_list())
    many = pl.DataFrame({"g": ["a"] * 200_000, "x": pl.Series([0.1] * 200_000, dtype=pl.Float32)})
    total = apply("transformer", many, aggregate={"by": ["g"], "metrics": {"s": "sum(x)"}}).columns["s"]
    assert total == [pytest.approx(20_000.0003, rel=1e-9)]
    gaps = many.with_columns(x=pl.when(pl.int_range(pl.len()) > 0).then("x"))
    filled = apply("cleaner", gaps, fill_na={"x": {"strategy": "mean", "group_by": ["g"]}}).rows["x"]
    assert filled.dtype == pl.Float32
    assert filled[0] == pytest.approx(0.1, rel=1e-6)
