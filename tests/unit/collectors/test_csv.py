"""The csv collector on real files: what users have, and what would lose rows without a word."""

from __future__ import annotations

import bz2
import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow.lib as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from service.collectors.csv import CsvCollector
from service.kit import errors
from tests.examples import examples
from tests.unit.collectors.csv_source import FILE, REFUSED, collector, read


@pytest.mark.parametrize(
    ("name", "body", "config", "wanted"),
    [
        ("plain", b"a,b\n1,x\n2,y\n", {}, [(1, "x"), (2, "y")]),
        ("no last line end", b"a,b\n1,x\n2,y", {}, [(1, "x"), (2, "y")]),
        ("byte order mark", b"\xef\xbb\xbfa,b\n1,x\n", {}, [(1, "x")]),
        ("CRLF", b"a,b\r\n1,x\r\n2,y\r\n", {}, [(1, "x"), (2, "y")]),
        ("CR only", b"a,b\r1,x\r2,y\r", {}, [(1, "x"), (2, "y")]),
        ("UTF-16 with its mark", "a,b\n1,ö\n".encode("utf-16"), {}, [(1, "ö")]),
        ("UTF-16 without a mark", "a,b\n1,ö\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, [(1, "ö")]),
        ("UTF-16 unsaid", "a,b\n1,ö\n".encode("utf-16-le"), {}, REFUSED),
        ("latin-1", "a,b\n1,ö\n".encode("latin-1"), {"encoding": "latin-1"}, [(1, "ö")]),
        ("lossy", b"a,b\n1,\xff\n", {"encoding": "utf-8-lossy"}, [(1, "\ufffd")]),
        ("open quote", b'a,b\n1,"x\n2,y\n3,z\n', {}, REFUSED),
        ("open quote at the end", b'a,b\n1,x\n2,"y', {}, REFUSED),
        ("stray quote", b'a,b\n1,5" pipe\n2,y\n', {}, REFUSED),
        ("stray quote, message", b'a,b\n1,5" pipe\n2,y\n', {"quote_char": None}, [(1, '5" pipe'), (2, "y")]),
        ("quotes", b'a,b\n1,"x, ""y""\nz"\n2,y\n', {}, [(1, 'x, "y"\nz'), (2, "y")]),
        ("zero byte", b"a,b\n1,x\0y\n", {}, REFUSED),
        ("long row", b"a,b\n1,x\n2,y,z\n", {}, REFUSED),
        ("short row", b"a,b\n1,x\n2\n", {}, REFUSED),
        ("blank lines at the end", b"a,b\n1,x\n\n\n", {}, [(1, "x")]),
        ("CRLF blank lines at the end", b"a,b\r\n1,x\r\n\r\n", {}, [(1, "x")]),
        ("CRLF written as CR CRLF", b"a,b\r\r\n1,x\r\r\n2,y\r\r\n", {}, [(1, "x\r"), (2, "y\r")]),
        ("and blank lines at the end", b"a,b\r\n1,x\r\n2,y\r\r\n\r\n\n", {}, [(1, "x"), (2, "y\r")]),
        ("CR at the end", b"a,b\n1,x\n2,y\r\r", {}, [(1, "x"), (2, "y\r")]),
        ("CR as a blank line at the end", b"a,b\r\n1,x\r\n\r", {}, [(1, "x")]),
        ("header only", b"a,b\n", {}, []),
        ("empty", b"", {}, REFUSED),
        ("blank", b" \n\n", {}, REFUSED),
        ("quoted header over lines", b'"a\nx",b\n1,x\n', {}, [(1, "x")]),
        ("missing values", b'a,b\n,x\n2,\n3,""\n', {}, [(None, "x"), (2, None), (3, "")]),
        ("null values", b"a,b\n-,x\n2,n/a\n", {"null_values": ["-", "n/a"]}, [(None, "x"), (2, None)]),
        ("no header", b"1,x\n2,y\n", {"has_header": False}, [(1, "x"), (2, "y")]),
        ("lines to skip", b'it"s a\nreport\na,b\n1,x\n', {"skip_rows": 2}, [(1, "x")]),
        ("comments", b'# say "hi\na,b\n# c\n1,x\n', {"comment_prefix": "#"}, [(1, "x")]),
        ("semicolons", b"a;b\n1,5;x\n", {"separator": ";", "decimal_comma": True}, [(1.5, "x")]),
        ("tabs", b"a\tb\n1\tx\n", {"separator": "\t"}, [(1, "x")]),
        ("gzip", gzip.compress(b"a,b\n1,x\n", mtime=0), {}, [(1, "x")]),
        (
            "gzip, two members",
            gzip.compress(b"a,b\n1,x\n", mtime=0) + gzip.compress(b"2,y\n", mtime=0),
            {},
            [(1, "x"), (2, "y")],
        ),
        ("zstd", pa.compress(b"a,b\n1,x\n", codec="zstd", asbytes=True), {}, [(1, "x")]),
        ("gzip of UTF-16", gzip.compress("a,b\n1,ö\n".encode("utf-16"), mtime=0), {}, [(1, "ö")]),
        ("bzip2", bz2.compress(b"a,b\n1,x\n"), {}, [(1, "x")]),
        ("torn bzip2", bz2.compress(b"a,b\n1,x\n" * 999)[:-20], {}, REFUSED),
        ("torn gzip", gzip.compress(b"a,b\n1,x\n" * 999, mtime=0)[:-20], {}, REFUSED),
        ("zip", b"PK\x03\x04....", {}, REFUSED),
        ("Parquet", b"PAR1....", {}, REFUSED),
        ("wrong codec", b"a,b\n1,\xff\n", {"encoding": "ascii"}, REFUSED),
    ],
)
def test_requirement_50_every_row_or_an_error(
    name: str, body: bytes, config: dict[str, Any], wanted: list[tuple[Any, ...]] | str, tmp_path: Path
) -> None:
    if wanted == REFUSED:
        with pytest.raises(errors.Permanent) as caught:
            read(tmp_path, body, **config)
        assert caught.value.message.startswith(f"{FILE}: ")
        assert caught.value.details["step"] == "collectors[0]"
        return
    rows, _ = read(tmp_path, body, **config)
    assert rows.rows() == wanted


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"a,b\n1,x\n2,y,z\n", "line 3: 3 fields where 2 are expected"),
        (b"a,b\n1,x\n2\n3,z\n", "line 3: 1 field where 2 are expected"),
        (b'a,b\n1,x\n2,"y\n3,z\n', "line 3: a quoted field begins here and does not end"),
        (b'a,b\n1,x\n2,"y"z"\n', "line 3: text follows the end of a quoted field"),
        (b'a,b\n1,"x"\n2,"y",z\n', "line 3: 3 fields where 2 are expected"),
        (b"", "empty"),
        (b"a,b\n1,x\n2,\0\n", "line 3: a zero byte"),
    ],
)
def test_errors_name_place_and_cause(body: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match=message):
        read(tmp_path, body)


