"""Sums, means and deviations of floats do not depend on the order or the pieces in which rows arrive."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine import aggregates, steady_sums
from service.engine.polars_frame import PolarsFrame
from service.steps.metric import Metric
from tests.examples import examples

NAN, INF = float("nan"), float("inf")
ROWS = 60_000
few = examples(50)


def total(values: list[float | None]) -> float:
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)})
    found: float = frame.select(steady_sums.total(pl.col("x"))).item()
    return found


@few
@given(st.lists(st.floats(-1e20, 1e20, allow_nan=False) | st.none(), max_size=40), st.randoms())
def test_a_sum_is_exact_but_for_its_last_digit_in_any_order(values: list[float | None], order: random.Random) -> None:
    present = [v for v in values if v is not None]
    found = total(values)
    slack = math.ulp(max(map(abs, present), default=0.0)) + len(present) * 2.0**-100
    assert math.isclose(found, math.fsum(present), rel_tol=1e-15, abs_tol=slack)
    if all(abs(v) >= 2.0**-50 or v == 0 for v in present):
        order.shuffle(values)
        assert total(values) == found


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], 0.0), ([None], 0.0), ([1.5, INF], INF), ([INF, -INF], NAN), ([1.0, NAN], NAN), ([1e300, 1e300], 2e300),
     ([1e-300, 1e-300], 2e-300), ([1e15, 0.1, -1e15], 0.1), ([-0.5, 0.25, 2.0**36, 2.0**-7], 2.0**36 - 0.25 + 2.0**-7)],
)  # fmt: skip
def test_sums_of_every_size(values: list[float | None], expected: float) -> None:
    assert total(values) == expected or (math.isnan(expected) and math.isnan(total(values)))


def shuffled() -> list[pl.DataFrame]:
    """The same rows in three orders; their plain sums differ in the last digits."""
    order = random.Random(7)
    frame = pl.DataFrame(
        {"id": range(ROWS), "x": [order.lognormvariate(0, 3) for _ in range(ROWS)],
         "y": [order.gauss(1e6, 1e-3) for _ in range(ROWS)], "g": [f"g{i % 3}" for i in range(ROWS)]}
    )  # fmt: skip
    found = [frame, frame.reverse(), frame.sample(fraction=1.0, shuffle=True, seed=3)]
    assert len({one["x"].sum() for one in found}) > 1
    return found


def test_what_steps_learn_is_the_same_for_the_same_rows(tmp_path: Path) -> None:
    wanted = [Metric(c, k) for c in ("x", "y", "id") for k in ("mean", "std", "variance")]
    learned = []
    for number, frame in enumerate(shuffled()):
        frame.write_parquet(tmp_path / f"{number}.parquet", row_group_size=7_000)
        plan = PolarsFrame(pl.scan_parquet(tmp_path / f"{number}.parquet"), tmp_path)
        answers = plan.measure([*wanted, Metric("g", "distinct")], steady=True)
        assert answers[Metric("g", "distinct")] == 3
        learned.append([answers[m] for m in wanted])
    assert learned[0] == learned[1] == learned[2]
    for at, column in enumerate(("x", "y", "id")):
        values = frame[column].to_list()
        mean, std, variance = learned[0][3 * at : 3 * at + 3]
        assert math.isclose(mean, statistics.fmean(values), rel_tol=1e-15)
        assert math.isclose(variance, statistics.variance(values), rel_tol=1e-13)
        assert math.isclose(std * std, variance, rel_tol=1e-15)


def test_columns_without_a_deviation_are_measured_as_before(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"one": [3.0] * 5, "none": pl.Series([None] * 5, dtype=pl.Float64), "inf": [1.0, INF] + [2.0] * 3}
    )
    plan = PolarsFrame(frame.lazy(), tmp_path)
    wanted = [Metric(c, k) for c in frame.columns for k in ("mean", "std")]
    assert list(plan.measure(wanted, steady=True).values()) == list(plan.measure(wanted).values())


@pytest.mark.parametrize("name", ["sum", "avg"])
def test_groups_have_the_same_sums_in_any_order(name: str) -> None:
    made = aggregates.find(name, pl.Float64()).build(pl.col("x"), pl.Float64())
    found = [f.lazy().group_by("g").agg(made).collect(engine="streaming").sort("g").rows() for f in shuffled()]
    assert found[0] == found[1] == found[2]
