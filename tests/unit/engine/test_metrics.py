"""Every metric against a plain Python account of the same column, on columns of every kind."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from service.engine import metrics as polars_metrics
from service.engine import sorted_column
from service.engine.polars_frame import PolarsFrame
from service.engine.scratch import Engine
from service.steps.metric import Metric
from tests.examples import examples

NAN, INF = float("nan"), float("inf")
few = examples(30, suppress=[HealthCheck.function_scoped_fixture])


def ask(column: pl.Series | list[Any], *metrics: Metric) -> list[Any]:
    frame = pl.DataFrame({"a": column})
    answers = polars_metrics.answer(frame.lazy(), frame.schema, metrics)
    return [answers[m] for m in metrics]


def metric(kind: Any, argument: Any = None) -> Metric:
    return Metric("a", kind, argument)


def numbers(values: list[Any]) -> list[float]:
    return [v for v in values if v is not None and not math.isnan(v)]


def quantile(values: list[float], share: float) -> float | None:
    """Linear interpolation, as numpy's default."""
    if not values:
        return None
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def skew(values: list[float]) -> float | None:
    n, mean = len(values), statistics.fmean(values) if values else 0.0
    if n < 3:
        return None
    m2, m3 = (sum((v - mean) ** p for v in values) / n for p in (2, 3))
    return None if min(values) == max(values) else math.sqrt(n * (n - 1)) / (n - 2) * m3 / m2**1.5


def kurtosis(values: list[float]) -> float | None:
    n, mean = len(values), statistics.fmean(values) if values else 0.0
    if n < 4:
        return None
    m2, m4 = (sum((v - mean) ** p for v in values) / n for p in (2, 4))
    if min(values) == max(values):
        return None
    return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (m4 / m2**2 - 3) + 6)


FLOATS = st.lists(st.none() | st.just(NAN) | st.integers(-50, 50).map(lambda i: i / 4), max_size=30)


@few
@given(FLOATS)
def test_statistics_of_numbers(values: list[Any]) -> None:
    known = sorted(numbers(values))
    kinds = ["rows", "nulls", "nan", "distinct", "min", "max", "sum", "mean", "std", "variance", "skew", "kurtosis"]
    found = ask(pl.Series(values, dtype=pl.Float64), *[metric(k) for k in kinds])
    account = [
        len(values), values.count(None), len(values) - values.count(None) - len(known), len(set(known)),
        min(known, default=None), max(known, default=None), sum(known) if known else None,
        statistics.fmean(known) if known else None,
        statistics.stdev(known) if len(known) > 1 else None,
        statistics.variance(known) if len(known) > 1 else None, skew(known), kurtosis(known),
    ]  # fmt: skip
    for kind, have, want in zip(kinds, found, account, strict=True):
        assert have == (pytest.approx(want, abs=1e-9) if isinstance(want, float) else want), kind


@few
@given(FLOATS, st.lists(st.floats(0, 1), max_size=4).map(tuple), st.integers(1, 7))
def test_quantiles_histogram_and_mode(values: list[Any], shares: tuple[float, ...], bins: int) -> None:
    known = sorted(numbers(values))
    column = pl.Series(values, dtype=pl.Float64)
    found, histogram, mode, top = ask(
        column, metric("quantile", shares), metric("histogram", bins), metric("mode"), metric("top", 3)
    )
    assert found == [pytest.approx(quantile(known, q)) if known else None for q in shares]
    counts = Counter(known)
    best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert top == best[:3]
    assert mode == (best[0][0] if best else None)
    if not known:
        assert histogram is None
        return
    edges, sizes = histogram["edges"], histogram["counts"]
    assert len(edges) == bins + 1
    assert len(sizes) == bins
    assert sum(sizes) == len(known)
    assert edges[0] <= known[0]
    assert edges[-1] >= known[-1]
    for i, size in enumerate(sizes):
        last = i == bins - 1
        inside = [v for v in known if edges[i] <= v and (v < edges[i + 1] or last)]
        assert size == len(inside)


