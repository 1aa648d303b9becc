"""Bodies in other forms: packed without a word, in other encodings and dialects, and why some cannot be read."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow.lib as pa
import pytest

from tests.unit.collectors.api_source import failure, fetched
from tests.unit.network.site import Hit, Reply

BODIES = {"json": b'[{"a": 1}, {"a": 2}]', "ndjson": b'{"a": 1}\n{"a": 2}\n', "csv": b"a\n1\n2\n"}


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("packing", ["gzip", "zstd", "bz2", "two members"])
def test_a_packed_body_is_known_by_its_bytes(kind: str, packing: str, tmp_path: Path) -> None:
    body = BODIES[kind]
    packed = gzip.compress(body)
    if packing == "two members":
        packed = gzip.compress(body[:5]) + gzip.compress(body[5:])
    if packing in ("zstd", "bz2"):
        with pa.output_stream(sink := pa.BufferOutputStream(), compression=packing) as out:
            out.write(body)
        packed = sink.getvalue().to_pybytes()
    frame, _, _ = fetched(lambda hit: Reply(packed), tmp_path, response_format=kind)
    assert frame["a"].to_list() == [1, 2]


@pytest.mark.parametrize("body", [gzip.compress(BODIES["json"], mtime=0)[:-9], b"\x28\xb5\x2f\xfd" + b"x" * 20])
def test_a_damaged_one_is_named(body: bytes, tmp_path: Path) -> None:
    assert "the compressed answer" in failure(lambda hit: Reply(body), tmp_path).message


def test_a_bomb_is_bounded(tmp_path: Path) -> None:
    bomb = gzip.compress(b"[" + b" " * (40 << 20) + b"]")
    assert "more than 200 times its size" in failure(lambda hit: Reply(bomb), tmp_path).message


@pytest.mark.parametrize(
    ("body", "config", "rows"),
    [
        ("a;b\n1,5;x\n2;y", {"separator": ";", "decimal_comma": True}, [{"a": 1.5, "b": "x"}, {"a": 2.0, "b": "y"}]),
        ("a;b\n1,5;x", {"separator": ";", "decimal_comma": True, "schema": {"a": "decimal(5,2)"}}, None),
        ("a\tb\n1\t\n", {"separator": "\t"}, [{"a": 1, "b": None}]),
        ("a,b\n1,'x,y'\n", {"quote_char": "'"}, [{"a": 1, "b": "x,y"}]),
        ('a,b\n1,"x\n', {"quote_char": None}, [{"a": 1, "b": '"x'}]),
        ("1,x\n2,y\n", {"has_header": False, "column_names": ["n", "t"]}, [{"n": 1, "t": "x"}, {"n": 2, "t": "y"}]),
        ("old,names\n1,x\n", {"column_names": ["n", "t"]}, [{"n": 1, "t": "x"}]),
        ("made today\n\na,b\n1,x\n", {"skip_rows": 2}, [{"a": 1, "b": "x"}]),
        ("# hello\na,b\n# more\n1,x\n", {"comment_prefix": "#"}, [{"a": 1, "b": "x"}]),
        ("a,b\n-,n/a\n1,x\n", {"null_values": ["-", "n/a"]}, [{"a": None, "b": None}, {"a": 1, "b": "x"}]),
    ],
)
def test_csv_as_the_files_have_it(body: str, config: dict[str, Any], rows: Any, tmp_path: Path) -> None:
    frame, _, _ = fetched(lambda hit: Reply(body.encode()), tmp_path, response_format="csv", **config)
    if rows is None:
        assert [str(v) for v in frame["a"]] == ["1.50"]
    else:
        assert frame.to_dicts() == rows


@pytest.mark.parametrize("content_type", ["text/csv", "text/csv; charset=utf-8"])
def test_an_encoding_is_for_every_format(content_type: str, tmp_path: Path) -> None:
    bodies = {"csv": "a\né\n", "json": '[{"a": "é"}]', "ndjson": '{"a": "é"}\n'}
    for kind, body in bodies.items():
        reply = Reply(body.encode("latin-1"), headers={"content-type": content_type})
        frame, _, _ = fetched(_always(reply), tmp_path, response_format=kind, encoding="cp1252")
        assert frame["a"].to_list() == ["é"]
        frame, _, _ = fetched(_always(reply), tmp_path, response_format=kind, encoding="utf-8-lossy")
        assert frame["a"].to_list() == ["\ufffd"]


def _always(reply: Reply) -> Any:
    def answer(hit: Hit) -> Reply:
        return reply

    return answer


@pytest.mark.parametrize(
    ("kind", "body", "cause", "setting"),
    [
        ("json", b'[{"a": "\\ud83d"}]', "half of a surrogate pair", "encoding"),
        ("json", b'[{"a": "\\ude00\\ud83d"}]', "half of a surrogate pair", "encoding"),
        ("ndjson", b'{"a": 1}\n{"a": "\\ud83d x"}\n', "half of a surrogate pair", "encoding"),
        ("json", b'[{"a": 1e400}]', "1e400 at byte", "float64"),
        ("json", '[{"a": "é"}]'.encode("latin-1"), "not valid UTF-8", "encoding"),
        ("json", b'{"a": 1}\n{"a": 2}\n', "one JSON object per line", "response_format to ndjson"),
        ("ndjson", b'[\n {"a": 1},\n {"a": 2}\n]', "one JSON document", "response_format to json"),
        ("ndjson", b'{\n "items": []\n}', "one JSON document", "response_format to json"),
        ("csv", b"a;b\n1;2\n3;4\n", "each row has ';'", "separator"),
        ("csv", b"a;b\n1,5;2\n3,5;4\n", "';'", "separator"),
        ("csv", b"a\tb\n1\t2\n", "each row has '\\t'", "separator"),
        ("csv", "a,b\n1,é\n".encode("latin-1"), "not valid UTF-8", "encoding"),
        ("csv", b"a,b\n1,x\n2,\0\n", "line 3: a zero byte", "encoding"),
        ("json", b"<?xml version='1.0'?><rss/>", "an RSS feed (XML), not JSON", "rss"),
        ("json", b"<!doctype html><p>Log in", "an HTML page, not JSON", "HTML"),
        ("json", b'[{"a": NaN}]', "NaN at byte", "null"),
        ("json", b"PK\x03\x04...", "a zip archive", "zip"),
    ],
)
def test_a_body_that_cannot_be_read_names_cause_and_setting(
    kind: str, body: bytes, cause: str, setting: str, tmp_path: Path
) -> None:
    error = failure(lambda hit: Reply(body), tmp_path, response_format=kind)
    assert cause in error.message
    assert setting.lower() in error.message.lower()
    if setting.partition(" ")[0] in ("encoding", "response_format", "separator"):
        assert error.details["field"] == setting.partition(" ")[0]


def test_a_torn_line_is_not_taken_for_a_document(tmp_path: Path) -> None:
    answer = Reply(b'{"a": 1}\n{"a": 2')
    error = failure(lambda hit: answer, tmp_path, response_format="ndjson", retry={"max_attempts": 1})
    assert "line 2 is not valid JSON" in error.message
    assert "set response_format" not in error.message


def test_a_lone_surrogate_can_be_read(tmp_path: Path) -> None:
    body = b'[{"a": "x\\ud83d", "b": "\\ud83d\\ude00", "c": "\\\\ud83d"}]'
    frame, _, _ = fetched(lambda hit: Reply(body), tmp_path, encoding="utf-8-lossy")
    assert frame.to_dicts() == [{"a": "x\ufffd", "b": "\U0001f600", "c": "\\ud83d"}]


def test_one_column_with_semicolons_is_read_if_that_is_meant(tmp_path: Path) -> None:
    frame, _, _ = fetched(lambda hit: Reply(b"a;b\n1;2\n"), tmp_path, response_format="csv", separator=",")
    assert frame.to_dicts() == [{"a;b": "1;2"}]


def test_a_nested_key_and_one_of_its_flat_name_on_another_page_are_refused(tmp_path: Path) -> None:
    pages = {"1": b'[{"a": {"b": 1}}]', "2": b'[{"a_b": 2}]'}
    paging = {"type": "page", "page_param": "page"}
    error = failure(lambda hit: Reply(pages.get(hit.query["page"], b"[]")), tmp_path, pagination=paging)
    assert "page 2: flattening nested objects gives two columns the name 'a_b' (a.b and a_b)" in error.message
    assert error.details["field"] == "flatten"
