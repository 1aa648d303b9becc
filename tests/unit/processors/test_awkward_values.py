"""Values and types at the edge of what a step can do: it is done rightly, or refused at the place of the setting."""

from __future__ import annotations

import polars as pl
import pytest

from tests.unit.processors.table import NAN, apply


@pytest.mark.parametrize("rows", [20, 100, 1000])
@pytest.mark.parametrize("value", [0.1, 4.2, 1 / 3])
def test_a_constant_column_has_no_outliers_and_no_correlation(rows: int, value: float) -> None:
    frame = pl.DataFrame({"k": [value] * rows, "x": [float(i % 7) for i in range(rows)]})
    for method in ("iqr", "zscore", "quantile"):
        assert apply("cleaner", frame, outliers={"k": {"method": method, "action": "drop"}}).rows.height == rows
    [profile] = apply("analyzer", frame).ctx.profiles
    assert (profile["columns"][0]["mean"], profile["columns"][0]["std"]) == (value, 0.0)
    assert profile["correlation"]["matrix"] == [[None, None], [None, 1.0]]


def test_shares_are_of_the_known_values_also_beside_nan() -> None:
    done = apply("transformer", {"v": [1.5, 2.5, NAN, None]}, encode={"v": "frequency"})
    assert done.columns["v"] == [0.5, 0.5, None, None]
