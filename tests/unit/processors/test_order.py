"""The documented order: a step with many settings does what a step for each of them does, one after another."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tests.examples import examples
from tests.unit.processors.table import NAN, apply

CLEANER = [
    "normalize_names",
    "rename_columns",
    "drop_columns",
    "select_columns",
    "strip_strings",
    "null_values",
    "replace",
    "cast",
    "filter",
    "drop_na",
    "fill_na",
    "outliers",
    "drop_duplicates",
]
TRANSFORMER = [
    "rename_columns",
    "derive",
    "datetime",
    "bin",
    "normalize",
    "encode",
    "text",
    "lag",
    "rolling",
    "aggregate",
    "split",
    "select",
    "sort",
]

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "Order ID": st.sampled_from([None, 1, 2, 3]),
            "f": st.sampled_from([None, NAN, 0.0, 1.5, -1.0, 100.0]),
            "s": st.sampled_from([None, " a", "ab ", "n/a", "", "Ü"]),
            "g": st.sampled_from([None, "x", "y"]),
            "i": st.sampled_from([None, 1, 2, 50]),
        }
    ),
    max_size=12,
)
SCHEMA = {"Order ID": pl.Int64, "f": pl.Float64, "s": pl.String, "g": pl.String, "i": pl.Int64}


def chosen(**values: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the settings, each with one of its values."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(v) for name, v in values.items()})


CLEANERS = chosen(
    drop_columns=[["g"]],
    select_columns=[["s", "i", "f"], ["i", "s", "f"]],
    strip_strings=[True, ["s"]],
    null_values=[["n/a", ""]],
    replace=[{"s": {"a": "A", "ab": None}, "i": {"50": 5}}],
    cast=[{"i": "string"}, {"i": "decimal(5,1)", "f": "int64"}],
    filter=["s IS NOT NULL OR f > 1", "f < 50"],
    drop_na=[["i"], {"columns": ["f", "i"], "how": "all"}],
    fill_na=[{"f": 0, "s": "none"}, {"f": {"strategy": "mean"}, "i": {"strategy": "forward", "group_by": "s"}}],
    outliers=[{"f": {"method": "iqr"}}, {"f": {"method": "zscore", "action": "drop"}}],
    drop_duplicates=[
        True,
        ["s"],
        {"columns": ["i"], "keep": "last", "order_by": "s"},
        {"columns": ["s"], "keep": "none"},
    ],
)
TRANSFORMERS = chosen(
    rename_columns=[{"Order ID": "id"}],
    derive=[{"x": "f * 2 + i", "f2": "f"}, {"day": "DATE '2024-02-29' + INTERVAL '1 day'", "x": "i"}],
    bin=[{"f": {"method": "uniform", "bins": 3, "into": "fb"}}, {"i": {"method": "quantile", "bins": 2}}],
    normalize=[{"f": "standard"}, {"f": {"method": "robust", "into": "fz"}}],
    encode=[{"g": "onehot"}, {"g": {"method": "target", "target": "f"}}, {"g": {"method": "binary", "keep": True}}],
    text=[{"s": ["length", "lower"]}],
    lag=[{"i": {"by": ["s"], "order_by": ["f"], "periods": [1, -1]}}],
    rolling=[{"i": {"function": ["mean", "max"], "window": 2, "min_values": 1, "by": "s"}}],
    aggregate=[{"by": ["s"], "metrics": {"i": "sum(i)", "f": "max(f)"}}],
    split=[{"key": "s", "shares": {"train": 0.5, "test": 0.5}}],
    select=[["s", "i"]],
    sort=[["-s", "i"]],
)


def one_after_another(kind: str, rows: pl.DataFrame, config: dict[str, Any], order: list[str]) -> None:
    whole = apply(kind, rows, **config).rows
    for setting in order:
        if setting in config:
            rows = apply(kind, rows, **{setting: config[setting]}).rows
    assert_frame_equal(whole, rows, rel_tol=1e-12)


@examples(40)
@given(ROWS, CLEANERS)
def test_a_cleaner(rows: list[dict[str, Any]], config: dict[str, Any]) -> None:
    one_after_another("cleaner", pl.DataFrame(rows, schema=SCHEMA), config, CLEANER)


@examples(25)
@given(ROWS, TRANSFORMERS)
@example(
    [{"Order ID": 1, "f": 1.5, "s": "ab", "g": "x", "i": 1}, {"Order ID": 2, "f": 0.0, "s": "ab", "g": "y", "i": 2}],
    {"normalize": {"f": "standard"}, "encode": {"g": {"method": "target", "target": "f"}}},
)
def test_a_transformer(rows: list[dict[str, Any]], config: dict[str, Any]) -> None:
    one_after_another("transformer", pl.DataFrame(rows, schema=SCHEMA), config, TRANSFORMER)