def test_bytes_that_are_no_utf8_are_named_by_line(tmp_path: Path) -> None:
    message = "data.csv: line 3: the byte 0xE9 is not UTF-8; set encoding"
    with pytest.raises(errors.Permanent, match=message) as caught:
        read(tmp_path, b"a,b\n1,x\n2,caf\xe9\n")
    assert caught.value.details["field"] == "encoding"


@pytest.mark.parametrize("rows", [1, 40_000, pytest.param(400_000, marks=pytest.mark.slow)])
def test_bytes_that_are_no_utf8_are_malformed(rows: int, tmp_path: Path) -> None:
    body = b"a,b\n" + b"1,x\n" * rows + b"2,caf\xe9\n" + b"3,\xc3\xa9\n" * rows
    found, ctx = read(tmp_path, body, on_malformed="quarantine", infer_rows=200)
    assert (found.height, set(found["b"])) == (2 * rows, {"x", "é"})
    assert pl.read_parquet(ctx.folder / str(ctx.report().rejected[0].file))["_line"].to_list() == [rows + 2]
    lossy, _ = read(tmp_path, body + b"4\n", on_malformed="skip", infer_rows=200, encoding="utf-8-lossy")
    assert (lossy.height, lossy["b"][rows]) == (2 * rows + 1, "caf\ufffd")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", "-2", ""], pl.Int64),
        (["1", "2.5"], pl.Float64),
        (["1e3", "nan", ".5"], pl.Float64),
        (["00501", "10001"], pl.String),
        (["+491511", "1"], pl.String),
        (["-0", "1"], pl.String),
        (["007.5"], pl.String),
        (["9223372036854775807"], pl.Int64),
        (["9223372036854775808"], pl.String),
        (["12345678901234567", "1.5"], pl.String),
        (["0.1234567890123456789"], pl.String),
        (["nan", "inf"], pl.String),
        (["true", "FALSE", ""], pl.Boolean),
        (["true", "1"], pl.String),
        (["2024-01-02"], pl.String),
        (["", ""], pl.String),
        ([" 1", "2"], pl.String),
        (["0x10"], pl.String),
        (["1_000"], pl.String),
    ],
)
def test_inference_loses_nothing(values: Sequence[str], dtype: pl.DataType, tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "k,v\n" + "".join(f"r,{v}\n" for v in values))
    assert rows.schema["v"] == dtype
    if dtype == pl.String:
        assert rows["v"].to_list() == [v or None for v in values]


