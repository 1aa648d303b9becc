"""Joins and groups in parts answer what they answer at once, in the same order."""

from __future__ import annotations

import gc
import multiprocessing
import resource
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from service.engine import key_hashes
from service.engine.counters import Counters
from service.engine.memory import RESERVE, Memory
from service.engine.polars_frame import PolarsFrame
from service.processes.forkserver import GIVEN_ENVIRONMENT
from service.steps.frame import JoinHow
from tests.examples import examples
from tests.unit.engine.keyed_tables import keyed_table

KINDS = ["i", "f", "s", "b", "cat", "en"]
HOW: list[JoinHow] = ["inner", "left", "full"]
AGGREGATES = [
    pl.col("row").sum().alias("sum"), pl.len().alias("n"), pl.col("row").median().alias("m"),
    pl.col("row").first().alias("first"), pl.col("row").n_unique().alias("u"),
]  # fmt: skip
LITTLE = Memory(1, held=lambda: 1)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows are more than the memory holds."""
    monkeypatch.setattr(key_hashes, "LEAST", 900)


def of(data: pl.DataFrame, folder: Path, memory: Memory = LITTLE) -> PolarsFrame:
    progress = Counters()
    progress.begin(data.height)
    return PolarsFrame(data.lazy(), folder, memory=memory, progress=progress)


@st.composite
def tables(draw: st.DrawFn) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Two tables, and the columns that both have."""
    key = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True))
    return (*(keyed_table(draw, key, 25, name) for name in ("row", "other")), key)  # type: ignore[return-value]


@examples(60)
@given(tables(), st.sampled_from(HOW))
def test_a_join_in_parts(drawn: tuple[pl.DataFrame, pl.DataFrame, list[str]], how: JoinHow) -> None:
    left, right, key = drawn
    with tempfile.TemporaryDirectory() as folder:
        joined = of(left, Path(folder)).join(of(right, Path(folder)), key, how=how)
        made = joined.lazy.collect(engine="streaming")
    wanted = left.lazy().join(right.lazy(), on=key, how=how, coalesce=True, maintain_order="left_right")
    assert_frame_equal(made, wanted.collect(engine="streaming"))


@examples(60)
@given(tables(), st.sampled_from(HOW))
def test_a_join_whose_keys_repeat_more_than_the_memory_holds(
    drawn: tuple[pl.DataFrame, pl.DataFrame, list[str]], how: JoinHow
) -> None:
    left, right, key = drawn
    right = pl.concat([right] * 12).with_columns(other=pl.int_range(pl.len()))
    with tempfile.TemporaryDirectory() as folder:
        joined = of(left, Path(folder)).join(of(right, Path(folder)), key, how=how)
        made = joined.lazy.collect(engine="streaming")
    wanted = left.lazy().join(right.lazy(), on=key, how=how, coalesce=True, maintain_order="left_right")
    assert_frame_equal(made, wanted.collect(engine="streaming"))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("here", "there"),
    [(pl.Categorical(), pl.Categorical()), (pl.Enum("abc"), pl.Enum("abc")), (pl.Int32(), pl.Int64())],
)
def test_a_single_key_has_all_rows(how: JoinHow, here: pl.DataType, there: pl.DataType, tmp_path: Path) -> None:
    values = ["a", "b", None] if here != pl.Int32 else [1, 2, None]
    left = pl.DataFrame({"k": pl.Series([values[0], *values], dtype=here), "row": range(4)})
    right = pl.DataFrame({"k": pl.Series([values[0]] * 500 + [None], dtype=there), "other": range(501)})
    joined = of(left, tmp_path).join(of(right, tmp_path), ["k"], how=how)
    assert joined.staged, "it was not made in parts"
    wanted = left.lazy().join(right.lazy(), on="k", how=how, coalesce=True, maintain_order="left_right")
    assert_frame_equal(joined.lazy.collect(engine="streaming"), wanted.collect(engine="streaming"))


@examples(60)
@given(tables())
def test_groups_in_parts(drawn: tuple[pl.DataFrame, pl.DataFrame, list[str]]) -> None:
    rows, _, key = drawn
    with tempfile.TemporaryDirectory() as folder:
        groups = of(rows, Path(folder)).group(key, AGGREGATES)
        made = groups.lazy.collect(engine="streaming")
    wanted = rows.lazy().group_by(key, maintain_order=True).agg(AGGREGATES)
    assert_frame_equal(made, wanted.collect(engine="streaming"))


WINDOWS = [
    pl.col("row").shift(1).alias("lag"), pl.col("row").shift(-2).alias("lead"),
    pl.col("v").forward_fill().alias("forward"), pl.col("v").backward_fill().alias("backward"),
    pl.col("v").interpolate().alias("line"), pl.col("v").rolling_median(3, min_samples=1).alias("rolled"),
    pl.col("v").fill_null(pl.col("v").mean()).alias("mean"), pl.col("v").fill_null(pl.col("v").max()).alias("v"),
]  # fmt: skip