@few
@given(st.lists(st.none() | st.text("abé ", max_size=3), max_size=30), st.integers(0, 4))
def test_counts_of_texts(values: list[str | None], most: int) -> None:
    known = [v for v in values if v is not None]
    best = sorted(Counter(known).items(), key=lambda item: (-item[1], item[0].encode()))
    asked = [metric("top", most), metric("distinct"), metric("mode"), metric("categories"), metric("lengths")]
    top, distinct, mode, categories, lengths = ask(pl.Series(values, dtype=pl.String), *asked)
    assert top == best[:most]
    assert (distinct, mode) == (len(best), best[0][0] if best else None)
    assert categories == sorted(set(known), key=str.encode)
    sizes = [len(v) for v in known]
    assert lengths == {"min": min(sizes, default=None), "max": max(sizes, default=None), "empty": sizes.count(0)}


@few
@given(
    st.lists(st.tuples(st.none() | st.integers(-9, 9), st.none() | st.sampled_from([0.5, 1.5, NAN, 7.0])), max_size=25)
)
def test_correlation_is_over_complete_pairs(rows: list[tuple[Any, Any]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Float64}, orient="row")
    asked, ranked = Metric("a", "corr", "b"), Metric("a", "spearman", "b")
    answers = polars_metrics.answer(frame.lazy(), frame.schema, [asked, ranked])
    found = answers[asked]
    pairs = [(x, y) for x, y in rows if x is not None and y is not None and not math.isnan(y)]
    xs, ys = [float(x) for x, _ in pairs], [y for _, y in pairs]
    if len(set(xs)) < 2 or len(set(ys)) < 2:
        assert found is None
        assert answers[ranked] is None
    else:
        assert found == pytest.approx(statistics.correlation(xs, ys), abs=1e-9)
        ranks = [[sum(u < v for u in s) + sum(u == v for u in s) / 2 for v in s] for s in (xs, ys)]
        assert answers[ranked] == pytest.approx(statistics.correlation(*ranks), abs=1e-9)


@few
@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 2), st.sampled_from(["x", "y", None]), st.just(NAN) | st.just(0.0)),
        max_size=20,
    )
)
def test_duplicates_are_rows_that_repeat_an_earlier_one(rows: list[tuple[Any, ...]]) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "t": pl.String, "f": pl.Float64}, orient="row")
    frame = frame.with_columns(l=pl.concat_list("a"), s=pl.struct("t"))
    asked = Metric("", "duplicates")
    assert polars_metrics.answer(frame.lazy(), frame.schema, [asked])[asked] == len(rows) - len({repr(r) for r in rows})


def test_whole_numbers_do_not_wrap_around() -> None:
    biggest = 2**63 - 1
    assert ask([biggest, biggest], metric("sum"), metric("max")) == [2 * biggest, biggest]
    assert ask(pl.Series([2**64 - 1] * 2, dtype=pl.UInt64), metric("sum")) == [2**65 - 2]


def test_decimals_stay_decimals_where_they_can() -> None:
    column = pl.Series([Decimal("1.10"), None, Decimal("2.20")], dtype=pl.Decimal(8, 2))
    found = ask(column, metric("min"), metric("sum"), metric("mean"), metric("quantile", (0.5,)), metric("categories"))
    assert found == [
        Decimal("1.10"),
        Decimal("3.30"),
        pytest.approx(1.65),
        [pytest.approx(1.65)],
        [Decimal("1.10"), Decimal("2.20")],
    ]