@pytest.mark.parametrize(
    ("usual", "late"),
    [
        ("7", "00501"),
        ("1.5", "00501"),
        ("1.5", "-007.5"),
        ("1.5", "+1.5"),
        ("1.5", "12345678901234567"),
        ("1.5", "0.1234567890123456789"),
        ("1.5", "1e400"),
        ("1.5", " 1.5"),
        ("true", "1"),
        ("true", "T"),
    ],
)
def test_what_the_sample_did_not_show_is_not_lost(usual: str, late: str, tmp_path: Path) -> None:
    body = "k,v\n" + f"r,{usual}\n" * 300_000 + f"r,{late}\n" + f"r,{usual}\n" * 300_011
    with pytest.raises(pl.exceptions.ComputeError, match=re.escape(late)):
        read(tmp_path, body, infer_rows=200)


@pytest.mark.parametrize(
    "late", ["0", "0.5", "-0.25", "123456789012345", "1.2345678901234567", "1e300", "nan", '""', ""]
)
def test_what_a_float_holds_may_come_late(late: str, tmp_path: Path) -> None:
    body = "k,v\n" + "r,1.5\n" * 300_000 + f"s,{late}\n" + "r,1.5\n" * 300_011
    rows, _ = read(tmp_path, body, infer_rows=200)
    (value,) = rows.filter(pl.col("k") == "s")["v"]
    assert value is None if late.strip('"') == "" else str(value) == str(float(late))


def test_an_empty_field_in_quotes_is_a_missing_number_and_an_empty_text(tmp_path: Path) -> None:
    body = '"n","f","b","d","t"\n"1","1.5","true","2024-01-02","x"\n"","","","",""\n'
    rows, _ = read(tmp_path, body, try_parse_dates=True)
    assert rows.dtypes == [pl.Int64, pl.Float64, pl.Boolean, pl.Date, pl.String]
    assert rows.row(1) == (None, None, None, None, "")
    rows, _ = read(tmp_path, body, schema={"n": "int32", "f": "decimal(9,2)", "d": "datetime"})
    assert rows.row(1)[:4] == (None, None, None, None)


def test_dates_are_inferred_only_when_asked(tmp_path: Path) -> None:
    body = "d,t,z\n2024-01-02,2024-01-02 03:04:05,2024-01-02T03:04:05+02:00\n"
    rows, _ = read(tmp_path, body, try_parse_dates=True)
    assert rows.dtypes == [pl.Date, pl.Datetime("us"), pl.Datetime("us")]
    assert str(rows["z"][0]) == "2024-01-02 01:04:05"


BIG = [str(i % 1000) for i in range(400_000)]


@pytest.mark.parametrize("late", ["abc", "00501", "1.5"])
def test_a_sample_that_misleads_fails_with_column_file_and_hint(late: str, tmp_path: Path) -> None:
    values = list(BIG)
    values[230_000] = late  # between the blocks of the sample
    with pytest.raises(pl.exceptions.PolarsError) as caught:
        read(tmp_path, "k,v\n" + "".join(f"row,{v}\n" for v in values), infer_rows=1000)
    for part in ("'v'", late, FILE, "under schema"):
        assert part in str(caught.value)


def test_the_sample_comes_from_all_over_the_file(tmp_path: Path) -> None:
    values = list(BIG)
    values[200_000:220_000] = ["00501"] * 20_000
    body = "k,v\n" + "".join(f'"row, ""{i}"" and\nmore",{v}\n' for i, v in enumerate(values))
    rows, _ = read(tmp_path, body)
    assert rows.schema["v"] == pl.String
    assert rows["v"].to_list() == values


