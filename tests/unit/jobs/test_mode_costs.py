"""What modes cost and refuse: parts that do not change are links, wrong rows fail before anything is stored."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.polars_frame import PolarsFrame
from service.files import checksums
from service.steps.context import Context
from service.storages.parquet import ParquetStorage
from service.storages.parts import partitions, sizes
from tests.examples import examples
from tests.unit.jobs.versions import Versions


def numbers(low: int, high: int, value: float = 0.0) -> pl.DataFrame:
    return pl.DataFrame({"id": range(low, high)}).with_columns(value=pl.lit(value), text=pl.lit("x"))


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "SMALLEST", 100)
    monkeypatch.setattr(sizes, "LARGEST_MERGED", 100)


def test_an_append_writes_its_rows_and_links_the_others(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(numbers(0, 1000))
    before = versions.inodes()
    versions.run(numbers(1000, 1010))
    assert versions.inodes() | before == versions.inodes()
    assert sorted(versions.inodes()) == ["part-00000.parquet", "part-00001.parquet"]
    assert versions.rows().equals(numbers(0, 1010))
    versions.run(numbers(0, 0))
    assert versions.number == 2, "no rows are no change"


@pytest.mark.parametrize(
    "settings", [{}, {"mode": "append"}, {"mode": "merge", "key": "id"}, {"partition_by": ["text"]}], ids=str
)
def test_no_part_is_read_again_for_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    read: list[str] = []

    def reading(path: Path) -> str:
        read.append(path.name)
        return ""

    monkeypatch.setattr(checksums, "sha256", reading)
    versions = Versions(tmp_path, **settings)
    prepared = versions.run(numbers(0, 1000))
    assert prepared is not None
    assert not [name for name in read if name.endswith(".parquet")]
    for file in prepared.files:
        (path,) = tmp_path.rglob(file.name)
        assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_clustered_version_is_read_in_few_row_groups(tmp_path: Path) -> None:
    """A key is in one row group, and a hundredth of the keys in two at most; as they came, they are in all."""
    rows = numbers(0, 600_000).sample(fraction=1.0, shuffle=True, seed=15)
    touched = {}
    for name, settings in {"unordered": {}, "clustered": {"cluster_by": "id"}}.items():
        (tmp_path / name).mkdir()
        versions = Versions(tmp_path / name, **settings)
        prepared = versions.run(rows)
        assert prepared is not None
        (path,) = (tmp_path / name).rglob(prepared.files[0].name)
        sql = f"SELECT stats_min_value::BIGINT, stats_max_value::BIGINT FROM parquet_metadata('{path}')"
        groups = duckdb.connect().execute(f"{sql} WHERE path_in_schema = 'id'").fetchall()
        touched[name] = [
            sum(low <= last and first <= high for low, high in groups)
            for first, last in ((300_000, 300_000), (300_000, 305_999))
        ]
        assert len(groups) >= 4
    assert touched["clustered"][0] == 1
    assert touched["clustered"][1] <= 2
    assert min(touched["unordered"]) >= 4


def test_a_merge_writes_the_parts_with_changed_rows(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="merge", key="id")
    versions.run(numbers(0, 1000))
    before = versions.inodes()
    assert len(before) == 10
    versions.run(numbers(250, 260, 1.0))
    changed = {name for name, inode in versions.inodes().items() if before[name] != inode}
    assert changed == {"part-00002.parquet"}
    expected = pl.concat([numbers(0, 250), numbers(250, 260, 1.0), numbers(260, 1000)])
    assert versions.rows().equals(expected)
    assert (prepared := versions.run(numbers(200, 300).filter(pl.col("id") < 250))) is not None
    assert prepared.unchanged == 2


def test_rows_that_are_gone_from_a_full_batch_are_removed(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="merge", key="id", full=True, on_delete="remove")
    versions.run(numbers(0, 300))
    before = versions.inodes()
    versions.run(pl.concat([numbers(0, 100), numbers(250, 320)]))
    assert versions.rows()["id"].to_list() == [*range(100), *range(250, 320)]
    assert versions.inodes()["part-00000.parquet"] == before["part-00000.parquet"]
    versions.run(numbers(0, 0))
    assert versions.rows().equals(numbers(0, 0)), "a version without rows keeps its columns"
    versions.run(numbers(5, 6))
    assert versions.rows().equals(numbers(5, 6))


def test_a_null_in_the_key_fails_before_anything_is_stored(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="merge", key=["id", "value"])
    rows = pl.DataFrame({"id": [1, None, 3], "value": [1, 2, None]})
    assert versions.run(rows) is None
    assert versions.failed is not None
    assert "the key id, value is missing in 2 rows" in versions.failed.error.message
    assert versions.failed.error.details["field"] == "storage[0].key"


def test_the_last_row_of_a_key_wins_with_a_warning(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="merge", key="id")
    prepared = versions.run(pl.DataFrame({"id": [1, 2, 1, 1], "value": [1, 2, 3, 4]}))
    assert prepared is not None
    assert versions.rows().rows() == [(1, 4), (2, 2)]
    (warning,) = prepared.warnings
    assert (warning.code, warning.details) == ("duplicate_keys", {"rows": 2})


def test_many_small_parts_become_one(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(numbers(0, 1))
    for number in range(1, sizes.MOST_SMALL + 1):
        assert len(versions.parts) == number
        versions.run(numbers(number, number + 1))
    assert len(versions.parts) == 1
    assert versions.rows().equals(numbers(0, sizes.MOST_SMALL + 1))


# columns


@pytest.mark.parametrize("mode", [{"mode": "append"}, {"mode": "merge", "key": "id"}])
def test_columns_come_and_go(tmp_path: Path, mode: dict[str, Any]) -> None:
    versions = Versions(tmp_path, **mode)
    versions.run(pl.DataFrame({"id": [1], "old": ["a"]}))
    versions.run(pl.DataFrame({"new": [2.5], "id": [2]}))
    versions.run(pl.DataFrame({"id": [3], "old": ["c"], "new": [3.5]}))
    assert versions.rows().rows() == [(1, "a", None), (2, None, 2.5), (3, "c", 3.5)]
    schemas = {tuple(pl.read_parquet_schema(path).items()) for path in versions.parts}
    assert len(schemas) == 1, "all parts have the same columns"


TYPES = [
    (pl.Int8, pl.Int64, pl.Int64), (pl.UInt8, pl.Int8, pl.Int16), (pl.Int32, pl.Float64, pl.Float64),
    (pl.Float32, pl.Float64, pl.Float64), (pl.Int32, pl.Float32, pl.Float64), (pl.Int64, pl.Float64, pl.Float64),
    (pl.UInt64, pl.Int128, pl.Int128), (pl.Int64, pl.UInt64, None), (pl.Int64, pl.String, None),
    (pl.Date, pl.Datetime("us"), None), (pl.Datetime("us"), pl.Datetime("us", "UTC"), None),
]  # fmt: skip


@pytest.mark.parametrize(("before", "now", "united"), [*TYPES, *((b, a, c) for a, b, c in TYPES)])
def test_numbers_widen_and_others_are_refused(tmp_path: Path, before: Any, now: Any, united: Any) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(pl.DataFrame({"a": pl.Series([1]).cast(pl.Date if before == pl.Date else pl.Int64).cast(before)}))
    versions.run(pl.DataFrame({"a": pl.Series([2]).cast(pl.Date if now == pl.Date else pl.Int64).cast(now)}))
    if united is not None:
        assert versions.rows().schema == {"a": united}
        assert versions.rows()["a"].to_list() == [1, 2]
        return
    assert versions.failed is not None
    assert versions.failed.error.code == "SCHEMA_CHANGED"
    assert "the column 'a' is" in versions.failed.error.message
    assert versions.number == 1


@pytest.mark.parametrize(("before", "now"), [(2**53 + 1, 0.5), (0.5, 2**53 + 1)])
def test_a_number_that_a_float_would_round_is_refused(tmp_path: Path, before: Any, now: Any) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(pl.DataFrame({"a": [before]}))
    assert versions.run(pl.DataFrame({"a": [now]})) is None
    assert versions.failed is not None
    assert versions.failed.error.code == "SCHEMA_CHANGED"
    assert "1 of its values have no exact float64" in versions.failed.error.message


def test_a_column_without_values_has_no_type_of_its_own(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(pl.DataFrame({"id": [1], "a": pl.Series([None], dtype=pl.String)}))
    versions.run(pl.DataFrame({"id": [2], "a": [2.5]}))
    versions.run(pl.DataFrame({"id": [3], "a": pl.Series([None], dtype=pl.Boolean)}))
    assert versions.rows()["a"].to_list() == [None, 2.5, None]


def test_names_that_differ_in_case_are_refused(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append")
    versions.run(pl.DataFrame({"a": [1]}))
    assert versions.run(pl.DataFrame({"A": [1]})) is None
    assert versions.failed is not None
    assert versions.failed.error.code == "SCHEMA_CHANGED"


# partitions


def test_a_row_leaves_its_partition(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="merge", key="id", partition_by=["city"])
    versions.run(pl.DataFrame({"id": [1, 2, 3], "city": ["b", "a", "b"]}))
    assert sorted(versions.inodes()) == ["city=a/part-00000.parquet", "city=b/part-00000.parquet"]
    before = versions.inodes()
    versions.run(pl.DataFrame({"id": [1], "city": ["c"]}))
    assert versions.rows().rows() == [(2, "a"), (3, "b"), (1, "c")]
    assert versions.inodes()["city=a/part-00000.parquet"] == before["city=a/part-00000.parquet"]
    versions.run(pl.DataFrame({"id": [2], "city": ["b"]}))
    assert versions.rows().rows() == [(2, "b"), (3, "b"), (1, "c")], "in order of first appearance"


def test_readers_prune_by_folders(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append", partition_by=["city"])
    versions.run(pl.DataFrame({"id": [1, 2, 3], "city": ["a/b", None, "ä"]}))
    read = pl.scan_parquet(versions.version / "**/part-*.parquet", hive_partitioning=True)
    assert read.sort("id").collect().rows() == [(1, "a/b"), (2, None), (3, "ä")]


def test_too_many_partitions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "MOST", 10)
    versions = Versions(tmp_path, partition_by=["id"])
    assert versions.run(numbers(0, 11)) is None
    assert versions.failed is not None
    assert "a version has at most 10" in versions.failed.error.message
    assert versions.failed.error.details["field"] == "storage[0].partition_by"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"partition_by": ["value"]}, "the column 'value' is float64; partitions are named by"),
        ({"partition_by": {"id": "month"}}, "the column 'id' is int64; only dates and datetimes have a month"),
        ({"partition_by": ["idd"]}, "the data has no column 'idd'; did you mean 'id'?"),
        ({"cluster_by": ["idd"]}, "the data has no column 'idd'; did you mean 'id'?"),
        ({"mode": "merge", "key": "idd"}, "the data has no column 'idd'; did you mean 'id'?"),
    ],
)
def test_columns_that_do_not_fit_are_refused(tmp_path: Path, settings: dict[str, Any], text: str) -> None:
    versions = Versions(tmp_path, **settings)
    assert versions.run(numbers(0, 1)) is None
    assert versions.failed is not None
    assert text in versions.failed.error.message


def test_another_arrangement_keeps_the_rows(tmp_path: Path) -> None:
    versions = Versions(tmp_path, mode="append")
    rows = pl.DataFrame({"id": [3, 1, 2], "city": ["b", "a", "b"]})
    versions.run(rows)
    versions.settings = {"mode": "merge", "key": "id", "partition_by": ["city"], "cluster_by": "id"}
    versions.run(pl.DataFrame({"id": [3], "city": ["a"]}))
    assert versions.rows().rows() == [(1, "a"), (3, "a"), (2, "b")]
    versions.settings = {"mode": "append"}
    versions.run(pl.DataFrame({"id": [4], "city": ["c"]}))
    assert versions.rows().rows() == [(1, "a"), (3, "a"), (2, "b"), (4, "c")]
    assert all(path.parent == versions.version for path in versions.parts)


# equal rows


PLANS: list[Callable[[pl.DataFrame, Path], pl.LazyFrame]] = [
    lambda rows, folder: rows.lazy(),
    lambda rows, folder: pl.concat([rows[:1], rows[1:].rechunk()], rechunk=False).lazy(),
    lambda rows, folder: pl.concat([rows, rows]).lazy().with_row_index("i").filter(pl.col("i") < rows.height).drop("i"),
    lambda rows, folder: _stored(rows, folder, 1000),
    lambda rows, folder: _stored(rows, folder, 77).unique("index", keep="first", maintain_order=True),
]


def _stored(rows: pl.DataFrame, folder: Path, group: int) -> pl.LazyFrame:
    rows.write_parquet(folder / f"{group}.parquet", row_group_size=group)
    return pl.scan_parquet(folder / f"{group}.parquet")


@examples(25)
@given(st.integers(0, 40_000), st.integers(1, 3000), st.integers(0, 2**32))
def test_equal_rows_make_equal_files(rows: int, distinct: int, seed: int) -> None:
    """What ``unchanged`` rests on: the bytes of a part follow from its rows alone, not from how they were computed."""
    index = pl.int_range(rows, eager=True).alias("index")
    drawn = index.hash(seed) % distinct
    frame = pl.DataFrame(
        {
            "index": index, "float": drawn.cast(pl.Float64) / 7, "text": drawn.cast(pl.String),
            "null": drawn.cast(pl.Int64).set(drawn % 3 == 0, None), "yes": drawn % 2 == 0,
        }
    ).with_columns(list=pl.concat_list("index", "null"))  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sums = set()
        for place, plan in enumerate(PLANS):
            target = folder / f"{place}"
            target.mkdir()
            written = ParquetStorage().write(PolarsFrame(plan(frame, folder), target), target, Context("s", target))
            sums.add(written.files[0].sha256)
            assert hashlib.sha256((target / written.files[0].name).read_bytes()).hexdigest() == written.files[0].sha256
        assert len(sums) == 1