@examples(60)
@given(tables(), st.sampled_from([["row"], ["v"], ["v", "row"]]), st.sampled_from(WINDOWS), st.data())
def test_an_ordered_window_over_all_rows(
    drawn: tuple[pl.DataFrame, pl.DataFrame, list[str]], order: list[str], window: pl.Expr, data: st.DataObject
) -> None:
    rows, _, key = drawn
    number = st.none() | st.sampled_from([0.0, 1.5, -2.0])
    rows = rows.with_columns(
        v=pl.Series(data.draw(st.lists(number, min_size=rows.height, max_size=rows.height)), dtype=pl.Float64)
    )
    order = [*key, *order] if all(name in ("i", "s", "b") for name in key) else order
    made = {
        memory.limit: of(rows, Path(), memory).per_group([], order, [window]).lazy
        for memory in (LITTLE, Memory(1 << 40, held=lambda: 0))
    }
    first, second = made.values()
    assert ("SORT" in first.explain()) == (rows.height > 0)
    assert_frame_equal(first.collect(engine="streaming"), second.collect(engine="streaming"))


def test_many_rows_in_parts_whose_files_go_with_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_hashes, "LEAST", 1 << 20)
    row = pl.int_range(200_000, eager=True)
    left = pl.DataFrame({"k": row.hash() % 50_000, "row": row})
    right = left.select("k", other="row").sample(fraction=0.2, seed=1)
    joined = of(left, tmp_path).join(of(right, tmp_path), ["k"], how="full")
    wanted = left.lazy().join(right.lazy(), on="k", how="full", coalesce=True, maintain_order="left_right")
    assert len(list(tmp_path.glob("hash-*"))) > 5
    assert_frame_equal(joined.lazy.collect(engine="streaming"), wanted.collect(engine="streaming"))
    groups = joined.group(["other"], [pl.len().alias("n")])
    assert_frame_equal(groups.lazy.collect(), wanted.group_by("other", maintain_order=True).agg(n=pl.len()).collect())
    del joined, groups
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_what_fits_stays_lazy(tmp_path: Path) -> None:
    data = pl.DataFrame({"k": [1, 2], "row": [0, 1]})
    frame = of(data, tmp_path, Memory(1 << 30, held=lambda: 0))
    made = frame.join(frame.rows(lambda lf: lf.rename({"row": "other"})), ["k"]).group(["k"], [pl.len()])
    assert (made.staged, made.lazy.collect().height) == ((), 2)


def test_nobody_knows_how_many_rows_a_join_makes(tmp_path: Path) -> None:
    """A thousand rows were expected, and a million came: what a distinct holds of them is limited nevertheless."""
    rows = pl.DataFrame({"k": [1] * 1000, "row": range(1000)})
    memory = Memory(RESERVE + (8 << 20), held=lambda: 0)
    frame = of(rows, tmp_path, memory)
    joined = frame.join(frame.rows(lambda lf: lf.rename({"row": "other"})), ["k"])
    assert joined.staged == (), "the join itself fits"
    assert [s.rows for s in joined.distinct(["row", "other"]).staged] == [1_000_000]


def _within(folder: str, memory_bytes: int, operation: str) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    progress, rows = Counters(), 4_000_000
    progress.begin(rows)
    lf = pl.scan_parquet(Path(folder) / "source.parquet")
    frame = PolarsFrame(lf, Path(folder), expensive=False, progress=progress)
    if operation == "join of whole rows":  # which are read again after it
        rows = 1_000_000
        wide = frame.rows(lambda lf: lf.head(rows).with_columns(pl.col("t").alias(f"t{i}") for i in range(5)))
        joined = wide.join(wide.rows(lambda lf: lf.rename({"v": "other"})), ["t"], how="left")
        made = joined.distinct(["v"], keep="last")
        sums, wanted = [pl.len(), pl.col("other").sum()], (rows, sum(range(rows)))
    elif operation == "join":
        made = frame.join(frame.rows(lambda lf: lf.select("t", other="v")), ["t"], how="left")
        sums, wanted = [pl.len(), pl.col("other").sum()], (rows, sum(range(rows)))
    else:
        made = frame.group(["t"], [pl.col("v").median() if operation == "median" else pl.col("v").sum()])
        sums, wanted = [pl.len(), pl.col("v").sum().cast(pl.Int64)], (rows, sum(range(rows)))
    assert made.lazy.select(sums).collect(engine="streaming").row(0) == wanted
    assert made.staged, "it was not made in parts"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "limit"),
    [("join", 768 << 20), ("join of whole rows", 768 << 20), ("sum", 1 << 30), ("median", 768 << 20)],
)
def test_more_than_the_memory_holds(
    operation: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GIVEN_ENVIRONMENT.items():  # as children of the service
        monkeypatch.setenv(name, value)
    number = pl.LazyFrame({"v": pl.int_range(4_000_000, eager=True)})
    text = pl.format("a text of more than twelve bytes {}", pl.col("v"))
    number.with_columns(text.alias("t")).sink_parquet(tmp_path / "source.parquet")
    child = multiprocessing.get_context("spawn").Process(target=_within, args=(str(tmp_path), limit, operation))
    child.start()
    child.join(300)
    assert child.exitcode == 0
