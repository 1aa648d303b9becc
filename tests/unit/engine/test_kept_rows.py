"""A distinct in many passes keeps what Polars keeps in memory, in its order, for every kind of key."""

from __future__ import annotations

import multiprocessing
import resource
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from service.engine import kept_rows, key_hashes
from service.engine.memory import Memory
from service.engine.polars_frame import PolarsFrame
from service.processes.forkserver import GIVEN_ENVIRONMENT
from service.steps.frame import Keep
from tests.examples import examples
from tests.unit.engine.keyed_tables import VALUES, keyed_table

KEEPS: list[Keep] = ["first", "last", "none", "any"]
LITTLE = Memory(1, held=lambda: 1)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows are more than the memory holds."""
    monkeypatch.setattr(key_hashes, "LEAST", 400)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[pl.DataFrame], list[str]]:
    """Some batches of rows, and a key of some of their columns."""
    key = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True))
    frame = keyed_table(draw, key, 40, "row")
    cuts = sorted(draw(st.lists(st.integers(0, frame.height), max_size=4)))
    pieces = [frame[a:b] for a, b in zip([0, *cuts], [*cuts, frame.height], strict=True)]
    return pieces, key


def kept(pieces: list[pl.DataFrame], keys: list[str], keep: Keep, memory: Memory = LITTLE) -> pl.DataFrame:
    lf = pl.concat([p.lazy() for p in pieces])
    return kept_rows.only(lf, keys, keep, memory).collect(engine="streaming")


@examples(150)
@given(tables(), st.sampled_from(KEEPS))
def test_what_is_kept_is_what_polars_keeps(table: tuple[list[pl.DataFrame], list[str]], keep: Keep) -> None:
    pieces, keys = table
    frame = pl.concat(pieces)
    wanted = frame.unique(keys, keep="first" if keep == "any" else keep, maintain_order=True)
    assert_frame_equal(kept(pieces, keys, keep), wanted)
    assert_frame_equal(kept(pieces, keys, keep, Memory(1 << 40, held=lambda: 0)), wanted)


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("different", [1, 7, 20_000, 300_000])
def test_few_keys_and_many_in_several_batches(keep: Keep, different: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_hashes, "LEAST", 1 << 21)
    row = pl.int_range(300_000, eager=True)
    frame = pl.DataFrame({"k": (row * 7919) % different, "row": row})
    wanted = frame.unique("k", keep="first" if keep == "any" else keep, maintain_order=True)
    assert_frame_equal(kept([frame], ["k"], keep), wanted)


def test_equal_hashes_are_not_equal_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """All rows fall into one of two hashes, and are told apart by their keys."""
    monkeypatch.setattr(key_hashes, "hashed", lambda keys: (pl.col(keys[0]) % 2).cast(pl.UInt64))
    frame = pl.DataFrame({"k": [1, 3, 5, 1, 2, 4, 2, 6, 3], "row": range(9)})
    for keep in KEEPS:
        wanted = frame.unique("k", keep="first" if keep == "any" else keep, maintain_order=True)
        assert_frame_equal(kept([frame], ["k"], keep), wanted)


def test_rows_without_repeats_stay_as_they_are() -> None:
    lf = pl.LazyFrame({"k": [1, 2, 3]})
    assert kept_rows.only(lf, ["k"], "first", LITTLE) is lf


NUMBER, TEXT, DECIMAL = pl.Int64(), pl.String(), pl.Decimal(38, 2)
FITTING: list[tuple[int, list[pl.DataType], int, bool]] = [
    (1_000_000, [NUMBER], 0, True),
    (50_000_000, [NUMBER], 0, False),
    (1_000_000, [TEXT], 100, True),
    (10_000_000, [TEXT], 100, False),
    (1_000_000, [TEXT], 0, False),
    (1_000, [TEXT], 0, True),
    (1_000, [pl.List(NUMBER)], 0, True),
    (8_000_000, [NUMBER], 0, False),
    (4_000_000, [DECIMAL, NUMBER], 0, True),
    (10_000_000, [DECIMAL, NUMBER], 0, False),
]
"""Rows, types of the key, bytes of a row, and whether 1 GiB holds the keys."""


@pytest.mark.parametrize(("rows", "types", "row_bytes", "wanted"), FITTING)
def test_whether_keys_fit_is_known_before(
    rows: int, types: list[pl.DataType], row_bytes: int, wanted: bool
) -> None:  # fmt: skip
    assert key_hashes.fit(rows, types, row_bytes, Memory(1 << 30, held=lambda: 0)) == wanted


def _distinct_within(folder: str, memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    frame = PolarsFrame(pl.scan_parquet(Path(folder) / "source.parquet"), Path(folder), expensive=False)
    found = frame.distinct(["t"], keep="last").lazy.select(pl.len(), pl.col("v").sum(), pl.col("v").first().alias("f"))
    rows = 4_000_000
    assert found.collect(engine="streaming").row(0) == (rows // 2, sum(range(rows // 2, rows)), rows // 2)


@pytest.mark.slow
def test_more_keys_than_the_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polars alone holds 115 bytes a key, and ends for want of memory."""
    for name, value in GIVEN_ENVIRONMENT.items():  # as children of the service
        monkeypatch.setenv(name, value)
    number = pl.int_range(4_000_000, eager=True)
    text = pl.format("a text of more than twelve bytes {}", number % 2_000_000)
    pl.LazyFrame({"v": number}).with_columns(text.alias("t")).sink_parquet(tmp_path / "source.parquet")
    child = multiprocessing.get_context("spawn").Process(target=_distinct_within, args=(str(tmp_path), 512 << 20))
    child.start()
    child.join(300)
    assert child.exitcode == 0


def test_repeats_are_counted() -> None:
    lf = pl.LazyFrame({"k": [1, 2, 1, 1, None, None, 3]})
    assert kept_rows.repeats(lf, ["k"], LITTLE) == 3
    assert kept_rows.repeats(lf.unique(), ["k"], LITTLE) == 0
