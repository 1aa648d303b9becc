"""CSV from an API: every row is read rightly, or the answer is refused with the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.collectors.api_source import failure, fetched
from tests.unit.network.site import Answers, Hit, Reply


def saying(body: str | bytes, content_type: str = "text/csv") -> Answers:
    sent = body if isinstance(body, bytes) else body.encode()
    return lambda hit: Reply(sent, headers={"content-type": content_type})


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("a,b\r\n1,x\r\n2,y", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ("a,b\r1,x\r2,y\r", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ("\ufeffa,b\n1,x\n", [{"a": 1, "b": "x"}]),
        ("a,b\n1,\u00e9\n".encode("utf-16"), [{"a": 1, "b": "\u00e9"}]),
        ("a,b\n\n1,x\n\n\n2,y\n\n", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ("a\n1\n\n3\n", [{"a": 1}, {"a": None}, {"a": 3}]),
        ('a,b\n1,"x\n\n, ""y"""\n', [{"a": 1, "b": 'x\n\n, "y"'}]),
        ("a,a,\n1,2,3\n", [{"a": 1, "a_2": 2, "column_3": 3}]),
        ("00501,<b>\n1,2\n", [{"00501": 1, "<b>": 2}]),
    ],
)
def test_every_row_is_read(body: str | bytes, wanted: list[dict[str, Any]], tmp_path: Path) -> None:
    frame, _, ctx = fetched(saying(body), tmp_path, response_format="csv")
    assert frame.to_dicts() == wanted
    assert ctx.report().evidence["rows"] == len(wanted)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("a,b\n1,2\n3\n4,5\n", "page 1: line 3: 1 field where 2 are expected"),
        ("a,b\n1\n3,4,5\n", "page 1: line 2: 1 field where 2 are expected"),
        ("a,b\n1,2\n3,4,5\n", "page 1: line 3: 3 fields where 2 are expected"),
        ('a,b\n1,"x\n2,y\n', "page 1: line 2: a quoted field begins here and does not end"),
        ('a,b\n1,x"y\n', "page 1: line 2: a quote inside a field that is not quoted"),
        ('a,b\n1,"say "hi" now"\n', "page 1: line 2: text follows the end of a quoted field"),
        ('a,b\n1,"a" "b"\n', "page 1: line 2: text follows the end of a quoted field"),
        ('a,b\n"x"y,2\n', "page 1: line 2: text follows the end of a quoted field"),
        (b"a,b\n1,\xe9\n", "page 1: it is not valid UTF-8 (invalid continuation byte at byte 6, 0xE9)"),
    ],
)
def test_what_would_lose_something_is_refused(body: str | bytes, said: str, tmp_path: Path) -> None:
    error = failure(saying(body), tmp_path, response_format="csv")
    assert said in error.message
    assert error.details["field"] == ("encoding" if "UTF-8" in said else "response_format")


@pytest.mark.parametrize("body", ["<html><body>Please log in</body></html>", '{"error": "busy"}'])
def test_what_is_no_csv_is_not_an_empty_page(body: str, tmp_path: Path) -> None:
    error = failure(saying(body, "text/html"), tmp_path, response_format="csv")
    assert "page 1: this is not CSV; it begins with" in error.message


def test_no_digit_is_lost_between_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.collectors.http_api.page_batches.BATCH_BYTES", 1)

    def answer(hit: Hit) -> Reply:
        body = {"1": "a,b\n9007199254740993,1\n", "2": "a,b\n0.5,0.5\n"}.get(hit.query["page"], "")
        return Reply(body.encode())

    frame, _, _ = fetched(answer, tmp_path, response_format="csv", pagination="page")
    assert frame.to_dicts() == [{"a": "9007199254740993", "b": 1.0}, {"a": "0.5", "b": 0.5}]


def test_lines_in_utf_16(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        return Reply('{"a":1}\n{"a":2}\n'.encode("utf-16"))

    frame, _, _ = fetched(answer, tmp_path, response_format="ndjson")
    assert frame["a"].to_list() == [1, 2]
