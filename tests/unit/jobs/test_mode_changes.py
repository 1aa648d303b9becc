"""Runs whose settings, columns or single rows meet a version in an unusual way."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Literal

import duckdb
import polars as pl
import pyarrow.dataset
import pytest

from tests.unit.jobs.versions import Versions

UNITS: tuple[Literal["ms", "ns", "us"], ...] = ("ms", "ns", "us")


@pytest.mark.parametrize(
    ("earlier", "said"),
    [
        ({"id": [1, 1, 2], "v": [1, 2, 3]}, "1 rows of version 1 repeat the key (id)"),
        ({"id": [1, None, 2], "v": [1, 2, 3]}, "1 rows of version 1 do not have the key (id)"),
        ({"v": [1, 2]}, "2 rows of version 1 do not have the key (id)"),
    ],
)
def test_rows_that_no_merge_made_unique_are_refused(tmp_path: Path, earlier: dict[str, Any], said: str) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(pl.DataFrame(earlier))
    versions.settings = {"mode": "merge", "key": "id"}
    assert versions.run(pl.DataFrame({"id": [3], "v": [4]})) is None
    assert versions.failed is not None
    assert said in versions.failed.error.message
    assert versions.failed.error.details["field"] == "storage[0].key"


def test_a_merge_follows_unique_rows_and_notes_its_key(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(pl.DataFrame({"a": [1, 2], "b": [1, 1]}))
    versions.settings = {"mode": "merge", "key": "a"}
    same = versions.run(pl.DataFrame({"a": [2], "b": [1]}))
    assert same is not None
    assert same.unchanged == 1  # the key alone is not a change
    merged = versions.run(pl.DataFrame({"a": [2], "b": [5]}))
    assert merged is not None
    assert merged.layout.key == ["a"]
    assert versions.rows().rows() == [(1, 1), (2, 5)]
    versions.run(pl.DataFrame({"a": [3], "b": [5]}))
    versions.settings = {"mode": "merge", "key": "b"}
    assert versions.run(pl.DataFrame({"a": [4], "b": [6]})) is None
    assert versions.failed is not None
    assert "1 rows of version 3 repeat the key (b)" in versions.failed.error.message


@pytest.mark.parametrize("setting", ["cluster_by", "partition_by"])
def test_an_absent_column_that_arranges_rows_is_null(tmp_path: Path, setting: str) -> None:
    versions = Versions(tmp_path, mode="append", **{setting: ["x"]})
    versions.run(pl.DataFrame({"x": [2, 1], "v": [1, 2]}))
    assert versions.run(pl.DataFrame({"v": [3]})) is not None, versions.failed
    assert versions.rows().rows() == [(1, 2), (2, 1), (None, 3)]


@pytest.mark.parametrize("rows", [1, 2])
def test_a_key_may_be_nan(tmp_path: Path, rows: int) -> None:
    versions = Versions(tmp_path, mode="merge", key="x")
    versions.run(pl.DataFrame({"x": [float("nan"), 1.0][:rows], "v": [1, 2][:rows]}))
    versions.run(pl.DataFrame({"x": [float("nan")], "v": [3]}))
    assert versions.rows()["v"].to_list() == [3, 2][:rows]


def test_pyarrow_reads_the_folder_of_a_version(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append", partition_by=["city", "id"])
    versions.run(pl.DataFrame({"city": ["a/b", None], "id": [1, 2]}))
    dataset = pyarrow.dataset.dataset(  # type: ignore[no-untyped-call]
        versions.version, partitioning=None, exclude_invalid_files=True
    )
    assert dataset.to_table().sort_by("id").to_pydict() == {"city": ["a/b", None], "id": [1, 2]}


@pytest.mark.parametrize("column", ["order date", "größe", "日付", "a.b-c~d"])
def test_hive_readers_know_a_partition_column_by_its_name(tmp_path: Path, column: str) -> None:
    versions = Versions(tmp_path, mode="append", partition_by=[column])
    versions.run(pl.DataFrame({column: ["a/b", "x"], "v": [1, 2]}))
    versions.run(pl.DataFrame({column: ["x"], "v": [3]}))
    files = f"{versions.version}/**/part-*.parquet"
    assert pl.scan_parquet(files, hive_partitioning=True).filter(pl.col(column) == "x").collect().columns == [
        column,
        "v",
    ]
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?, hive_partitioning = true) ORDER BY v", [files])
        assert [name for name, *_ in found.description or ()] == [column, "v"]
        assert found.fetchall() == [("a/b", 1), ("x", 2), ("x", 3)]


def test_a_partition_column_of_any_name_is_stored(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append", partition_by=["a/b=c%"])
    for value in (1, 2):
        versions.run(pl.DataFrame({"a/b=c%": ["x=y"], "v": [value]}))
    assert versions.rows().rows() == [("x=y", 1), ("x=y", 2)]
    assert {path.parent.name for path in versions.parts} == {"a%2Fb%3Dc%25=x%3Dy"}


def test_times_take_the_finer_unit_without_loss(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append")
    for number, unit in enumerate(UNITS, start=1):
        rows = pl.DataFrame({"t": [date(2024, 1, number)]}).cast(pl.Datetime("us")).cast({"t": pl.Datetime(unit)})
        assert versions.run(rows) is not None, versions.failed
    assert versions.rows()["t"].dt.day().to_list() == [1, 2, 3]
    assert versions.rows().schema == {"t": pl.Datetime("ns")}
    assert versions.run(pl.DataFrame({"t": [date(3000, 1, 1)]}).cast(pl.Datetime("ms"))) is None
    assert versions.failed is not None
    assert versions.failed.error.code == "SCHEMA_CHANGED"