def test_schema_wins_and_a_misfit_names_its_column(tmp_path: Path) -> None:
    body = "id;at;price;ok;kind\n00501;2024-05-01;1,50;yes;a\n"
    schema = {"id": "string", "at": "date", "price": "decimal(10,2)", "ok": "boolean", "kind": "enum(a,b)"}
    rows, _ = read(tmp_path, body, separator=";", decimal_comma=True, schema=schema)
    assert [str(v) for v in rows.row(0)] == ["00501", "2024-05-01", "1.50", "True", "a"]
    with pytest.raises(
        pl.exceptions.PolarsError, match=rf"'id'.*x1 does not fit int64 \(in {FILE}: schema\.id says int64"
    ):
        read(tmp_path, "id\nx1\n", schema={"id": "int64"})


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"schema": {"ida": "int64"}}, "schema.ida", "did you mean 'id'"),
        ({"columns": ["nix"]}, "columns", "there are id, name"),
        ({"column_names": ["a"]}, "column_names", "has 2 columns"),
        ({"file_path": "gone.csv"}, "file_path", "no file 'gone.csv'"),
        ({"file_path": [FILE, "gone.csv"]}, "file_path[1]", "no file 'gone.csv'"),
    ],
)
def test_settings_that_the_files_contradict(config: dict[str, Any], field: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent) as caught:
        read(tmp_path, {FILE: b"id,name\n1,x\n"}, **config)
    assert caught.value.details["field"] == field
    assert message in caught.value.message


def test_several_files_unite_by_name(tmp_path: Path) -> None:
    files = {"a1.csv": b"id,x\n1,2\n", "a2.csv": b"y,id\nq,00501\n", "a3.csv": b"", "a4.csv": b"id\n"}
    rows, ctx = read(tmp_path, files, file_path="a*.csv")
    assert rows.to_dicts() == [{"id": "1", "x": 2, "y": None}, {"id": "00501", "x": None, "y": "q"}]
    assert [w.code for w in ctx.report().warnings] == ["empty_file"]
    listed, _ = read(tmp_path, files, file_path=["a2.csv", "a1.csv", "a2.csv"], columns=["id"])
    assert listed.rows() == [("00501",), ("1",)]


def test_names_that_repeat_or_are_missing(tmp_path: Path) -> None:
    rows, ctx = read(tmp_path, b"a,,a,a_2\n1,2,3,4\n")
    assert rows.to_dicts() == [{"a": 1, "column_2": 2, "a_3": 3, "a_2": 4}]
    assert [w.code for w in ctx.report().warnings] == ["duplicate_column"]
    renamed, ctx = read(tmp_path, b"a,,a\n1,2,3\n", column_names=["x", "y", "z"], columns=["z", "x"])
    assert renamed.to_dicts() == [{"z": 3, "x": 1}]
    assert ctx.report().warnings == ()


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"file_path": "http://x/y.csv"}, "file_path"),
        ({"file_path": ["a.csv", "s3://x/../y.csv"]}, "file_path[1]"),
        ({"file_path": "~/x.csv"}, "file_path"),
        ({"separator": '"'}, "quote_char"),
        ({"separator": "\n"}, "separator"),
        ({"decimal_comma": True}, "decimal_comma"),
        ({"encoding": "klingon"}, "encoding"),
        ({"encoding": "zlib"}, "encoding"),
        ({"column_names": ["a", "a"]}, "column_names"),
        ({"columns": ["a", "a"]}, "columns"),
        ({"schema": {"a": "int65"}}, "schema.a"),
        ({"schema": {"a": "list(int64)"}}, "schema.a"),
    ],
)
def test_problems_are_found_without_a_file(config: dict[str, Any], field: str) -> None:
    assert [p.field for p in collector(**config).problems()] == [field]


@pytest.mark.parametrize(
    "config",
    [{"on_malformed": "ignore"}, {"separator": "||"}, {"separator": "ö"}, {"file_path": []}, {"skip_rows": -1}],
)
def test_what_is_not_built_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        collector(**config)


def test_the_example_is_valid() -> None:
    assert list(msgspec.convert(CsvCollector.EXAMPLE, CsvCollector).problems()) == []


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


@examples(40, suppress=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.tuples(CELL, CELL), max_size=8), eol=st.sampled_from(["\n", "\r\n"]))
def test_any_cells_come_back(cells: list[tuple[str, str]], eol: str, tmp_path: Path) -> None:
    quoted = [['"' + c.replace('"', '""') + '"' for c in row] for row in cells]
    body = eol.join(["a,b", *(",".join(row) for row in quoted)]) + eol
    rows, _ = read(tmp_path, body, infer_rows=0)
    assert rows.rows() == cells
