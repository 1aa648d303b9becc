"""Unchanged runs: a run that makes the newest version again adds none, in every mode and arrangement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from service.jobs import unchanged
from service.storages.parts import sizes
from tests.unit.jobs.versions import Versions

ROWS = pl.DataFrame({"id": range(60), "city": ["a", "b", None] * 20, "value": [0.5, None, -0.0] * 20})
ARRANGED: list[dict[str, Any]] = [{}, {"partition_by": ["city"]}, {"cluster_by": ["value"]},
                                  {"partition_by": ["city"], "cluster_by": ["value"]}]  # fmt: skip
MERGE = {"mode": "merge", "key": "id"}


def number(versions: Versions, rows: pl.DataFrame) -> int | None:
    """The number of the version that a run over these rows made again; None if it made a new one."""
    files = sorted(path.name for path in versions.folder.iterdir() if path.name.startswith("v"))
    prepared = versions.run(rows)
    assert prepared is not None
    after = sorted(path.name for path in versions.folder.iterdir() if path.name.startswith("v"))
    assert (after == files) == (prepared.unchanged is not None)
    return prepared.unchanged


@pytest.mark.parametrize("arranged", ARRANGED, ids=str)
@pytest.mark.parametrize(
    ("mode", "batch", "other"),
    [
        ({"mode": "replace"}, ROWS, ROWS.head(59)),
        ({"mode": "append"}, ROWS.clear(), ROWS.head(1)),
        (MERGE, ROWS, ROWS.head(1).with_columns(value=pl.lit(7.5))),
        (MERGE, ROWS.head(7), ROWS.head(1).with_columns(city=pl.lit("b"))),
        (MERGE, ROWS.clear(), ROWS.head(1).with_columns(id=pl.lit(99, pl.Int64))),
        ({**MERGE, "full": True, "on_delete": "remove"}, ROWS, ROWS.head(59)),
    ],
    ids=["replace", "append nothing", "merge all", "merge some", "merge nothing", "merge and remove"],
)
def test_equal_rows_add_no_version(
    tmp_path: Path, mode: dict[str, Any], batch: pl.DataFrame, other: pl.DataFrame, arranged: dict[str, Any]
) -> None:
    versions = Versions(tmp_path, **mode, **arranged)
    assert number(versions, ROWS) is None
    assert number(versions, batch) == 1
    rows = versions.rows()
    assert number(versions, other) is None
    assert not versions.rows().equals(rows)
    assert number(versions, batch.clear() if mode["mode"] != "replace" and "full" not in mode else other) == 2


NESTED = ROWS.with_columns(
    nan=pl.when(pl.col("id") % 7 == 0).then(float("nan")), list=pl.concat_list("id", "value"), struct=pl.struct("city"),
    kind=pl.col("city").cast(pl.Categorical), cents=pl.col("value").cast(pl.Decimal(10, 2)),
)  # fmt: skip
MANY = pl.concat([NESTED] * 50)


@pytest.mark.parametrize(
    "written", [{"compression_level": 9}, {"compression": "lz4"}, {"row_group_size": 1000}, {"mode": "append"}], ids=str
)
def test_equal_rows_that_are_written_in_another_way_add_no_version(tmp_path: Path, written: dict[str, Any]) -> None:
    versions = Versions(tmp_path)
    assert number(versions, MANY) is None
    versions.settings = written
    assert number(versions, MANY.clear() if "mode" in written else MANY) == 1
    if "mode" not in written:
        changed = MANY.with_columns(value=pl.when(pl.int_range(pl.len()) == 2999).then(9.5).otherwise("value"))
        assert number(versions, changed) is None
        assert number(versions, changed) == 2


@pytest.mark.parametrize("arranged", ARRANGED[1:], ids=str)
def test_rows_that_came_in_another_order_and_are_stored_in_the_same_add_no_version(
    tmp_path: Path, arranged: dict[str, Any]
) -> None:
    versions = Versions(tmp_path, **arranged)
    assert number(versions, ROWS) is None
    columns = [column for named in arranged.values() for column in named]
    assert number(versions, ROWS.sort(columns, maintain_order=True)) == 1


def test_equal_rows_in_other_parts_add_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = Versions(tmp_path, mode="append")
    for place in range(5):
        assert number(versions, NESTED.slice(place * 12, 12)) is None
    monkeypatch.setattr(sizes, "MOST_SMALL", 3)
    assert number(versions, NESTED.clear()) == 5  # although the run wrote small parts together
    versions.settings = {"mode": "replace"}
    assert number(versions, NESTED) == 5
    assert number(versions, NESTED.with_columns(value=pl.col("value").fill_null(0.25))) is None


def test_files_that_are_written_alike_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = Versions(tmp_path)
    versions.run(ROWS)
    monkeypatch.delattr(unchanged, "_are_equal")
    assert number(versions, ROWS) == 1
    assert number(versions, ROWS.with_columns(value=pl.lit(1.5))) is None


def test_another_arrangement_of_equal_rows_is_a_change(tmp_path: Path) -> None:
    versions = Versions(tmp_path, **MERGE)
    number(versions, ROWS)
    versions.settings = {**MERGE, "partition_by": ["city"]}
    assert number(versions, ROWS) is None
    assert number(versions, ROWS) == 2


def test_the_settings_of_an_unchanged_run_are_checked(tmp_path: Path) -> None:
    versions = Versions(tmp_path, type="duckdb", primary_key="id")
    versions.run(ROWS)
    assert versions.base is not None
    versions.base = msgspec.structs.replace(versions.base, native=True)
    assert number(versions, ROWS) == 1
    versions.settings = {"type": "duckdb", "primary_key": "city"}
    assert versions.run(ROWS) is None
    assert versions.failed is not None
    assert "the primary key city is missing in 20 rows" in versions.failed.error.message
