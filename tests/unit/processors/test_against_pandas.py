"""The cleaner, the analyzer and the windows give what pandas gives: on real tables, and on awkward ones."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.unit.processors.table import apply
from tests.unit.processors.tables import close, made, numbers, panel, real

WHOLE = {**real(), **made()}


def series(column: pl.Series) -> pd.Series:
    """As pandas has it: missing is NaN."""
    return pd.Series(column.cast(pl.Float64).fill_null(float("nan")).to_numpy())


def profile(frame: pl.DataFrame, **config: Any) -> dict[str, Any]:
    [found] = msgspec.to_builtins(apply("analyzer", frame, **config).ctx.report().profiles)
    assert isinstance(found, dict)
    return found


def as_number(value: float | None) -> float:
    return float("nan") if value is None else value


@pytest.mark.parametrize("name", WHOLE)
def test_describe_skew_and_kurtosis(name: str) -> None:
    frame = WHOLE[name]
    for column in profile(frame)["columns"]:
        values = series(frame[column["name"]])
        described = values.describe(percentiles=[0.05, 0.25, 0.5, 0.75, 0.95])
        assert column["count"] == described["count"]
        have = [column[k] for k in ("mean", "std", "min", "max")] + list(column["quantiles"].values())
        want = [described[k] for k in ("mean", "std", "min", "max", "5%", "25%", "50%", "75%", "95%")]
        np.testing.assert_allclose([as_number(v) for v in have], want, rtol=1e-8, atol=1e-12 * (column["std"] or 0))
        shape = [as_number(column["skew"]), as_number(column["kurtosis"])]
        near = {"far from zero": 1e-4, "tiny": np.inf}.get(name, 1e-6)  # pandas calls a spread below 1e-14 constant
        if name == "constant":  # 0 before pandas 3.1
            assert np.isnan(shape).all()
        elif name != "tiny":
            np.testing.assert_allclose(shape, [values.skew(), values.kurt()], rtol=near, atol=near)
        assert column["distinct"] == values.nunique()


@pytest.mark.parametrize("name", ["iris", "wine", "macro"])
@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlation(name: str, method: str) -> None:
    frame = WHOLE[name].select(WHOLE[name].columns[:6])
    first = pl.col(frame.columns[0])
    holes = frame.with_columns(pl.when(pl.int_range(pl.len()) % 4 != 1).then(first).alias(frame.columns[0]))
    found = profile(holes, correlation=method)["correlation"]
    want = pd.DataFrame({c: series(holes[c]) for c in holes.columns}).corr(method=method)
    assert found["columns"] == list(want.columns)
    np.testing.assert_allclose(np.array(found["matrix"], dtype=float), want.to_numpy(), rtol=1e-9, atol=1e-9)


def test_most_frequent_values_and_duplicates() -> None:
    frame = panel().select("firm", pl.col("invest") > 100)
    pandas = pd.DataFrame({"firm": frame["firm"].to_list(), "invest": frame["invest"].to_list()})
    found = profile(frame, top_k=100)
    assert found["duplicate_rows"] == pandas.duplicated().sum()
    assert {t["value"]: t["count"] for t in found["columns"][0]["top"]} == pandas["firm"].value_counts().to_dict()


@pytest.mark.parametrize("keep", ["first", "last", "none"])
@pytest.mark.parametrize("keys", [["firm"], ["firm", "half"], None])
def test_drop_duplicates(keep: str, keys: list[str] | None) -> None:
    frame = panel().with_columns(half=pl.col("row") % 2, row=pl.col("row") // 3)
    pandas = pd.DataFrame({c: frame[c].to_list() for c in frame.columns})
    want = pandas.drop_duplicates(subset=keys, keep=False if keep == "none" else keep)
    done = apply("cleaner", frame, drop_duplicates={"columns": keys or [], "keep": keep}).rows
    assert done["year"].to_list() == want["year"].tolist()
    assert done["firm"].to_list() == want["firm"].tolist()


@pytest.mark.filterwarnings("ignore:Mean of empty slice")  # of pandas before 3
@pytest.mark.parametrize("strategy", ["mean", "median", "min", "max", "mode"])
@pytest.mark.parametrize("name", ["with gaps", "empty"])
def test_fills_by_one_value(strategy: str, name: str) -> None:
    frame = made()[name]
    values = series(frame["v"])
    value = values.mode().min() if strategy == "mode" else getattr(values, strategy)()
    close(apply("cleaner", frame, fill_na={"v": {"strategy": strategy}}).rows["v"], values.fillna(value).to_numpy())


def by_firm() -> tuple[pl.DataFrame, pd.DataFrame]:
    frame = panel()
    pandas = pd.DataFrame({c: frame[c].to_list() for c in frame.columns})
    return frame, pandas.assign(gaps=pandas["gaps"].astype(float)).sort_values("year", kind="stable")


ORDER = {"order_by": "year", "group_by": "firm"}


@pytest.mark.parametrize("strategy", ["forward", "backward", "interpolate"])
def test_fills_from_the_rows_around_by_group(strategy: str) -> None:
    frame, pandas = by_firm()
    groups = pandas.groupby("firm")["gaps"]
    want = {
        "forward": groups.ffill, "backward": groups.bfill,
        "interpolate": lambda: groups.transform(lambda s: s.interpolate(limit_area="inside")),
    }[strategy]()  # fmt: skip
    done = apply("cleaner", frame, fill_na={"gaps": {"strategy": strategy, **ORDER}})
    close(done.rows["gaps"], want.sort_index().to_numpy())
    means = apply("cleaner", frame, fill_na={"gaps": {"strategy": "mean", "group_by": "firm"}})
    filled = pandas["gaps"].fillna(groups.transform("mean"))
    close(means.rows["gaps"], filled.sort_index().to_numpy())


@pytest.mark.parametrize("periods", [1, 3, -2])
def test_shift_by_group(periods: int) -> None:
    frame, pandas = by_firm()
    setting = {"by": ["firm"], "order_by": ["year"], "periods": periods}
    done = apply("transformer", frame, lag={"invest": setting}).rows
    want = pandas.groupby("firm")["invest"].shift(periods).sort_index().to_numpy()
    close(done[done.columns[-1]], want)


@pytest.mark.parametrize("function", ["mean", "sum", "min", "max", "std", "median"])
@pytest.mark.parametrize(("window", "least"), [(3, None), (4, 2), (1, None)])
def test_rolling_by_group(function: str, window: int, least: int | None) -> None:
    frame, pandas = by_firm()
    setting = {"function": function, "window": window, "by": ["firm"], "order_by": ["year"], "min_values": least}
    done = apply("transformer", frame, rolling={"gaps": setting}).rows
    rolled = pandas.groupby("firm")["gaps"].transform(
        lambda s: getattr(s.rolling(window, min_periods=least), function)()
    )
    close(done[done.columns[-1]], rolled.sort_index().to_numpy(), absolute=1e-8)


@pytest.mark.parametrize("function", ["mean", "sum", "min", "max", "std", "median"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize(
    ("window", "offset", "least"), [("7d", "168h", None), ("36h", "36h", 2), ("90m", "90min", None)]
)
def test_rolling_by_time(function: str, zone: str | None, window: str, offset: str, least: int | None) -> None:
    random = np.random.default_rng(5)
    hours = np.unique(random.integers(0, 24 * 40, 60))  # over the change of clocks at the end of March
    times = pl.Series([dt.datetime(2024, 3, 10, tzinfo=dt.UTC) + dt.timedelta(hours=int(h)) for h in hours])
    frame = pl.DataFrame({"value": random.normal(size=len(hours)), "time": times.dt.convert_time_zone(zone or "UTC")})
    frame = frame.with_columns(pl.when(pl.int_range(pl.len()) % 7 != 3).then("value").alias("value"))
    if zone is None:
        frame = frame.with_columns(pl.col("time").dt.replace_time_zone(None))
    pandas = frame.to_pandas().set_index("time")["value"]
    want = getattr(pandas.rolling(offset, min_periods=least), function)().to_numpy()
    mixed = frame.with_row_index("place").sample(fraction=1.0, shuffle=True, seed=1)
    setting = {"function": function, "window": window, "order_by": "time", "min_values": least}
    done = apply("transformer", mixed, rolling={"value": setting}).rows.sort("place")
    close(done[f"value_rolling_{function}_{window}"], want, absolute=1e-8)


def test_parts_of_dates_around_clock_changes_and_leap_days() -> None:
    days = [(2024, 3, 30), (2024, 10, 26), (2024, 2, 28), (2020, 12, 31)]
    moments = [dt.datetime(*d, 20) + dt.timedelta(minutes=30 * i) for d in days for i in range(40)]
    local = pl.Series("t", moments).dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    parts = ["year", "quarter", "month", "week", "day", "weekday", "hour", "minute", "epoch"]
    done = apply("transformer", local.to_frame(), datetime={"t": {"parts": [*parts, "is_weekend"]}}).rows
    there = pd.Series(pd.to_datetime(moments).tz_localize("UTC").tz_convert("Europe/Berlin"))
    want = {p: getattr(there.dt, p) for p in ("year", "quarter", "month", "day", "hour", "minute")}
    want |= {"week": there.dt.isocalendar().week, "weekday": there.dt.day_of_week + 1}
    want["epoch"] = (there - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    for part in parts:
        assert done[f"t_{part}"].to_list() == want[part].astype(int).tolist(), part
    assert done["t_is_weekend"].to_list() == (there.dt.day_of_week >= 5).tolist()


def test_given_edges_cut_as_pandas_does() -> None:
    frame = made()["normal"]
    edges = [30.0, 45.0, 50.0, 70.0]
    done = apply("transformer", frame, bin={"v": {"method": "edges", "edges": edges, "labels": ["a", "b", "c"]}})
    want = pd.cut(series(frame["v"]), edges, labels=["a", "b", "c"], right=False)
    assert done.rows["v"].to_list() == [None if pd.isna(v) else v for v in want]


def test_outliers_as_clip_does_with_the_quartiles() -> None:
    frame = made()["tailed"]
    values = pd.Series(numbers(frame, "v"))
    low, high = values.quantile(0.25), values.quantile(0.75)
    want = values.clip(low - 1.5 * (high - low), high + 1.5 * (high - low))
    close(apply("cleaner", frame, outliers={"v": {"method": "iqr"}}).rows["v"], want.to_numpy())
