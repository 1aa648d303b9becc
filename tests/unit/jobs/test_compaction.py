"""Compaction: a version with many small parts goes on with fewer, of the same rows in the same order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.storages.parts import sizes
from tests.unit.jobs.versions import Versions

MOST = 6


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few rows, and few of them."""
    monkeypatch.setattr(sizes, "MOST_SMALL", MOST)
    monkeypatch.setattr(sizes, "LARGEST", 1000)
    monkeypatch.setattr(sizes, "SMALLEST", 1000)


def rows(first: int, count: int, **columns: Any) -> pl.DataFrame:
    numbers = pl.DataFrame({"id": range(first, first + count)}, schema={"id": pl.Int64})
    return numbers.with_columns(text=pl.col("id").cast(pl.String), **columns)


def written(versions: Versions, known: dict[str, int]) -> int:
    """The rows in new files of the newest version."""
    assert versions.prepared is not None
    inodes, old = versions.inodes(), set(known.values())
    return sum(file.rows for file in versions.prepared.files if inodes[file.name] not in old)


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("mode", [{"mode": "append"}, {"mode": "merge", "key": "id"}])
def test_rows_keep_their_order_and_are_seldom_written_again(tmp_path: Path, mode: dict[str, Any], count: int) -> None:
    """Once for each doubling of their part, until it is large; so the bytes of a version are written a few times."""
    versions, total, runs = Versions(tmp_path, **mode), 0, 40
    known: dict[str, int] = {}
    for run in range(runs):
        assert versions.run(rows(run * count, count)) is not None
        total += written(versions, known)
        known = versions.inodes()
        lengths = [pl.read_parquet(part).height for part in versions.parts]
        assert sum(lengths) == (run + 1) * count
        assert sum(length < sizes.LARGEST // 2 for length in lengths) <= MOST + 1 + math.log2(runs / MOST)
        assert max(lengths) <= sizes.LARGEST
    assert versions.rows().equals(rows(0, runs * count))
    assert total <= runs * count * (1 + math.log2(runs / MOST))


def test_the_version_before_stays_as_it_is(tmp_path: Path) -> None:
    """Who reads it does not notice that its parts were written together."""
    versions = Versions(tmp_path, mode="append")
    for run in range(MOST):
        versions.run(rows(run, 1))
    before, folder = {p: p.read_bytes() for p in versions.parts}, versions.version
    reader = pl.scan_parquet(folder / "part-*.parquet")
    opened = [path.open("rb") for path in before]
    versions.run(rows(MOST, 1))
    assert len(versions.parts) == 1
    assert {p: p.read_bytes() for p in sorted(folder.glob("part-*"))} == before
    assert [file.read() for file in opened] == list(before.values())
    assert reader.collect().equals(rows(0, MOST))
    for file in opened:
        file.close()


def test_parts_of_one_partition_are_written_together(tmp_path: Path) -> None:
    """And only there: each partition keeps its folder, and others their files."""
    versions = Versions(tmp_path, mode="append", partition_by=["city"])
    versions.run(pl.concat([rows(0, 40, city=pl.lit("two")), rows(40, 1, city=pl.lit("once"))]))
    for run in range(MOST + 1):
        before = versions.inodes()
        versions.run(rows(100 + run, 1, city=pl.lit("often")))
    after = versions.inodes()
    assert sorted(after) == [f"city={name}/part-00000.parquet" for name in ("often", "once", "two")]
    assert {name for name, inode in after.items() if before[name] != inode} == {"city=often/part-00000.parquet"}
    assert len(before) == MOST + 2
    wanted = [*range(100, 100 + MOST + 1), 40, *range(40)]
    assert versions.rows()["id"].to_list() == wanted
    read = pl.scan_parquet(versions.version / "**/part-*.parquet", hive_partitioning=True)
    assert read.filter(pl.col("city") == "often").collect().height == MOST + 1


def test_a_cluster_keeps_its_order(tmp_path: Path) -> None:
    """Rows of merged parts keep the numbers by which later ones are put between them."""
    versions = Versions(tmp_path, mode="append", cluster_by=["id"])
    for run in range(2 * MOST + 1):
        versions.run(rows(10 * run, 1))
    assert len(versions.parts) <= MOST + 1
    versions.run(rows(15, 1))
    versions.run(rows(10, 1).with_columns(text=pl.lit("later")))
    assert versions.rows()["id"].to_list() == [0, 10, 10, 15, *range(20, 10 * (2 * MOST + 1), 10)]
    assert versions.rows()["text"][1:3].to_list() == ["10", "later"]
