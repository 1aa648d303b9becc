"""The transformer gives what scikit-learn gives: on its own tables, statsmodels', and on awkward ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import preprocessing

from tests.unit.processors.table import Done, apply
from tests.unit.processors.tables import close, made, numbers, panel, real

COLUMNS = [(name, column) for name, frame in real().items() for column in frame.columns[:5]]
ALL = [*COLUMNS, *((name, "v") for name in made())]
SCALERS = {
    "standard": preprocessing.StandardScaler(),
    "minmax": preprocessing.MinMaxScaler(),
    "robust": preprocessing.RobustScaler(),
    "maxabs": preprocessing.MaxAbsScaler(),
    "log1p": preprocessing.FunctionTransformer(np.log1p, check_inverse=False),
}


def table(name: str) -> pl.DataFrame:
    return real()[name] if name in real() else made()[name]


def transform(frame: pl.DataFrame, **config: Any) -> Done:
    return apply("transformer", frame, **config)


@pytest.mark.parametrize("method", SCALERS)
def test_scalers(method: str) -> None:
    for name, column in ALL:
        frame = table(name).select(column)
        values = numbers(frame, column)
        if name == "empty" or (method == "log1p" and (values <= -1).any()):
            continue  # scikit-learn refuses, or warns
        want = SCALERS[method].fit_transform(values.reshape(-1, 1))[:, 0]
        near = 1e-6 if name == "far from zero" else 1e-9  # the mean of billions has that many digits
        close(transform(frame, normalize={column: method}).rows[column], want, relative=1e-7, absolute=near)


CATEGORIES = {
    "text": pl.Series(["b", "ä", "B", "b", "", "日本", "ä"]),
    "numbers": pl.Series([10, 2, 10, -1, 2]),
    "one": pl.Series(["x", "x"]),
    "floats": pl.Series([1.5, -0.25, 1.5]),
    "booleans": pl.Series([True, False, True]),
    "firms": panel()["firm"],
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_one_column_a_category_and_their_numbers(name: str) -> None:
    frame = pl.DataFrame({"c": CATEGORIES[name]})
    values = np.array(frame["c"].to_list(), dtype=object).reshape(-1, 1)
    hot = preprocessing.OneHotEncoder(sparse_output=False).fit(values)
    done = transform(frame, encode={"c": "onehot"})
    np.testing.assert_array_equal(done.rows.to_numpy(), hot.transform(values))
    assert done.ctx.report().fitted["encode"]["c"]["categories"] == list(hot.categories_[0])
    without = preprocessing.OneHotEncoder(sparse_output=False, drop="first").fit_transform(values)
    dropped = transform(frame.with_columns(k=0), encode={"c": {"method": "onehot", "drop_first": True}}).rows.drop("k")
    np.testing.assert_array_equal(dropped.to_numpy().reshape(without.shape), without)
    ordinal = preprocessing.OrdinalEncoder().fit_transform(values)[:, 0]
    close(transform(frame, encode={"c": "ordinal"}).rows["c"], ordinal)


def test_an_unknown_category_is_all_zeros_or_missing() -> None:
    frame = pl.DataFrame({"c": ["a", "z", "b"]})
    values = np.array(frame["c"].to_list(), dtype=object).reshape(-1, 1)
    hot = preprocessing.OneHotEncoder(categories=[["a", "b"]], handle_unknown="ignore", sparse_output=False)
    setting = {"method": "onehot", "categories": ["a", "b"]}
    np.testing.assert_array_equal(transform(frame, encode={"c": setting}).rows.to_numpy(), hot.fit_transform(values))
    ordinal = preprocessing.OrdinalEncoder(
        categories=[["a", "b"]], handle_unknown="use_encoded_value", unknown_value=np.nan
    )
    close(
        transform(frame, encode={"c": {**setting, "method": "ordinal"}}).rows["c"], ordinal.fit_transform(values)[:, 0]
    )


@pytest.mark.parametrize("smoothing", ["auto", 0.0, 5.0, 100.0])
@pytest.mark.parametrize("target", ["invest", "value", "constant", "wins"])
def test_means_of_a_target(smoothing: Any, target: str) -> None:
    frame = panel().with_columns(constant=pl.lit(3.0), wins=pl.col("invest") > 100).select("firm", target)
    values = np.array(frame["firm"].to_list(), dtype=object).reshape(-1, 1)
    encoder = preprocessing.TargetEncoder(smooth=smoothing, target_type="continuous")
    want = encoder.fit(values, frame[target].cast(pl.Float64).to_numpy()).transform(values)[:, 0]
    setting = {"method": "target", "target": target, "smoothing": smoothing}
    close(transform(frame, encode={"firm": setting}).rows["firm"], want)
    unknown = encoder.transform(np.array([["nobody"]], dtype=object))[0, 0]
    done = transform(frame, encode={"firm": {**setting, "handle_unknown": "other"}})
    assert done.ctx.report().fitted["encode"]["firm"]["mean"] == pytest.approx(unknown)


@pytest.mark.parametrize("method", ["uniform", "quantile"])
@pytest.mark.parametrize("bins", [2, 5, 10])
def test_bins(method: str, bins: int) -> None:
    for name, column in ALL:
        frame = table(name).select(column).fill_nan(None).drop_nulls()
        values = numbers(frame, column)
        if len(set(values.tolist())) < bins * 3 or name == "tiny":
            continue  # scikit-learn warns of bins that coincide, and drops those narrower than 1e-8
        options: dict[str, Any] = {"quantile_method": "linear"} if method == "quantile" else {}
        cutter = preprocessing.KBinsDiscretizer(bins, encode="ordinal", strategy=method, subsample=None, **options)
        done = transform(frame, bin={column: {"method": method, "bins": bins}})
        edges = cutter.fit(values.reshape(-1, 1)).bin_edges_[0]
        np.testing.assert_allclose(done.ctx.report().fitted["bin"][column]["edges"], edges, rtol=1e-12)
        away = np.min(np.abs(values[:, None] - edges[None, 1:-1]), axis=1) > np.ptp(values) * 1e-9
        want = cutter.transform(values.reshape(-1, 1))[:, 0]  # on an edge the last digit of the edge decides
        np.testing.assert_array_equal(done.rows[column].to_numpy()[away], want[away])
