"""How CSV files of unknown origin are written, guessed and then read back by the csv collector."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.kit import errors
from service.probing import dialects
from service.probing.finding import Probe
from tests.unit.probing.probes import collected, looked, refused

NAMES = ["id", "place", "price", "day", "note"]
ROWS = [[str(i), f"Köln {i}", f"{i}.5", f"2026-01-{i:02d}", 'a "b", c; d' if i % 3 else ""] for i in range(1, 29)]


def text(separator: str = ",", quote: str = '"', *, header: bool = True, comma: bool = False) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quotechar=quote, lineterminator="\n")
    rows = [[c.replace(".", ",") if i == 2 and comma else c for i, c in enumerate(row)] for row in ROWS]
    writer.writerows([NAMES, *rows] if header else rows)
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("header", [True, False])
def test_what_is_proposed_reads_every_row(separator: str, encoding: str, header: bool, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(text(separator, header=header).encode(encoding))
    found = looked(tmp_path / "probe", tmp_path, file_path="x.csv")
    assert found.format == "csv"
    rows = collected(found.collector, tmp_path / "run", tmp_path)
    assert rows.rows()[0][1:] == ("Köln 1", 1.5, "2026-01-01", 'a "b", c; d')
    assert rows.height == found.sample_rows == len(ROWS)
    assert (rows.columns == NAMES) is header
    wanted = {"type", "file_path"} | ({"separator"} if separator != "," else set())
    wanted |= {"encoding"} if encoding in ("cp1252", "utf-16") else set()
    assert set(found.collector or {}) == wanted | (set() if header else {"has_header"})


@pytest.mark.parametrize(
    ("body", "settings"),
    [
        (text(";", comma=True), {"separator": ";", "decimal_comma": True}),
        (text(quote="'"), {"quote_char": "'"}),
        ("Report\nof 2026\n\nid,name,price\n1,a,2.5\n2,b,3.5\n3,c,4.5\n", {"skip_rows": 3}),
        ("Report\n\n# by us\nid|v\n1|2\n# and\n2|3\n", {"separator": "|", "comment_prefix": "#", "skip_rows": 3}),
        ("Report\n\nid;v\n1;2\n", {"separator": ";", "skip_rows": 2}),
        ("# by us\nid|v\n1|2\n# and\n2|3\n", {"separator": "|", "comment_prefix": "#"}),
        ("Country,2019,2020,2021\nA,1,2,3\nB,4,5,6\n", {}),
        ("name,value,value\na,1,2\nb,3,4\n", {}),
        ("x,x,y\nz,x,y\ny,y,x\n", {"has_header": False}),
        ("name,city\nAda,London\nBob,Paris\nCid,Rome\n", {}),
        ("4,5.0,6\n7,8.5,9\n", {"has_header": False}),
        ("id,name\n", {}),
        ("only\none\ncolumn\nhere\n", {}),
        ("a,b\r\n1,2\r\n3,4\r\n", {}),
        ("a;b\r1;2\r3;4\r", {"separator": ";"}),
        ("v,code,made,eol\n1.1,buzz,1993,1996\nx,sid,1993\n2,rex,1996\n", {"on_malformed": "pad"}),
        ("a,b,c\n1,2\n3,4\n", {"on_malformed": "pad"}),
        ("A,B,C\n1,4,7,\n2,5,8,\n", {"trailing_delimiter": True}),
        ("A,B,C,\n1,4,7,\n2,5,8,\n", {"trailing_delimiter": True}),
        ("Report,by,us\nx,y\n1,2\n3,4\n", {"skip_rows": 1}),
        (
            "# by zones\n#\n#code\tat\tTZ\t\tcomments\nAD\t+4230+00131\tEurope/Andorra\nAQ\t-7750+16636\tCasey\tIce\n",
            {
                "separator": "\t",
                "comment_prefix": "#",
                "has_header": False,
                "on_malformed": "pad",
                "column_names": ["code", "at", "TZ", "comments"],
            },
        ),
        ("#id,v\n1,2\n3,4\n", {"comment_prefix": "#", "has_header": False, "column_names": ["id", "v"]}),
        ("sep=;\r\na;b\r\n1;2\r\n", {"separator": ";", "skip_rows": 1}),
    ],
)
def test_settings(body: str, settings: dict[str, Any], tmp_path: Path) -> None:
    assert dialects.guess(body.encode(), whole=True).settings == settings
    (tmp_path / "x.csv").write_text(body, newline="")
    found = looked(tmp_path / "probe", tmp_path, file_path="x.csv")
    assert found.collector == {"type": "csv", "file_path": "x.csv", **settings}


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1252", "naïve"), ("cp1252", "São Paulo"), ("cp1252", "Köln"), ("cp1252", "señor año"),
        ("cp1252", "café, déjà vu, garçon, 5 €"), ("cp1252", "Ærø Åse Søren"), ("cp1252", "“quoted” – text’s"),
        ("cp1250", "Łódź Kraków Gdańsk"), ("cp1250", "Škoda čeština žena"), ("cp1251", "Москва Привет мир"),
        ("koi8_r", "Москва Привет мир, это текст"), ("cp1253", "Αθήνα Ελλάδα"), ("cp1254", "İstanbul Şişli ağaç ığdır"),
        ("cp932", "東京 日本語テキスト"), ("gb18030", "北京 中文文本"), ("cp949", "서울 한국어"),
        ("cp1256", "مرحبا العالم"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [1, 200])
def test_an_encoding_is_told_by_few_words(encoding: str, words: str, rows: int) -> None:
    body = ("id;city;price\n" + "".join(f"{i};{words};{i}.50\n" for i in range(rows))).encode(encoding)
    found = dialects.guess(body, whole=True).settings["encoding"]
    assert body.decode(found) == body.decode(encoding)


def test_bytes_that_no_encoding_explains() -> None:
    guess = dialects.guess(b"a,b\n1,\x81\x8d\x8f\x90\x9d\xff\xfe\x00\xff\n" * 3, whole=True)
    assert guess.settings.get("encoding") is not None
    assert any("UTF-8" in note for note in guess.notes)


def test_a_character_cut_in_two_is_no_other_encoding() -> None:
    body = text().encode()
    cut = body[: body.rfind("ö".encode()) + 1]
    assert dialects.guess(cut, whole=False).settings == {}
    assert "encoding" in dialects.guess(cut, whole=True).settings


def test_malformed_rows_are_kept_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n1,2,3\n4,5\n")
    found = looked(tmp_path / "probe", tmp_path, file_path="x.csv")
    assert found.collector == {"type": "csv", "file_path": "x.csv", "on_malformed": "quarantine"}
    assert any("x.csv: line 3: 3 fields where 2 are expected" in note for note in found.notes)


def test_a_large_file_is_looked_at_only_where_it_begins(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,v\n" + "".join(f"{i:07d},abc\n" for i in range(700_000)))
    found = looked(tmp_path / "probe", tmp_path, file_path="x.csv")
    assert found.sample_rows == 10_000
    assert [c.type for c in found.columns] == ["string", "string"]  # leading zeros
    assert (tmp_path / "probe" / "head" / "x.csv").stat().st_size < 5_000_000


def test_other_files(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1, 2, 3], "updated_at": ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", None]})
    rows.write_parquet(tmp_path / "x.parquet")
    rows.write_ndjson(tmp_path / "x.ndjson")
    (tmp_path / "x.json").write_text('{"meta": {"n": 3}, "out": {"rows": ' + rows.write_json() + "}}")
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(rows.write_csv().encode()))
    for number, (name, format, more) in enumerate(
        [
            ("x.parquet", "parquet", {}), ("x.ndjson", "ndjson", {}), ("x.csv.gz", "csv", {}),
            ("x.json", "json", {"records_path": "out.rows"}),
        ]
    ):  # fmt: skip
        found = looked(tmp_path / f"probe{number}", tmp_path, file_path=name)
        kind = "json" if format == "ndjson" else format
        assert (found.format, found.collector) == (format, {"type": kind, "file_path": name, **more})
        assert [k.columns for k in found.primary_keys] == [["id"]]
        assert collected(found.collector, tmp_path / f"run{number}", tmp_path).height == 3
    found = looked(tmp_path / "globbed", tmp_path, file_path="x.[jnp]*")
    assert found.notes == ["3 files match; x.json was probed"]


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("x.csv", b"", "it is empty"), ("x.html", b"<!doctype html><p>x", "give a url"), ("x.xml", b"<a/>", "XML"),
        ("x.zip", b"PK\x03\x04abc", "zip archive"), ("x.bin", bytes(range(256)), "not text"),
        ("x.json", b'{"a": [1', "not valid JSON"), ("x.json", b'{"rows": [[1, 2]]}', "are arrays"),
        ("x.json", b"[1, 2]", "not an object"), ("x.csv.gz", b"\x1f\x8b\x08broken", "cannot be read"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(name: str, body: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(body)
    error = refused(tmp_path / "probe", tmp_path, file_path=name)
    assert said in error.message
    assert error.message.startswith(name)
    assert error.details == {"step": "probe", "field": "file_path"}


def test_files_outside_the_roots_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (tmp_path / "inside" / "link.csv").symlink_to(tmp_path / "secret.csv")
    for number, name in enumerate((str(tmp_path / "secret.csv"), "link.csv", "*.csv")):
        error = refused(tmp_path / f"probe{number}", tmp_path / "inside", file_path=name)
        assert "not below the uploads or a configured file root" in error.message


def test_a_path_that_leaves_the_roots_is_refused_before_it_is_looked_for() -> None:
    problems = list(Probe(file_path="../secret.csv").problems())
    assert [p.field for p in problems] == ["file_path"]
    assert "leads out of the uploads and file roots" in problems[0].message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
@pytest.mark.parametrize("body", ['[{"a": 1}, {"a": 2}]', '{"a": 1}\n{"a": 2}\n'])
def test_json_in_another_width_is_json(body: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(body.encode(encoding))
    found = looked(tmp_path / "probe", tmp_path, file_path="x.json")
    assert found.collector == {"type": "json", "file_path": "x.json"}
    assert found.sample_rows == 2


def test_settings_that_were_chosen_are_used_in_place_of_those_found(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("Name;Preis\nŁódź;1,5\nKraków;2,5\n".encode("cp1250"))
    chosen = {"encoding": "cp1250", "has_header": False, "decimal_comma": None}
    found = looked(tmp_path / "probe", tmp_path, file_path="x.csv", collector=chosen)
    assert found.collector is not None
    assert found.collector | {"encoding": "cp1250", "has_header": False, "separator": ";"} == found.collector
    assert "decimal_comma" not in found.collector
    assert found.columns[0].samples == ["Name", "Łódź", "Kraków"]


def test_chosen_records_of_a_document(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": [{"x": 1}, {"x": 2}], "b": [{"y": 1}]}')
    found = looked(tmp_path / "probe", tmp_path, file_path="x.json", collector={"records_path": "b"})
    assert (found.records_path, [column.name for column in found.columns]) == ("b", ["y"])


@pytest.mark.parametrize(
    ("chosen", "field"), [({"encoding": "klingon"}, "collector.encoding"), ({"separat": ";"}, "collector.separat")]
)
def test_chosen_settings_that_are_wrong_are_named(chosen: dict[str, str], field: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a;b\n1;2\n")
    with pytest.raises(errors.Invalid) as caught:
        looked(tmp_path / "probe", tmp_path, file_path="x.csv", collector=chosen)
    assert caught.value.details["field"] == field
