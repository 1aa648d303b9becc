"""Quotes in CSV files: the strict reader decides, whatever the lenient parser would make of them."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.csv_file import quoting
from service.collectors.csv_file.quoting import AFTER_END, STRAY
from service.files import quarantine
from service.kit import errors
from tests.examples import examples
from tests.unit.collectors.csv_source import read

MISQUOTED = [
    ('1,"He said "hello" to me",5', AFTER_END),
    (r'1,"he said \"hi\"",4', AFTER_END),
    ('1,"a" "b",1', AFTER_END),
    ('1,"a"b"",1', AFTER_END),
    ('1,""x"",1', AFTER_END),
    ('1,"a" ,1', AFTER_END),
    ('1,5" pipe,"x"', STRAY),
    ('1,5" ""pipe,1', STRAY),
]


@pytest.mark.parametrize(("line", "fault"), MISQUOTED)
@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_quotes_inside_fields_are_malformed(line: str, fault: str, eol: str, tmp_path: Path) -> None:
    body = eol.join(["a,b,c", '0,"x, y",0', line, '2,"say ""hi""",2', ""])
    with pytest.raises(errors.Permanent, match=re.escape(f"line 3: {fault}")):
        read(tmp_path, body)


@pytest.mark.parametrize(("line", "fault"), MISQUOTED)
@pytest.mark.parametrize("kept", [True, False])
def test_a_misquoted_row_is_left_out(line: str, fault: str, kept: bool, tmp_path: Path) -> None:
    body = f'a,b,c\n0,"x, y",0\n{line}\n2,"say ""hi""",2\n'
    rows, ctx = read(tmp_path, body, on_malformed="quarantine" if kept else "skip")
    assert rows.rows() == [(0, "x, y", 0), (2, 'say "hi"', 2)]
    assert [(r["line"], r["reason"]) for r in ctx.report().warnings[0].details["first"]] == [(3, fault)]
    if kept:
        assert pl.read_parquet(ctx.folder / quarantine.file_of(ctx.step))["_text"].to_list() == [line]


@pytest.mark.parametrize("line", ['5" x 6" y', ' "x"', 'x""y', "it's"])
@pytest.mark.parametrize("malformed", ["fail", "skip"])
def test_quotes_in_pairs_in_a_plain_field_are_text(line: str, malformed: str, tmp_path: Path) -> None:
    rows, ctx = read(tmp_path, f"a,b\n1,{line}\n2,z\n" + ("3\n" if malformed == "skip" else ""), on_malformed=malformed)
    assert rows.rows() == [(1, line), (2, "z")]
    assert len(ctx.report().warnings) == (malformed == "skip")


PIECES = st.lists(st.sampled_from(["a", '"', '""', ",", "\n", "\r\n", " ", "ö"]), max_size=24).map("".join)


def strictly(text: str) -> list[list[str]] | None:
    """The rows by the rule, or None if a row is malformed."""
    try:
        rows = list(csv.reader(text.splitlines(keepends=True), strict=True))
    except csv.Error:
        return None
    return rows


@pytest.mark.parametrize("block", [1, 2, 5, 100])
@examples(150)
@given(text=PIECES, cut=st.integers(0, 24))
def test_the_fast_test_suspects_every_quote_inside_a_quoted_field(block: int, text: str, cut: int) -> None:
    body = text.encode()
    whole = quoting.suspicious(body, b",", b"\n", b'"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quoting, "_BLOCK", block)
        assert quoting.suspicious(body, b",", b"\n", b'"') == whole
    suspected = quoting.suspicious(body, b",", b"\n", b'"')
    if strictly(text) is None and body.count(b'"') % 2 == 0:
        assert suspected or b"\r" in body.replace(b"\r\n", b"")
    head = body[:cut]
    if head.count(b'"') % 2 == 0:  # pieces begin outside of quotes
        halves = quoting.suspicious(head, b",", b"\n", b'"')
        halves |= quoting.suspicious(body[cut:], b",", b"\n", b'"', head[-1:])
        assert halves == suspected or body[cut : cut + 1] == b'"' == head[-1:]


@examples(150)
@given(
    lines=st.lists(
        st.lists(st.sampled_from(['"', "a", " ", "1", "\n"]), max_size=6).map("".join), min_size=1, max_size=5
    )
)
def test_both_paths_read_the_same(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the collector returns, by whatever path, is what a strict reader finds row by row; nothing else."""
    body = "k,v\n" + "".join(f"{number},{line}\n" for number, line in enumerate(lines))
    rows, ctx = read(tmp_path_factory.mktemp("paths"), body, on_malformed="quarantine", infer_rows=0)
    refused = pl.DataFrame(schema={"_text": pl.String})
    if ctx.report().rejected:
        refused = pl.read_parquet(ctx.folder / quarantine.file_of(ctx.step))
    assert ctx.report().rejected or strictly(body) is not None
    valid = [row for row in strictly(body) or [] if row]
    if not refused.height:
        assert [[k, v or ""] for k, v in rows.rows()] == valid[1:]
    for key, value in rows.rows():
        written = (
            re.escape(f"{key},")
            + r'(?:"'
            + re.escape((value or "").replace('"', '""'))
            + r'"|'
            + re.escape(value or "")
            + ")"
        )
        assert re.search(rf"^{written}$", body, re.MULTILINE)


@examples(200)
@given(text=PIECES, what=st.sampled_from([b",", b"\n"]))
def test_counting_outside_of_quotes(text: str, what: bytes) -> None:
    outside = "".join(text.split('"')[::2]).encode()
    assert quoting.count_outside(text.encode(), what, b'"') == outside.count(what)
    assert quoting.count_outside(text.encode(), what, None) == text.encode().count(what)