def test_times() -> None:
    days = [dt.date(2024, 2, 28), dt.date(2024, 3, 1), None]
    assert ask(days, metric("quantile", (0.5, 1.0)), metric("distinct"), metric("mode")) == [
        [dt.date(2024, 2, 29), dt.date(2024, 3, 1)], 2, dt.date(2024, 2, 28),
    ]  # fmt: skip
    assert ask(days, metric("histogram", 2)) == [
        {"edges": [1709078400.0, 1709164800.0, 1709251200.0], "counts": [1, 1]}
    ]
    assert ask([dt.timedelta(hours=1)], metric("histogram", 1))[0]["edges"] == [3599.5, 3600.5]
    minutes = pl.Series([dt.timedelta(minutes=-1), dt.timedelta(0)], dtype=pl.Duration("ns"))
    assert sorted_column.seconds(minutes).to_list() == [-60.0, 0.0]


def test_infinities_stay_in_the_extremes_and_out_of_the_histogram() -> None:
    assert ask([1.0, INF, 2.0], metric("max"), metric("mean"), metric("histogram", 1)) == [
        INF, INF, {"edges": [1.0, 2.0], "counts": [2]},
    ]  # fmt: skip
    assert ask([INF], metric("histogram", 3)) == [None]
    assert ask([-1e308, 1e308], metric("histogram", 2))[0]["counts"] == [1, 1]


def test_forms_of_text() -> None:
    texts = [
        "1",
        "-2.5",
        "1e3",
        "12,5",
        "2024-01-31",
        "2024-01-31T10:00",
        "31.01.2024",
        "1/31/2024",
        "2024/1/31",
        "x",
        "",
    ]
    assert ask(texts, metric("forms")) == [
        {"number": 3, "number, decimal comma": 1, "date 2024-01-31": 2, "date 2024/01/31": 1, "date 31.01.2024": 1,
         "date 01/31/2024": 1, "text": 2}
    ]  # fmt: skip
    many = [f"t{i}" for i in range(5000)]
    assert ask(many, metric("forms")) == ask(many[::-1], metric("forms")) == [{"text": 2000}]


def test_means_of_another_column_by_category() -> None:
    frame = pl.DataFrame({"a": ["x", "y", "x", None, "x"], "b": [1.0, 5.0, 3.0, 7.0, NAN]})
    asked = Metric("a", "means", "b")
    assert polars_metrics.answer(frame.lazy(), frame.schema, [asked])[asked] == [("x", 2, 2.0, 1.0), ("y", 1, 5.0, 0.0)]


def test_more_categories_than_come_for_free() -> None:
    column = [f"{i:05}" for i in range(1500)] * 2
    assert ask(column, metric("distinct"), metric("categories")) == [1500, sorted(set(column))]


@pytest.mark.parametrize("kind", ["quantile", "histogram"])
def test_what_has_no_meaning_is_an_error(kind: Any) -> None:
    with pytest.raises(ValueError, match="neither a number nor a time"):
        ask(["x"], metric(kind, 2))


def test_one_frame_answers_once_and_keeps_its_answers(tmp_path: Path) -> None:
    frame = PolarsFrame(pl.LazyFrame({"a": [1, 2, 2]}), tmp_path)
    assert frame.measure([metric("mode"), metric("mode"), metric("rows")]) == {metric("mode"): 2, metric("rows"): 3}
    frame._lf = pl.LazyFrame()  # whoever asked again would find nothing
    assert frame.measure([metric("mode")]) == {metric("mode"): 2}


KINDS: list[tuple[Any, Any]] = [
    ("distinct", None), ("quantile", (0.25, 0.5)), ("histogram", 3), ("nulls", None), ("min", None), ("mean", None),
]  # fmt: skip
OF_TEXT: list[tuple[Any, Any]] = [("distinct", None), ("top", 2), ("lengths", None), ("nulls", None)]


