"""Drift: PSI from profiles against one that numpy computes from the rows, and its laws."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.values import drift
from service.values.profile import ColumnProfile, Profile
from tests.examples import examples
from tests.unit.processors.table import apply

INF, NAN = math.inf, math.nan
RANDOM = np.random.default_rng(7)


def profile(values: Any, dtype: Any = None, **config: Any) -> Profile:
    done = apply("analyzer", pl.DataFrame({"a": pl.Series(values, dtype=dtype)}), **config)
    [found] = msgspec.json.decode(msgspec.json.encode(done.ctx.report().profiles), type=list[Profile])
    return found


def column(values: Any, dtype: Any = None, **config: Any) -> ColumnProfile:
    return profile(values, dtype, **config).columns[0]


def psi(before: Any, after: Any, dtype: Any = None) -> float | None:
    return drift.psi(column(before, dtype), column(after, dtype))


def of_shares(shares: Sequence[tuple[float, float]], rows: int) -> float:
    least = max(1e-4, 0.5 / rows)
    pairs = np.maximum(np.array(shares), least)
    return float(np.sum((pairs[:, 0] - pairs[:, 1]) * np.log(pairs[:, 0] / pairs[:, 1])))


def reference(before: Any, after: Any) -> float:
    """PSI over the tenths of both together, each of the two with half of the weight."""
    values = np.concatenate([before, after])
    weights = np.concatenate([np.full(len(x), 0.5 / len(x)) for x in (before, after)])
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weights[order])
    cuts = np.unique(values[order][np.searchsorted(up_to, np.arange(1, 10) / 10 - 1e-12)])
    ends = [-INF, *cuts, INF]
    return of_shares(
        [
            (float(np.mean((before > low) & (before <= high))), float(np.mean((after > low) & (after <= high))))
            for low, high in itertools.pairwise(ends)
        ],
        min(len(before), len(after)),
    )


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_continuous_numbers_are_near_the_reference(shift: float, scale: float) -> None:
    before, after = RANDOM.normal(size=20_000), shift + scale * RANDOM.normal(size=15_000)
    assert psi(before, after) == pytest.approx(reference(before, after), rel=0.05, abs=0.005)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.7])
def test_a_long_tail_does_not_hide_a_shift(shift: float) -> None:
    before, after = RANDOM.lognormal(0, 1.5, size=20_000), RANDOM.lognormal(shift, 1.5, size=20_000)
    assert psi(before, after) == pytest.approx(reference(before, after), rel=0.4, abs=0.01)


@pytest.mark.parametrize("before", [0.5, 0.8])
def test_a_value_that_many_rows_have_is_one_bin(before: float) -> None:
    def sample(zeros: float) -> Any:
        return np.where(RANDOM.random(20_000) < zeros, 0.0, RANDOM.exponential(10, size=20_000))

    one, other = sample(before), sample(before - 0.2)
    assert psi(one, other) == pytest.approx(reference(one, other), rel=0.1, abs=0.005)


whole = st.lists(st.integers(-8, 8), min_size=1, max_size=60)


@given(before=whole, after=whole)
@examples(100)
def test_few_whole_numbers_are_exact(before: list[int], after: list[int]) -> None:
    assert psi(before, after) == pytest.approx(reference(np.array(before), np.array(after)), abs=1e-9)


@given(before=whole, after=whole)
@examples(40)
def test_dates_are_as_whole_numbers(before: list[int], after: list[int]) -> None:
    dates = [[dt.date(2026, 1, 20) + dt.timedelta(days=n) for n in numbers] for numbers in (before, after)]
    assert psi(*dates) == pytest.approx(psi(before, after), abs=1e-9)


@given(st.lists(st.sampled_from("abcdef"), min_size=1), st.lists(st.sampled_from("abcdef"), min_size=1))
@examples(60)
def test_listed_texts_are_exact(before: list[str], after: list[str]) -> None:
    one, other = Counter(before), Counter(after)
    shares = [(one[v] / len(before), other[v] / len(after)) for v in "abcdef"]
    assert psi(before, after) == pytest.approx(of_shares(shares, min(len(before), len(after))), abs=1e-9)


@given(st.lists(st.booleans() | st.none(), min_size=1), st.lists(st.booleans() | st.none(), min_size=1))
@examples(60)
def test_booleans_and_missing_values_are_bins(before: list[bool | None], after: list[bool | None]) -> None:
    one, other = Counter(before), Counter(after)
    shares = [(one[v] / len(before), other[v] / len(after)) for v in (True, False, None)]
    found = psi(before, after, pl.Boolean)
    assert found == pytest.approx(of_shares(shares, min(len(before), len(after))), abs=1e-9)


floats = st.lists(st.none() | st.floats(width=32) | st.sampled_from([0.0, 1.0, -0.0, INF, -INF, NAN]), min_size=1)
texts = st.lists(st.none() | st.text(max_size=2), min_size=1)
times = st.lists(st.none() | st.datetimes(), min_size=1)
moments = st.lists(st.none() | st.times(), min_size=1)
COLUMNS: dict[pl.DataType, st.SearchStrategy[list[Any]]] = {
    pl.Float64(): floats,
    pl.String(): texts,
    pl.Datetime("us"): times,
    pl.Time(): moments,
}


@pytest.mark.parametrize("dtype", list(COLUMNS), ids=str)
@given(data=st.data())
@examples(20)
def test_laws(dtype: pl.DataType, data: st.DataObject) -> None:
    """It is never negative, the same in both directions, and 0 for equal profiles and for the same rows twice."""
    before, after = data.draw(COLUMNS[dtype]), data.draw(COLUMNS[dtype])
    config = {"top_k": data.draw(st.integers(1, 12)), "histogram_bins": data.draw(st.integers(1, 30))}
    one, other = column(before, dtype, **config), column(after, dtype, **config)
    found = drift.psi(one, other)
    assert found is not None
    assert math.isfinite(found)
    assert found >= -1e-12
    assert drift.psi(other, one) == found
    assert drift.psi(one, one) == 0
    assert drift.psi(one, column(before * 3, dtype, **config)) == pytest.approx(0, abs=0.75)


def test_the_share_of_unlisted_values_is_not_called_drift() -> None:
    """Two halves of many equally frequent values list different ones."""
    values = [f"v{n % 500}" for n in range(10_000)]
    assert psi(values[:5_000], [v[::-1] for v in values[:5_000]]) == pytest.approx(0, abs=0.01)


def test_a_listed_value_that_cannot_be_among_the_others_has_drifted() -> None:
    before, after = ["x"] * 900 + [f"b{n}" for n in range(100)], [f"a{n}" for n in range(1_000)]
    found = psi(before, after)
    assert found is not None
    assert found > 3


def test_one_row_of_a_new_kind_in_a_small_table_is_not_drift() -> None:
    found = psi(["a"] * 10 + ["b"] * 10, ["a"] * 10 + ["b"] * 9 + ["c"])
    assert found is not None
    assert found < 0.1


def test_a_column_that_became_empty_has_drifted() -> None:
    for values in ([1.0, 2.0] * 50, ["a", "b"] * 50, [True, False] * 50, [dt.date(2026, 1, 1)] * 100):
        dtype = pl.Series(values).dtype
        found = drift.psi(column(values), column([None] * 100, dtype))
        assert found is not None
        assert found > 1


def test_whole_numbers_that_became_floats_are_compared() -> None:
    numbers = [1, 2, 3, 4, 5] * 20
    assert drift.psi(column(numbers), column([float(n) for n in numbers])) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1, 2], ["1", "2"]), ([1, 2], [True, False]), ([dt.date(2026, 1, 1)], [dt.time(1)]),
        ([dt.timedelta(1)], [dt.time(1)]), ([[1]], [[1]]), ([b"a"], [b"a"]), ([1], []), ([1.5], [dt.date(2026, 1, 1)]),
    ],
    ids=str,
)  # fmt: skip
def test_there_is_none_without_figures_of_one_kind(before: list[Any], after: list[Any]) -> None:
    dtype = pl.Series(before).dtype if not after else None
    assert drift.psi(column(before), column(after, dtype)) is None


def test_there_is_none_for_texts_without_listed_values() -> None:
    assert drift.psi(column(["a"], top_k=0), column(["a"], top_k=0)) is None


def test_versions_are_compared_by_their_last_profile_of_a_column() -> None:
    raw, scaled = profile([100, 200, 300] * 9), profile([1, 2, 3] * 9)
    assert drift.by_column([raw, scaled], [scaled]) == {"a": 0}
    assert drift.by_column([], [scaled]) == {}
