"""Estimates are as near to the exact figures as they say, and few rows are measured exactly."""

from __future__ import annotations

import math
from typing import Any

import polars as pl
import pytest

from service.engine import estimates
from service.steps.metric import Kind, Metric

ROWS = 400_000


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    """Many rows, of which a smaller sample is taken than of millions."""
    monkeypatch.setattr(estimates, "FROM", 100_000)
    monkeypatch.setattr(estimates, "ROWS", 1 << 15)
    number = pl.int_range(ROWS, eager=True).alias("row")
    waves = pl.DataFrame({"row": number, "wave": (number * 0.7).sin() * 100, "few": number % 7})
    return waves.with_columns(
        many=pl.format("text {}", number * 7919 % 50_021),
        missing=pl.when(number % 3 == 0).then(number),
        kind=pl.when(number % 10 < 7).then(pl.lit("a")).otherwise(pl.lit("b")),
        endless=pl.when(number == 5).then(math.inf).when(number % 2 == 0).then(number * 1.0).otherwise(math.nan),
    )


def both(frame: pl.DataFrame, column: str, kind: Kind, argument: Any = None) -> tuple[Any, Any, dict[str, Any]]:
    """The estimate, the exact answer, and what is said of the sample."""
    exact, rough = Metric(column, kind, argument), Metric(column, kind, argument, estimate=True)
    found = estimates.answer(frame.lazy(), frame.schema, [exact, rough])
    return found[rough], found[exact], found[estimates.SAMPLE]


@pytest.mark.parametrize("column", ["row", "wave", "few", "many", "missing", "kind", "endless"])
def test_distinct_values(frame: pl.DataFrame, column: str) -> None:
    estimate, exact, sample = both(frame, column, "distinct")
    assert estimate == pytest.approx(exact, rel=2 * sample["distinct_error"])


@pytest.mark.parametrize("column", ["row", "wave", "missing"])
def test_quantiles(frame: pl.DataFrame, column: str) -> None:
    shares = (0.05, 0.5, 0.95)
    estimate, _, sample = both(frame, column, "quantile", shares)
    values = frame[column].drop_nulls()
    below = [(values < value).sum() / len(values) for value in estimate]
    assert below == pytest.approx(list(shares), abs=4 * sample["share_error"])


@pytest.mark.parametrize("column", ["wave", "few", "missing", "endless"])
def test_histograms_have_the_edges_of_all_values(frame: pl.DataFrame, column: str) -> None:
    estimate, exact, sample = both(frame, column, "histogram", 5)
    assert estimate["edges"] == exact["edges"]
    assert estimate["counts"] == pytest.approx(exact["counts"], abs=2 * sample["share_error"] * ROWS)


def test_frequent_values_and_ranks(frame: pl.DataFrame) -> None:
    estimate, exact, sample = both(frame, "kind", "top", 2)
    assert [value for value, _ in estimate] == [value for value, _ in exact] == ["a", "b"]
    assert [n for _, n in estimate] == pytest.approx([n for _, n in exact], abs=2 * sample["share_error"] * ROWS)
    ranks, exact, _ = both(frame, "row", "spearman", "missing")
    assert ranks == pytest.approx(exact, abs=0.01)


def test_few_rows_are_measured_exactly() -> None:
    frame = pl.DataFrame({"a": [1.5, 2.5, None, 2.5]})
    assert list(both(frame, "a", "quantile", (0.5,))) == [[2.5], [2.5], None]
    assert list(both(frame, "a", "distinct")) == [2, 2, None]


def test_the_rows_of_a_sample_do_not_follow_a_rhythm(frame: pl.DataFrame) -> None:
    """Every twelfth row would only have one of the values."""
    estimate, exact, _ = both(frame.select(beat=pl.col("row") % 12), "beat", "histogram", 12)
    assert estimate["counts"] == pytest.approx(exact["counts"], rel=0.1)
