"""The parquet, json and pipeline collectors on real files."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import json
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow.lib as pa
import pytest

from service.collectors import json as json_collector
from service.collectors.records import line_ranges
from service.kit import errors
from service.steps.collector import Upstream
from service.steps.context import CollectContext, StoredVersion
from tests.unit.collectors.file_source import KINDS, collector, refusal, rows, surroundings


def parquet(folder: Path, **files: pl.DataFrame) -> CollectContext:
    ctx = surroundings(folder)
    for name, frame in files.items():
        frame.write_parquet(folder / "uploads" / f"{name}.parquet")
    return ctx


def test_parquet_files_unite_by_name(tmp_path: Path) -> None:
    ctx = parquet(
        tmp_path,
        a=pl.DataFrame({"id": [1, 2], "at": [date(2026, 1, 1), None]}),
        b=pl.DataFrame({"x": ["q"], "id": [2.5], "at": [datetime(2026, 1, 2, 3)]}),
    )
    found = rows(ctx, "parquet", file_path="*.parquet")
    assert found.rows() == [
        (1.0, datetime(2026, 1, 1), None), (2.0, None, None), (2.5, datetime(2026, 1, 2, 3), "q"),
    ]  # fmt: skip
    assert ctx.report().evidence == {"files": 2, "rows": 3}
    assert rows(ctx, "parquet", file_path="a.parquet", columns=["at"], schema={"at": "string"}).rows()[0] == (
        "2026-01-01",
    )


def test_parquet_decimals_stay_decimals(tmp_path: Path) -> None:
    ctx = parquet(
        tmp_path,
        a=pl.DataFrame({"m": pl.Series([Decimal("1.10")], dtype=pl.Decimal(9, 2))}),
        b=pl.DataFrame({"m": pl.Series([Decimal("12345678901234567.1234")], dtype=pl.Decimal(21, 4))}),
    )
    found = rows(ctx, "parquet", file_path="*.parquet")
    assert found.schema["m"] == pl.Decimal(21, 4)
    assert found["m"].to_list() == [Decimal("1.1000"), Decimal("12345678901234567.1234")]


def test_parquet_schema_reads_text_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    texts = {"d": ["2024-01-02"], "b": ["true"], "m": ["1.10"], "t": ["2024-01-02T03:04:05Z"], "i": ["7"], "f": [1.5]}
    ctx = parquet(tmp_path, a=pl.DataFrame(texts))
    schema = {"d": "date", "b": "boolean", "m": "decimal(9,2)", "t": "datetime[UTC]", "i": "int64", "f": "string"}
    found = rows(ctx, "parquet", file_path="*.parquet", schema=schema)
    assert found.row(0)[:3] == (date(2024, 1, 2), True, Decimal("1.10"))
    assert found.row(0)[4:] == (7, "1.5")
    assert found["t"].dtype == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("x", "int64", "schema.v|column 'v': x is not int64"),
        (1.5, "int64", "schema.v|column 'v': 1.5 is not int64"),
        (300, "int8", "schema.v|column 'v': 300 is not int8"),
    ],
)
def test_parquet_values_that_do_not_fit_are_named(value: object, kind: str, message: str, tmp_path: Path) -> None:
    ctx = parquet(tmp_path, a=pl.DataFrame({"v": [value]}))
    with pytest.raises(pl.exceptions.PolarsError, match=re.escape(message)):
        rows(ctx, "parquet", file_path="*.parquet", schema={"v": kind})


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_a_number_is_no_moment_without_a_unit(kind: str, tmp_path: Path) -> None:
    ctx = parquet(tmp_path, a=pl.DataFrame({"v": [1_700_000_000]}))
    (tmp_path / "uploads" / "a.json").write_text('[{"v": 1700000000}]')
    error = refusal(ctx, kind, file_path=f"a.{kind}", schema={"v": "datetime"})
    assert "column 'v': a number becomes a datetime only with" in error.message
    assert error.details["field"] == "schema.v"


def test_json_values_of_two_kinds_are_told_of(tmp_path: Path) -> None:
    ctx = parquet(tmp_path)
    (tmp_path / "uploads" / "x.json").write_text('{"a":1,"b":1}\n{"a":[1],"b":2}\n')
    assert rows(ctx, "json", file_path="x.json").rows() == [([1], 1), ([1], 2)]
    (warning,) = ctx.report().warnings
    assert warning.code == "mixed_types"
    assert "'a' differ in kind on x.json from line 1" in warning.message
    many = "[" + '{"a":1},' * 50_000 + '{"a":"x"}]'
    (tmp_path / "uploads" / "x.json").write_text(many)
    assert rows(ctx, "json", file_path="x.json").height == 50_001
    assert (
        "'a' are int64 on x.json from record 0, string on x.json from record 50000" in ctx.report().warnings[1].message
    )


@pytest.mark.parametrize(
    ("body", "config", "message", "field"),
    [
        (
            b'{"a":"x"}\n\n{"a":"\xff"}\n',
            {},
            "x.json: line 3: not a JSON object (the byte 0xFF is not UTF-8)",
            "encoding",
        ),
        (
            b'[{"a":"x"},{"a":"\xe9"}]',
            {},
            "x.json: record 1: not a JSON object (the byte 0xE9 is not UTF-8)",
            "encoding",
        ),
        (
            b'{"a":1}\n{"a":1e400}\n',
            {},
            "x.json: line 2: not a JSON object (the number 1e400 is out of range)",
            "file_path",
        ),
        (b'{"d":{"items":[{"a":1}]}}', {"records_path": "d.itms"}, "nothing at 'd.itms'", "records_path"),
    ],
)
def test_json_faults_are_named(body: bytes, config: dict[str, Any], message: str, field: str, tmp_path: Path) -> None:
    ctx = parquet(tmp_path)
    (tmp_path / "uploads" / "x.json").write_bytes(body)
    error = refusal(ctx, "json", file_path="x.json", **config)
    assert message in error.message
    assert error.details["field"] == field


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (1, date(2026, 1, 1), "int64 in a.parquet and date in b.parquet"),
        (1, [1], "int64 in a.parquet and list(int64) in b.parquet"),
        ("x", ["x"], "string in a.parquet and list(string) in b.parquet"),
    ],
)
def test_parquet_columns_that_nothing_holds_are_named(one: Any, other: Any, message: str, tmp_path: Path) -> None:
    ctx = parquet(tmp_path, a=pl.DataFrame({"id": [one]}), b=pl.DataFrame({"id": [other]}))
    error = refusal(ctx, "parquet", file_path="*.parquet")
    assert f"'id' is {message}" in error.message


@pytest.mark.parametrize(
    ("body", "config", "message"),
    [
        (b"not parquet", {}, "x.parquet: this is not a Parquet file"),
        (b"", {}, "x.parquet: this is not a Parquet file"),
        (b"PAR1" + bytes(40) + b"PAR1", {}, "x.parquet: this is not a Parquet file"),
        (None, {"columns": ["idd"]}, "no column 'idd' in the files; did you mean 'id'"),
        (None, {"schema": {"nix": "int64"}}, "no column 'nix'"),
    ],
)
def test_parquet_refusals(body: bytes | None, config: dict[str, Any], message: str, tmp_path: Path) -> None:
    ctx = parquet(tmp_path, x=pl.DataFrame({"id": [1]}))
    if body is not None:
        (tmp_path / "uploads" / "x.parquet").write_bytes(body)
    error = refusal(ctx, "parquet", file_path="x.parquet", **config)
    assert message in error.message
    assert str(tmp_path) not in error.message


@pytest.mark.parametrize(
    ("value", "dtype"), [(1.5, "int64"), (300, "int8"), (1_700_000_000, "datetime"), ("x", "int64")]
)
def test_parquet_values_that_do_not_fit_the_schema(value: Any, dtype: str, tmp_path: Path) -> None:
    ctx = parquet(tmp_path, x=pl.DataFrame({"id": [value]}))
    with pytest.raises((errors.Permanent, pl.exceptions.InvalidOperationError), match="column 'id'"):
        rows(ctx, "parquet", file_path="x.parquet", schema={"id": dtype})


LINES = b'{"id": 1, "a": {"b": "x"}}\n\n{"id": 2.5, "t": [1]}\r\n{"id": 3}'


@pytest.mark.parametrize(
    ("body", "config"),
    [
        (b'[{"id": 1, "a": {"b": "x"}}, {"id": 2.5, "t": [1]}, {"id": 3}]', {}),
        (b' {"n": 3, "rows": [{"id": 1, "a": {"b": "x"}}, {"id": 2.5, "t": [1]}, {"id": 3}]}', {}),
        (b'{"d": {"r": [{"id": 1, "a": {"b": "x"}}, {"id": 2.5, "t": [1]}, {"id": 3}]}}', {"records_path": "d.r"}),
        (LINES, {}),
        (LINES, {"format": "lines"}),
        (b"\xef\xbb\xbf" + LINES + b"\n", {}),
        (gzip.compress(LINES, mtime=0), {}),
        (bz2.compress(LINES), {}),
        (pa.compress(LINES, codec="zstd", asbytes=True), {}),
        (LINES.decode().encode("utf-16"), {}),
        (LINES.decode().encode("utf-16-le"), {"encoding": "utf-16-le"}),
    ],
)
def test_every_form_of_json(body: bytes, config: dict[str, Any], tmp_path: Path) -> None:
    found = rows(surroundings(tmp_path, {"x.json": body}), "json", file_path="x.json", **config)
    assert found.select("id", "a_b", "t").rows() == [(1.0, "x", None), (2.5, None, [1]), (3.0, None, None)]


def test_one_object_is_one_record_and_lines_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = surroundings(tmp_path, {"one.json": b'{\n "id": 1,\n "tags": ["a"]\n}', "line.json": b'{"id": 2}\n'})
    assert rows(ctx, "json", file_path=["one.json", "line.json"], schema={"id": "string"})["id"].to_list() == ["1", "2"]
    monkeypatch.setattr(line_ranges, "BATCH_BYTES", 50)
    body = "".join(json.dumps({"n": n, "pad": "x" * (n % 70)}) + "\n" for n in range(300)).encode()
    ctx = surroundings(tmp_path, {"many.json": body})
    assert rows(ctx, "json", file_path="many.json")["n"].to_list() == list(range(300))
    assert len(list(ctx.folder.glob("spool-*.parquet"))) > 20


@pytest.mark.parametrize(
    ("body", "config", "message"),
    [
        (b'{"id": 1}\n{"id": 2\n{"id": 3}\n', {}, "x.json: line 2: not a JSON object"),
        (b'{"id": 1}\n[2]\n', {}, "x.json: line 2: not a JSON object"),
        (b'\n{"id": 1}\n\n7\n', {"format": "lines"}, "x.json: line 4: not a JSON object"),
        (b'{"a": [{"x": 1}], "b": [{"x": 1}]}', {}, "several arrays (a, b)"),
        (b"[1, 2]", {}, "record 0 is a number"),
        (b"", {}, "empty, not JSON"),
        (b"{", {}, "not valid JSON"),
        (b'{"a": 1}', {"records_path": "b"}, "nothing at 'b'"),
        (b"PK\x03\x04", {}, "a zip archive"),
        (b'{"a": "\xff"}\n{"a": 1}\n', {"encoding": "ascii"}, "not valid ascii"),
    ],
)
def test_json_refusals_name_file_and_line(body: bytes, config: dict[str, Any], message: str, tmp_path: Path) -> None:
    error = refusal(surroundings(tmp_path, {"x.json": body}), "json", file_path="x.json", **config)
    assert message in error.message


def test_json_documents_are_bounded_and_empty_ones_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = surroundings(tmp_path, {"x.json": b"[]", "y.json": b'[{"id": 1}]'})
    assert rows(ctx, "json", file_path="*.json").rows() == [(1,)]
    assert [w.code for w in ctx.report().warnings] == ["empty_file"]
    monkeypatch.setattr(json_collector, "MAX_DOCUMENT_BYTES", 5)
    assert "one object a line" in refusal(ctx, "json", file_path="y.json").message


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("parquet", {"file_path": "s3://key:secret@b/k"}, "file_path"),
        ("parquet", {"file_path": ["a", "~/b"]}, "file_path[1]"),
        ("parquet", {"file_path": "a", "columns": ["x", "x"]}, "columns"),
        ("parquet", {"file_path": "a", "schema": {"x": "int65"}}, "schema.x"),
        ("json", {"file_path": "a", "format": "lines", "records_path": "x"}, "records_path"),
        ("json", {"file_path": "a", "encoding": "klingon"}, "encoding"),
        ("json", {"file_path": "a", "schema": {"x": "int65"}}, "schema.x"),
    ],
)
def test_problems(kind: str, config: dict[str, Any], field: str) -> None:
    assert [p.field for p in collector(kind, **config).problems()] == [field]


@pytest.mark.parametrize("kind", KINDS)
def test_examples(kind: str) -> None:
    assert list(msgspec.convert(KINDS[kind].EXAMPLE, KINDS[kind]).problems()) == []


def test_a_stored_version_is_scanned_as_it_lies(tmp_path: Path) -> None:
    ctx = parquet(tmp_path, a=pl.DataFrame({"id": [1, 2]}), b=pl.DataFrame({"id": [3]}))
    parts = tuple(tmp_path / "uploads" / f"{n}.parquet" for n in "ab")
    ctx = dataclasses.replace(ctx, stored=StoredVersion("orders", 4, parts, 3))
    assert collector("pipeline", name="orders", version=4).upstream() == Upstream("orders", 4)
    assert rows(ctx, "pipeline", name="orders")["id"].to_list() == [1, 2, 3]
    assert ctx.report().evidence == {"pipeline": "orders", "version": 4, "files": 2}
    absent = dataclasses.replace(ctx, stored=None)
    assert "no stored version of 'orders'" in refusal(absent, "pipeline", name="orders").message