@pytest.mark.parametrize("engine", ["streaming", "in-memory"])
@pytest.mark.parametrize("at_once", [0, 30, 250_000])
def test_columns_are_answered_alike_alone_and_together(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, at_once: int
) -> None:
    monkeypatch.setattr(polars_metrics, "_NARROW", 2)
    texts = {f"t{i}": ["a", None, "b", "b" * i] for i in range(4)}
    frame = pl.DataFrame({f"n{i}": [i, None, 3 * i, 7] for i in range(5)} | texts)
    asked = [Metric(c, *kind) for c in frame.columns for kind in (KINDS if c[0] == "n" else OF_TEXT)]
    alone: dict[Metric, Any] = {}
    for one in asked:
        alone |= polars_metrics.answer(frame.lazy(), frame.schema, [one])
    monkeypatch.setattr(polars_metrics, "_AT_ONCE", at_once)
    together = polars_metrics.answer(frame.lazy(), frame.schema, asked, engine=engine)
    assert {m: together[m] for m in asked} == {m: alone[m] for m in asked}


@pytest.mark.parametrize(("columns", "rows"), [(1000, 3), (120, 33_333)])
def test_many_columns_are_not_asked_one_by_one(monkeypatch: pytest.MonkeyPatch, columns: int, rows: int) -> None:
    """A query costs as much as the frame has columns, so that one a column would cost the square."""
    asked = 0
    values = pl.Series([1, 2, 3] * (rows // 3), dtype=pl.Int8)
    frame = pl.DataFrame({f"n{i}": values for i in range(columns)})
    wide = frame.lazy()
    selected = pl.LazyFrame.select

    def select(self: pl.LazyFrame, *arguments: Any, **named: Any) -> Any:
        nonlocal asked
        asked += self is wide
        return selected(self, *arguments, **named)

    monkeypatch.setattr(pl.LazyFrame, "select", select)
    metrics = [Metric(c, "quantile", (0.5,)) for c in frame.columns]
    assert polars_metrics.answer(wide, frame.schema, metrics)[metrics[-1]] == [2.0]
    assert asked < 10


@pytest.mark.parametrize("value", [4.2, 0.1, 1 / 3, -7.7, 123456.789, 1e15 + 0.3])
@pytest.mark.parametrize("rows", [3, 20, 100, 70_000])
def test_rounding_gives_a_constant_column_no_spread(value: float, rows: int) -> None:
    frame = pl.DataFrame({"a": [value] * rows, "b": [float(i * 7919 % 1013) for i in range(rows)]})
    asked = [metric("mean"), metric("variance"), metric("std"), metric("corr", "b"), Metric("b", "corr", "a")]
    answers = polars_metrics.answer(frame.lazy(), frame.schema, asked)
    assert [answers[m] for m in asked] == [value, 0.0, 0.0, None, None]


def test_not_a_number_is_no_null_where_values_are_grouped_too() -> None:
    assert ask([1.5, NAN, None, 1.5], metric("top", 5), metric("nulls"), metric("nan")) == [[(1.5, 2)], 1, 1]


@pytest.mark.parametrize("column", [[0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]])
@pytest.mark.parametrize("others", [[], [0.25]])
def test_zero_has_no_sign_among_categories(column: list[float], others: list[float]) -> None:
    [[(value, count), *_], [category, *_]] = ask([*column, *others], metric("top", 5), metric("categories"))
    assert (str(value), count, str(category)) == ("0.0", 2, "0.0")


def test_narrow_floats_are_summed_in_64_bits() -> None:
    many = pl.Series([0.1] * 300_000, dtype=pl.Float32)
    total, mean = ask(many, metric("sum"), metric("mean"))
    assert total == pytest.approx(300_000 * float(np.float32(0.1)), rel=1e-12)
    assert mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    big = np.array([1e20, 1e20, 3e20, 2e20, -1e20], dtype=np.float32)
    wide = big.astype(np.float64)
    std, variance, low, high = ask(pl.Series(big), metric("std"), metric("variance"), metric("min"), metric("max"))
    assert std == pytest.approx(wide.std(ddof=1), rel=1e-12)
    assert variance == pytest.approx(wide.var(ddof=1), rel=1e-12)
    assert (low, high) == (wide.min(), wide.max())
