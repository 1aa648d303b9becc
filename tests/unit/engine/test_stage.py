"""Stages: in memory while the rows fit, in files when they do not, and nothing is left where one fails."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pyarrow import parquet

from service.engine import memory as memory_module
from service.engine import stage
from service.engine.memory import RESERVE, Memory
from service.engine.stage import Stage, Staging
from tests.unit.engine.every_kind import EVERY_KIND

ROWS = 200_000


def numbers(rows: int = ROWS) -> pl.LazyFrame:
    row = pl.int_range(rows, dtype=pl.Int64)
    return pl.select(n=row, text=pl.format("text number {}", row)).lazy()


def memory(free: int) -> Memory:
    return Memory(free + RESERVE, held=lambda: 0)


def staged(lf: pl.LazyFrame, folder: Path, budget: Memory, **options: Any) -> Stage:
    return Staging(lf.collect_schema(), folder, budget, **options).take(lf)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a quarter of a megabyte; batches of a few thousand rows, as a source makes them."""
    monkeypatch.setattr(memory_module, "_LEAST_PART", 1 << 18)
    monkeypatch.setattr(memory_module, "_MOST_PART", 1 << 18)


@pytest.fixture
def batched(tmp_path_factory: pytest.TempPathFactory) -> pl.LazyFrame:
    """A source that the engine reads in pieces."""
    source = tmp_path_factory.mktemp("source") / "numbers.parquet"
    numbers().sink_parquet(source, row_group_size=5_000)
    return pl.scan_parquet(source, glob=False)


def test_rows_that_fit_stay_in_memory(tmp_path: Path) -> None:
    made = staged(numbers(), tmp_path, memory(1 << 30))
    assert (made.report.place, made.report.rows, made.files) == ("memory", ROWS, ())
    assert not made.small
    assert made.lf.collect().equals(numbers().collect())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("free", [0, 2 << 20, 6 << 20])
@pytest.mark.usefixtures("small_parts")
def test_rows_that_do_not_fit_go_to_files_in_their_order(tmp_path: Path, batched: pl.LazyFrame, free: int) -> None:
    made = staged(batched, tmp_path, memory(free))
    assert (made.report.place, made.report.rows) == ("file", ROWS)
    assert len(made.files) > 3
    assert made.report.bytes == sum(path.stat().st_size for path in made.files)
    assert made.lf.collect(engine="streaming").equals(numbers().collect())
    del made
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small_parts")
def test_what_the_process_holds_beside_the_stage_counts(
    tmp_path: Path, batched: pl.LazyFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_LOOK", 1 << 16)
    held = iter([0, *range(RESERVE, RESERVE << 10, 1 << 20)])  # others grow meanwhile
    made = staged(batched, tmp_path, Memory(RESERVE + (64 << 20), held=lambda: next(held)))
    assert made.report.place == "file"


@pytest.mark.parametrize("free", [0, 1 << 30])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("height", [0, 1, 1_000])
def test_a_stage_holds_every_kind_of_value(tmp_path: Path, free: int, height: int, keep: bool) -> None:
    lf = EVERY_KIND.sample(height, with_replacement=True, seed=1).lazy() if height else EVERY_KIND.head(0).lazy()
    made = staged(lf, tmp_path, memory(free), keep=keep)
    assert made.lf.collect_schema() == EVERY_KIND.schema
    assert made.lf.collect().equals(lf.collect(), null_equal=True)
    assert bool(made.files) == (keep or (free == 0 and height > 0))


@pytest.mark.parametrize(
    ("rows", "width", "wanted"), [(150_000, 0, 122_880), (20_000, 1000, 8_200), (2_000, 50_000, 1000)]
)
def test_row_groups_of_wide_rows_are_short(tmp_path: Path, rows: int, width: int, wanted: int) -> None:
    """Whoever reads whole rows holds several groups."""
    lf = pl.LazyFrame({"n": range(rows)}).with_columns(text=pl.format("{}" + "x" * width, "n"))
    made = staged(lf, tmp_path, memory(0), keep=True)
    file = parquet.ParquetFile(made.files[0])  # type: ignore[no-untyped-call]  # it ships no types
    assert file.metadata.row_group(0).num_rows == pytest.approx(wanted, rel=0.03)


def test_few_rows_are_small_and_many_in_few_bytes_are_not(tmp_path: Path) -> None:
    assert staged(numbers(1_000), tmp_path, memory(1 << 30)).small
    assert not staged(pl.LazyFrame({"a": [1] * 60_000}), tmp_path, memory(1 << 30)).small


@pytest.mark.usefixtures("small_parts")
def test_a_failure_is_the_one_that_happened_and_leaves_nothing(
    tmp_path: Path, batched: pl.LazyFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(28, "No space left on device")
    calls = iter(range(100))

    def write_parquet(self: pl.DataFrame, file: Path, **_: Any) -> None:
        file.write_bytes(b"half")
        if next(calls) == 2:
            raise full

    monkeypatch.setattr(pl.DataFrame, "write_parquet", write_parquet)
    with pytest.raises(OSError, match="No space left") as caught:
        staged(batched, tmp_path, memory(0))
    assert caught.value is full
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    bad = batched.with_columns(pl.col("text").cast(pl.Int64))
    with pytest.raises(pl.exceptions.InvalidOperationError):
        staged(bad, tmp_path, memory(0))
    assert list(tmp_path.iterdir()) == []
