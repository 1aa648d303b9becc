"""Malformed CSV rows that are tried again with other settings: those that become rows, and why the others do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.collectors.csv import CsvCollector
from service.collectors.csv_file import malformed_rows
from service.steps.context import CollectContext
from service.steps.report import Rejected
from tests.unit.collectors import file_source
from tests.unit.collectors.csv_source import read

BODY = b'id,zip,price\n1,00501,1.5\n2,"x"y,2\n3,4\n4,"5"",8\n5,00502,9\n'


def settings(**more: Any) -> CsvCollector:
    return CsvCollector(file_path="x.csv", on_malformed="quarantine", **more)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    _, ctx = read(tmp_path, BODY, on_malformed="quarantine")
    return ctx.folder / str(ctx.report().rejected[0].file)


def again(
    kept: Path, folder: Path, collector: CsvCollector
) -> tuple[pl.DataFrame, pl.DataFrame | None, CollectContext]:
    ctx = CollectContext("collectors[0]", folder / "again", source="shop")
    ctx.folder.mkdir()
    lf = collector.again(kept, ctx)
    file = ctx.report().rejected[0].file if ctx.report().rejected else None
    return lf.collect(), pl.read_parquet(ctx.folder / file) if file else None, ctx


def test_the_same_settings_refuse_the_same_rows(kept: Path, tmp_path: Path) -> None:
    rows, refused, ctx = again(kept, tmp_path, settings())
    assert rows.height == 0
    assert dict(rows.schema) == {"id": pl.Int64, "zip": pl.String, "price": pl.Float64}
    before = pl.read_parquet(kept)
    assert refused is not None
    assert refused.drop("_source").equals(before.drop("_source"))
    assert set(refused["_source"]) == {"shop"}
    assert ctx.report().rejected == (Rejected(3, "quarantine-collectors-0.parquet", "collectors[0]"),)
    assert malformed_rows.shape_of(ctx.folder / str(ctx.report().rejected[0].file)) == malformed_rows.shape_of(kept)


def test_quotes_that_are_plain_text_make_rows(kept: Path, tmp_path: Path) -> None:
    rows, refused, _ = again(kept, tmp_path, settings(quote_char=None))
    assert rows.rows() == [(2, '"x"y', 2.0), (4, '"5""', 8.0)]
    assert refused is not None
    assert refused["_rules"].to_list() == [
        [{"rule": "malformed", "column": None, "value": None, "message": "2 fields where 3 are expected"}]
    ]
    assert refused.select("_file", "_line", "_text").row(0)[1:] == (4, "3,4")


def test_types_nulls_and_columns_are_those_of_the_settings(kept: Path, tmp_path: Path) -> None:
    wanted = settings(quote_char=None, schema={"id": "string"}, null_values=["8"], columns=["price", "id"])
    rows, _, _ = again(kept, tmp_path, wanted)
    assert rows.rows() == [(2.0, "2"), (None, "4")]


def test_a_field_that_does_not_fit_keeps_its_row(kept: Path, tmp_path: Path) -> None:
    rows, refused, _ = again(kept, tmp_path, settings(quote_char=None, schema={"zip": "int64", "price": "int64"}))
    assert rows.height == 0
    assert refused is not None
    reasons = {row["_line"]: row["_rules"][0] for row in refused.iter_rows(named=True)}
    assert reasons[3] == {"rule": "malformed", "column": "zip", "value": '"x"y', "message": "is not int64"}
    assert reasons[5]["value"] == '"5""'


def test_rows_of_a_file_that_had_no_others_stay(tmp_path: Path) -> None:
    _, ctx = read(
        tmp_path, {"1.csv": b"a,b\n1,2\n3\n", "2.csv": b"b,c\n1,2\n4\n"}, file_path="*.csv", on_malformed="quarantine"
    )
    path = ctx.folder / str(ctx.report().rejected[0].file)
    shape = malformed_rows.shape_of(path)
    partly = malformed_rows.Shape({"1.csv": shape.columns["1.csv"]}, shape.types)
    lf = pl.read_parquet(path).lazy()
    malformed_rows.write_quarantine(lf, tmp_path / "partly.parquet", partly, ctx)
    rows, refused, _ = again(tmp_path / "partly.parquet", tmp_path, settings(separator=";", column_names=None))
    assert rows.height == 0
    assert refused is not None
    assert [r[0]["message"] for r in refused["_rules"].to_list()] == [
        "1 field where 2 are expected", "its file had no valid rows, so its columns are unknown",
    ]  # fmt: skip


def test_names_that_are_given_are_enough(kept: Path, tmp_path: Path) -> None:
    rows, _, _ = again(kept, tmp_path, settings(column_names=["id", "zip"]))
    assert rows.select("id", "zip", "price").rows() == [(3, "4", None)]


def test_bytes_that_were_no_text_make_no_row(tmp_path: Path) -> None:
    _, ctx = read(tmp_path, b"a,b\n1,x\n2,caf\xe9\n", on_malformed="quarantine")
    path = ctx.folder / str(ctx.report().rejected[0].file)
    assert pl.read_parquet(path)["_text"].to_list() == ["2,caf\ufffd"]
    rows, refused, _ = again(path, tmp_path, settings())
    assert rows.height == 0
    assert refused is not None
    assert refused["_line"].to_list() == [3]
    assert "was not stored; read the file again" in refused["_rules"][0][0]["message"]
    (tmp_path / "lossy").mkdir()
    rows, _, _ = again(path, tmp_path / "lossy", settings(encoding="utf-8-lossy"))
    assert rows.rows() == [(2, "caf\ufffd")]


def test_nothing_is_lost_when_rows_are_tried_again(tmp_path: Path) -> None:
    body = b'a,f,b,t\n1,1.5,true,x\n007,2,true,"q"z\n8,+2,true,"q"z\n9,3,1,"q"z\n10,4,false,"q"z\n'
    _, ctx = read(tmp_path, body, on_malformed="quarantine")
    path = ctx.folder / str(ctx.report().rejected[0].file)
    rows, refused, _ = again(path, tmp_path, settings(quote_char=None))
    assert rows.rows() == [(10, 4.0, False, '"q"z')]
    assert refused is not None
    assert [(r[0]["column"], r[0]["value"]) for r in refused["_rules"].to_list()] == [
        ("a", "007"),
        ("f", "+2"),
        ("b", "1"),
    ]


def test_short_rows_become_rows_by_padding(kept: Path, tmp_path: Path) -> None:
    padding = CsvCollector(file_path="x.csv", on_malformed="pad")
    rows, refused, _ = again(kept, tmp_path, padding)
    assert rows.rows() == [(3, "4", None)]
    assert refused is not None
    assert refused.height == 2


def test_rows_get_the_values_of_their_path_again(tmp_path: Path) -> None:
    files = {f"year={year}/x.csv": f"id\n1\n{year},0\n".encode() for year in (2023, 2024)}
    ctx = file_source.surroundings(tmp_path, files)
    config = {"file_path": "*/x.csv", "hive_partitioning": True, "on_malformed": "quarantine"}
    assert file_source.rows(ctx, "csv", **config).rows() == [(1, 2023), (1, 2024)]
    kept = ctx.folder / str(ctx.report().rejected[0].file)
    rows, _, _ = again(kept, tmp_path, settings(separator=";", decimal_comma=True, schema={"id": "float64"}))
    assert rows.select("id", "year").sort("year").rows() == [(2023.0, 2023), (2024.0, 2024)]
