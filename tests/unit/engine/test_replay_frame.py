"""ReplayFrame: what each operation does to records that stand alone, and which record a row came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from service.engine import fit_record, row_operations
from service.engine.polars_frame import PolarsFrame
from service.engine.replay_frame import ReplayFrame
from service.engine.row_operations import Rows
from service.kit import errors
from service.steps.frame import Frame


def of(tmp_path: Path, **columns: list[Any]) -> ReplayFrame:
    """The frame of a step that gets these columns."""
    schema = pl.DataFrame(columns).schema
    return ReplayFrame(schema, fit_record.Playback("processors[0]", fit_record.StepRecord()), tmp_path)


def done(frame: ReplayFrame, **columns: list[Any]) -> Rows:
    """Records with these values after the operations of the frame; their places begin with 10."""
    data = pl.DataFrame(columns)
    places = pl.Series("place", range(10, 10 + data.height), dtype=pl.UInt32())
    rows = row_operations.one_by_one(frame.operations, Rows(data, places))
    halved = row_operations.halved(frame.operations, Rows(data, places))
    assert_frame_equal(rows.data, halved.data, check_exact=True)
    assert rows.places.equals(halved.places)
    assert rows.data.schema == frame.schema
    return rows


def keep_odd(lf: pl.LazyFrame) -> pl.LazyFrame:
    return lf.filter(pl.col("a") % 2 == 1)


@pytest.mark.parametrize(
    "step",
    [
        keep_odd,
        lambda lf: keep_odd(lf).select(b=pl.col("a")),  # the column that marks rows is lost: they are found by halving
        lambda lf: keep_odd(lf.with_columns(pl.all().cast(pl.Int64))),  # … or is not what it was
        lambda lf: keep_odd(lf).rename(lambda name: f"{name}_"),
    ],
)
def test_rows_that_are_taken_out_are_known(tmp_path: Path, step: Callable[[pl.LazyFrame], pl.LazyFrame]) -> None:
    frame = done(of(tmp_path, a=[1]).rows(step), a=[1, 2, 3, 4, 4, 5])
    assert frame.places.to_list() == [10, 12, 15]
    assert frame.data.to_series().to_list() == [1, 3, 5]
    nothing = done(of(tmp_path, a=[1]).rows(step), a=[2, 4])
    assert (nothing.places.to_list(), nothing.data.height) == ([], 0)


@pytest.mark.parametrize("step", [
    lambda lf: lf.explode("a", empty_as_null=True), lambda lf: lf.select(pl.col("a").explode(empty_as_null=True)),
])  # fmt: skip
def test_a_record_may_become_several_rows(tmp_path: Path, step: Any) -> None:
    frame = done(of(tmp_path, a=[[1]]).rows(step), a=[[1, 2], [3], [4, 5, 6]])
    assert frame.data["a"].to_list() == [1, 2, 3, 4, 5, 6]
    assert frame.places.to_list() == [10, 10, 11, 12, 12, 12]


def test_a_step_that_fails_names_the_first_record(tmp_path: Path) -> None:
    frame = of(tmp_path, a=["1"]).rows(lambda lf: lf.with_columns(pl.col("a").cast(pl.Int64)))
    with pytest.raises(errors.Permanent) as caught:
        done(frame, a=["1", "2", "x", "3", "y"])
    assert caught.value.details["record"] == 12
    assert "x" in caught.value.message
    assert "y" not in caught.value.message
    theirs = row_operations.record_error(caught.value)
    assert theirs is not None
    assert theirs.details["field"] == "records[12]"
    assert row_operations.record_error(errors.Permanent("something else")) is None


def test_what_needs_other_rows_leaves_the_records_as_they_are(tmp_path: Path) -> None:
    frame: Any = of(tmp_path, a=[2, 1, 2], b=["x", "y", "x"])
    frame = frame.distinct(["a"], keep="none").sort(["a"], descending=[True]).with_row_index("n")
    frame = frame.per_group(["b"], ["a"], [
        pl.col("a").shift(1).alias("before"), pl.len().alias("many"), pl.col("a").mean().alias("mean"),
    ])  # fmt: skip
    frame = frame.join(of(tmp_path, a=[2], c=[1.5]), ["a"], how="inner")
    frame = frame.union([PolarsFrame(pl.LazyFrame({"d": [True]}), tmp_path)])
    rows = done(frame, a=[2, 1, 2], b=["x", "y", "x"])
    assert rows.data.rows() == [(0, v, t, None, 1, float(v), None, None) for v, t in [(2, "x"), (1, "y"), (2, "x")]]
    assert rows.data.columns == ["n", "a", "b", "before", "many", "mean", "c", "d"]
    assert (frame.schema["c"], frame.schema["d"]) == (pl.Float64, pl.Boolean)
    assert rows.places.to_list() == [10, 11, 12]
    assert [(s.operation, s.columns) for s in frame.skipped] == [
        ("distinct", ()), ("sort", ()), ("with_row_index", ("n",)), ("per_group", ("before", "many", "mean")),
        ("join", ("c",)), ("union", ("d",)),
    ]  # fmt: skip
    assert frame.write(tmp_path / "x", compression="zstd", compression_level=1, row_group_size=None) == 0
    assert not (tmp_path / "x").exists()


def test_elsewhere_has_a_schema_and_no_rows(tmp_path: Path) -> None:
    frame = of(tmp_path, a=[2, 1], b=["x", "y"])
    groups = frame.group(["b"], [pl.col("a").sum().alias("total")])
    later = groups.rows(lambda lf: lf.with_columns(half=pl.col("total") / 2)).sort(["total"], descending=[False])
    assert later.schema == {"b": pl.String, "total": pl.Int64, "half": pl.Float64}
    assert (later.operations, later.origin) == ((), frame)
    joined = frame.join(groups, ["b"])
    assert joined.origin is None
    assert done(joined, a=[2, 1], b=["x", "y"]).data.rows() == [(2, "x", None), (1, "y", None)]


@pytest.mark.parametrize(
    ("query", "wanted", "skipped"),
    [
        ("SELECT b, a * 2 AS c FROM input WHERE a > 1", {"b": ["x", "z"], "c": [4, 6]}, []),
        ("SELECT *, a + 1 AS c FROM input WHERE a < 3", {"a": [2, 1], "b": ["x", "y"], "c": [3, 2]}, []),
        ("SELECT i.b FROM input i ORDER BY a", {"b": ["x", "y", "z"]}, ["sort"]),
        ("SELECT count(*) AS n FROM input", None, ["query"]),
        ("SELECT DISTINCT b FROM input", None, ["query"]),
        ("SELECT a FROM input LIMIT 1", None, ["query"]),
        ("SELECT a, sum(a) OVER () AS s FROM input", None, ["query"]),
        ("SELECT a FROM input UNION ALL SELECT a FROM input", None, ["query"]),
        ("SELECT i.a FROM input i JOIN input j ON i.a = j.a", None, ["query"]),
        ("SELECT a FROM input WHERE a IN (SELECT max(a) FROM input)", None, ["query"]),
        ("WITH w AS (SELECT a FROM input) SELECT a FROM w", None, ["query"]),
        ("SELECT 1 AS one FROM input", None, ["query"]),
    ],
)
def test_a_select_over_one_row_is_done(
    tmp_path: Path, query: str, wanted: dict[str, list[Any]] | None, skipped: list[str]
) -> None:
    frame = of(tmp_path, a=[2, 1, 3], b=["x", "y", "z"])
    made = frame.query(query)
    assert [s.operation for s in made.skipped] == skipped
    if wanted is None:
        assert made.origin is frame
    else:
        rows = done(made, a=[2, 1, 3], b=["x", "y", "z"])
        assert rows.data.to_dict(as_series=False) == wanted
        kept = {"WHERE a > 1": [10, 12], "WHERE a < 3": [10, 11]}
        assert rows.places.to_list() == next((p for text, p in kept.items() if text in query), [10, 11, 12])


def test_it_is_a_frame(tmp_path: Path) -> None:
    frame: Frame = of(tmp_path, a=[1])
    assert frame.measure([]) == {}
