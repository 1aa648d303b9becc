"""The bounds of ``publish_if``: which versions are held, and which configurations are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs import plugins
from service.kit import errors
from service.model import acceptance, normalized, publication_bounds
from service.model import pipeline as pipelines
from service.model.publication_bounds import PublicationBounds
from service.model.version import Column, Version
from service.values.profile import ColumnProfile, Correlation, Histogram, Profile, TopValue

ANALYZED = [{"type": "analyzer", "config": {"columns": ["amount", "city"]}}]


def numbers(name: str, counts: list[int]) -> ColumnProfile:
    rows = sum(counts)
    histogram = Histogram([float(n) for n in range(len(counts) + 1)], counts)
    return ColumnProfile(
        name=name, type="float64", count=rows, missing=0, missing_share=0.0, min=0.0, max=float(len(counts)),
        quantiles={}, zeros=0, negatives=0, histogram=histogram, std=1.0, distinct=rows,
    )  # fmt: skip


def texts(name: str, counts: dict[str, int]) -> ColumnProfile:
    top = [TopValue(value, count) for value, count in counts.items()]
    return ColumnProfile(
        name=name, type="string", count=sum(counts.values()), missing=0, missing_share=0.0, top=top
    )  # fmt: skip


def version(rows: int = 100, columns: list[Column] | None = None, *profiled: ColumnProfile, **more: Any) -> Version:
    profile = Profile(
        row_count=rows, column_count=len(profiled), duplicate_rows=0, columns=list(profiled),
        correlation=Correlation("pearson", [], []), warnings=[],
    )  # fmt: skip
    return Version(
        pipeline="orders", version=more.pop("number", 4), run_id="run_4", revision=1, table="orders", rows=rows,
        bytes=1, columns=columns or [Column("amount", "Float64")], files=[], sources=[],
        created=datetime(2026, 1, 1, tzinfo=UTC), profiles=[profile] if profiled else [], **more,
    )  # fmt: skip


def broken(bounds: dict[str, Any], before: Version, after: Version) -> list[tuple[str, str | None, float | None]]:
    found = publication_bounds.breaches(msgspec.convert(bounds, PublicationBounds), before, after)
    assert all(breach.message for breach in found)
    return [(breach.measure, breach.column, breach.value) for breach in found]


@pytest.mark.parametrize(
    ("rows", "bounds", "expected"),
    [
        (80, {"max_row_drop_share": 0.2}, []),
        (79, {"max_row_drop_share": 0.2}, [("row_drop_share", None, 0.21)]),
        (0, {"max_row_drop_share": 1}, []),
        (0, {"max_row_drop_share": 0.99, "max_row_growth_share": 0}, [("row_drop_share", None, 1.0)]),
        (99, {"max_row_drop_share": 0}, [("row_drop_share", None, 0.01)]),
        (600, {"max_row_growth_share": 5}, []),
        (601, {"max_row_growth_share": 5, "max_row_drop_share": 0}, [("row_growth_share", None, 5.01)]),
        (0, {}, []),
    ],
)
def test_rows_may_change_by_a_share(rows: int, bounds: dict[str, Any], expected: list[Any]) -> None:
    assert broken(bounds, version(100), version(rows)) == expected


def test_an_empty_version_is_no_measure_for_rows() -> None:
    assert broken({"max_row_drop_share": 0, "max_row_growth_share": 0}, version(0), version(1_000)) == []


@given(before=st.integers(0, 10**9), after=st.integers(0, 10**9), drop=st.floats(0, 1), growth=st.floats(0, 1e9))
def test_equal_rows_break_nothing_and_no_version_breaks_both(
    before: int, after: int, drop: float, growth: float
) -> None:
    bounds = {"max_row_drop_share": drop, "max_row_growth_share": growth}
    assert broken(bounds, version(before), version(before)) == []
    assert len(broken(bounds, version(before), version(after))) <= 1


@pytest.mark.parametrize(
    ("columns", "count", "said"),
    [
        ([("amount", "Float64"), ("id", "Int64")], 0, ""),
        ([("id", "Int64"), ("amount", "Float64"), ("new", "String")], 0, ""),
        ([("amount", "Float64")], 1, "'id' was removed"),
        ([("amount", "String"), ("id", "Int64")], 1, "'amount' was float64 and is string"),
        ([("other", "String")], 2, "'amount' was removed, 'id' was removed"),
    ],
)
def test_a_removed_or_retyped_column_breaks_the_schema(columns: list[tuple[str, str]], count: int, said: str) -> None:
    before = version(1, [Column("amount", "Float64"), Column("id", "Int64")])
    after = version(1, [Column(*column) for column in columns])
    assert broken({"no_schema_break": False}, before, after) == []
    found = publication_bounds.breaches(PublicationBounds(no_schema_break=True), before, after)
    assert [(b.measure, b.value, b.bound) for b in found] == ([("schema_break", count, 0)] if count else [])
    assert all(said in b.message for b in found)


def test_drift_is_measured_from_profiles() -> None:
    before = version(100, None, numbers("amount", [25, 25, 25, 25]), texts("city", {"Bern": 50, "Rome": 50}))
    near = version(100, None, numbers("amount", [26, 25, 25, 24]), texts("city", {"Bern": 51, "Rome": 49}))
    far = version(100, None, numbers("amount", [97, 1, 1, 1]), texts("city", {"Oslo": 100}))
    bounds = {"max_drift": {"amount": 0.25, "city": 0.25}}
    assert broken(bounds, before, before) == []
    assert broken(bounds, before, near) == []
    assert [(measure, column) for measure, column, _ in broken(bounds, before, far)] == [
        ("drift", "amount"), ("drift", "city"),
    ]  # fmt: skip
    assert all(value is not None and value > 0.25 for _, _, value in broken(bounds, before, far))
    assert broken({"max_drift": {"amount": 1e9, "city": 1e9}}, before, far) == []


@pytest.mark.parametrize(
    "after",
    [version(100), version(100, None, texts("amount", {"a": 100})), version(0, None, numbers("amount", [0, 0]))],
    ids=["no profile", "another kind", "no rows"],
)
def test_drift_that_cannot_be_measured_any_more_breaks_its_bound(after: Version) -> None:
    before = version(100, None, numbers("amount", [50, 50]))
    assert broken({"max_drift": {"amount": 9.0}}, before, after) == [("drift", "amount", None)]


@pytest.mark.parametrize(
    "before", [version(100), version(0, None, numbers("amount", [0, 0]))], ids=["no profile", "no rows"]
)
def test_without_a_profile_before_a_warning_says_that_drift_was_not_measured(before: Version) -> None:
    bounds = PublicationBounds(max_drift={"amount": 0.0})
    assert publication_bounds.breaches(bounds, before, version(100, None, numbers("amount", [50, 50]))) == []
    (warning,) = publication_bounds.warnings(bounds, before)
    assert (warning.code, warning.details) == ("drift_not_measured", {"column": "amount", "version": 4})
    assert publication_bounds.warnings(bounds, version(9, None, numbers("amount", [4, 5]))) == []


def document(publish_if: Any, processors: Any = ANALYZED) -> dict[str, Any]:
    return {
        "name": "orders", "collectors": [{"type": "csv", "file_path": "a.csv"}], "processors": processors,
        "publish_if": publish_if,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("publish_if", "field"),
    [
        ({"max_row_drop_share": 1.1}, "publish_if.max_row_drop_share"),
        ({"max_row_drop_share": -0.1}, "publish_if.max_row_drop_share"),
        ({"max_row_growth_share": "5"}, "publish_if.max_row_growth_share"),
        ({"no_schema_break": 1}, "publish_if.no_schema_break"),
        ({"max_drift": {"amount": -1}}, "publish_if.max_drift.amount"),
        ({"max_drift": {"price": 0.2}}, "publish_if.max_drift.price"),
        ({"max_rows": 5}, "publish_if.max_rows"),
        ([], "publish_if"),
    ],
)
def test_wrong_bounds_are_refused_with_their_field(publish_if: Any, field: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        pipelines.decode(document(publish_if), plugins.registry())
    assert refused.value.details["field"] == field


@pytest.mark.parametrize(
    ("processors", "valid"),
    [([], False), (ANALYZED, True), ([{"type": "analyzer"}], True),
     ([{"type": "analyzer", "config": {"columns": ["city"]}}], False),
     ([{"type": "analyzer", "config": {"columns": ["city"]}}, {"type": "analyzer"}], True)],
)  # fmt: skip
def test_drift_needs_an_analyzer_of_the_column(processors: Any, valid: bool) -> None:
    given = document({"max_drift": {"amount": 0.25}}, processors)
    if valid:
        decoded = pipelines.decode(given, plugins.registry())
        assert decoded.publish_if == PublicationBounds(max_drift={"amount": 0.25})
        assert normalized.resolved(decoded)["publish_if"]["max_row_drop_share"] is None
        return
    with pytest.raises(errors.Invalid) as refused:
        pipelines.decode(given, plugins.registry())
    assert refused.value.details["field"] == "publish_if.max_drift.amount"


@pytest.mark.parametrize(
    ("newest", "continues", "held", "code"),
    [(None, None, True, None), (3, None, True, None), (3, 3, True, None), (3, 2, True, "VERSION_SUPERSEDED"),
     (5, None, True, "VERSION_SUPERSEDED"), (3, None, False, "CONFLICT"), (None, 3, True, None)],
)  # fmt: skip
def test_what_can_be_accepted(newest: int | None, continues: int | None, held: bool, code: str | None) -> None:
    waiting = version(number=4, held=held, continues=continues)
    published = version(number=newest) if newest is not None else None
    if code is None:
        acceptance.refuse(waiting, published)
        return
    with pytest.raises(errors.Conflict) as refused:
        acceptance.refuse(waiting, published)
    assert refused.value.error_code == code
