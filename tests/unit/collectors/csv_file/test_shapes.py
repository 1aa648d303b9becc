"""CSV files of the wrong shape: found wherever they are, named by line, or left out and counted; never lost."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.csv_file import malformed_rows, strict_reader
from service.collectors.csv_file.dialect import Dialect
from service.collectors.csv_file.survey import survey
from service.files import quarantine
from service.kit import errors
from tests.examples import examples
from tests.unit.collectors.csv_source import FILE, read

STRAY = b'a,b\n1,5" pipe\n2,6" pipe\n3,x\n'  # two stray quotes hide a row, and every count is right


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'a,b\n1,"x"\n2\n3,"z"\n', "line 3: 1 field where 2 are expected"),
        (b'a,b\n1,"x"\n2,"y",z\n', "line 3: 3 fields where 2 are expected"),
        (b'a,b\n1,"x, y"\n2\n3,4,5\n', "line 3: 1 field where 2 are expected"),
        (b"a,b\r1,x\n2,y\r3,z\n", "line 1: a carriage return inside a field that is not quoted"),
        (b"a,b\n1,x\r\n2,y\rz\n", "line 3: a carriage return"),
        (b'# "\na,b\n1\n', "line 3: 1 field"),
        (STRAY, "line 2: a quote inside a field that is not quoted; if quotes are plain text, set quote_char"),
    ],
)
def test_the_line_is_named(body: bytes, message: str, tmp_path: Path) -> None:
    config = {"comment_prefix": "#"} if body.startswith(b"#") else {}
    with pytest.raises(Exception, match=message) as caught:  # the last of them when the plan is executed
        read(tmp_path, body, **config)
    assert isinstance(caught.value, errors.Permanent) or body is STRAY


@pytest.mark.parametrize("names", [['q"uote', "a,b"], ['"', '""', "x\ny"], ['say "hi"', 'say "hi"'], ["b", "'"]])
def test_names_are_written_like_any_other_field(tmp_path: Path, names: list[str]) -> None:
    written = io.StringIO()
    csv.writer(written).writerows([names, ["1"] * len(names)])
    rows, _ = read(tmp_path, written.getvalue().encode())
    assert rows.columns == (names if len(set(names)) == len(names) else [names[0], f"{names[0]}_2"])
    assert rows.rows() == [(1,) * len(names)]


def test_a_carriage_return_inside_quotes_is_text(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, b'a,b\n1,"x\ry"\n2,z\n')
    assert rows.rows() == [(1, "x\ry"), (2, "z")]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"a,b\n\n1,x\n\n\n2,y\n", [(1, "x"), (2, "y")]),
        (b"a,b\r\n1,x\r\n\r\n2,y\r\n", [(1, "x"), (2, "y")]),
        (b'a,b\n1,"x\n\ny"\n\n2,z\n', [(1, "x\n\ny"), (2, "z")]),
        (b"a\n1\n\n2\n", [(1,), (None,), (2,)]),
        (b"a,b\n1,x\n,\n2,y\n", [(1, "x"), (None, None), (2, "y")]),
    ],
)
def test_empty_lines_are_no_rows_where_there_are_columns(body: bytes, wanted: list[object], tmp_path: Path) -> None:
    rows, _ = read(tmp_path, body)
    assert rows.rows() == wanted


@pytest.mark.parametrize(
    ("body", "wanted", "lines"),
    [
        (b"a,b\n1,x\n2\n3,y\n4,5,6\n5,z\n", [1, 3, 5], [3, 5]),
        (b'a,b\n1,"x"\n2,"y"z\n3,"q"\n', [1, 3], [3]),
        (b'a,b\n1,x\n2,"open\n3,y\n4,z\n', [1, 3, 4], [3]),
        (b'a,b\n1,x\n2,"open\n3,"y"\n4,"z"\n', [1, 3, 4], [3]),
        (STRAY, [3], [2, 3]),
        (b"a,b\n1,x\n\n2,y\n", [1, 2], []),
        (b'report\na,b\n#"\n1,x\n2\n', [1], [5]),
        (b"a,b\n1,x\n2,y", [1, 2], []),
    ],
)
def test_malformed_rows_are_left_out_and_counted(
    body: bytes, wanted: list[int], lines: list[int], tmp_path: Path
) -> None:
    config = {"skip_rows": 1, "comment_prefix": "#"} if body.startswith(b"report") else {}
    rows, ctx = read(tmp_path, body, on_malformed="skip", **config)
    assert rows["a"].to_list() == wanted
    assert [w.code for w in ctx.report().warnings] == (["malformed_rows"] if lines else [])
    for warning in ctx.report().warnings:
        assert [row["line"] for row in warning.details["first"]] == lines
        assert warning.details["count"] == len(lines)
        assert f"line {lines[0]}" in warning.message


def test_malformed_rows_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    body = b'a,b\n1,x\n2\n3,"y"z\n\xff,"q",\n4,w\n'
    rows, ctx = read(
        tmp_path, {"1.csv": body, "2.csv": b"b,c\nx,\n\ny\n"}, file_path="*.csv", on_malformed="quarantine"
    )
    assert rows["a"].to_list() == [1, 4, None]
    (rejected,) = ctx.report().rejected
    assert (rejected.rows, rejected.file) == (4, "quarantine-collectors-0.parquet")
    path = ctx.folder / str(rejected.file)
    kept = pl.read_parquet(path)
    assert kept.columns == list(quarantine.LAYOUT)
    assert kept["_line"].to_list() == [3, 4, 5, 4]
    assert kept["_text"].to_list() == ["2", '3,"y"z', '\ufffd,"q",', "y"]
    assert kept["_rules"][0].to_list() == [
        {"rule": "malformed", "column": None, "value": None, "message": "1 field where 2 are expected"}
    ]
    assert kept["_file"].to_list() == ["1.csv", "1.csv", "1.csv", "2.csv"]
    assert set(kept["_step"]) == {ctx.step}
    assert "are kept in quarantine" in ctx.report().warnings[0].message
    shape = malformed_rows.shape_of(path)
    assert shape.columns == {"1.csv": ["a", "b"], "2.csv": ["b", "c"]}
    assert shape.types == {"a": "int64", "b": "string", "c": "string"}


def test_more_malformed_rows_than_are_written_at_once(tmp_path: Path) -> None:
    _, ctx = read(tmp_path, b"a,b\n1,x\n" + b"2\n" * 2_500, on_malformed="quarantine")
    kept = pl.read_parquet(ctx.folder / str(ctx.report().rejected[0].file))
    assert kept["_line"].to_list() == list(range(3, 2_503))


def test_the_good_file_beside_the_bad_one_is_read_as_it_is(tmp_path: Path) -> None:
    files = {"1.csv": b"top\na,b\n1,x\n2\n", "2.csv": b"top\na,b\n3,y\n"}
    rows, ctx = read(tmp_path, files, file_path="*.csv", skip_rows=1, on_malformed="skip")
    assert rows["a"].to_list() == [1, 3]
    assert len(ctx.report().warnings) == 1


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'n,b\n"a\n#","x"\n"c","y"\n\n', [("a\n#", "x"), ("c", "y")]),  # a line inside a field is not a comment
        (b'n,b\n"a\n#1,2\nd","x"\n# it"s, open\n"c\n","y"\n\n', [("a\n#1,2\nd", "x"), ("c\n", "y")]),
        (b'# it"s\nn,b\n"a\nb","x"\n# the "end', [("a\nb", "x")]),  # nor is a quote in a comment one
        (b"n,b\n1,2\n# the end", [(1, 2)]),
        (b'n,b\n1,2\n"#3",4', [("1", 2), ("#3", 4)]),
        (b'n,b\n1,2\n3,"4\n#"', [(1, "2"), (3, "4\n#")]),
        (b"n\n1\n# the end", [(1,)]),
    ],
)
def test_comments_and_quotes_do_not_mislead_each_other(body: bytes, wanted: list[object], tmp_path: Path) -> None:
    rows, ctx = read(tmp_path, body, comment_prefix="#")
    assert rows.rows() == wanted
    assert ctx.report().warnings == ()


def test_quotes_in_comments_do_not_hold_pieces_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).write_bytes(b'a,b\n# it"s\n' + b'1,"x,\n# ""y"", z"\n# 2" pipe, 3" pipe\n' * 60)
    for size in (7, 16, 33, 64, 1000):
        monkeypatch.setattr("service.collectors.csv_file.survey._PIECE", size)
        found = survey(tmp_path / FILE, Dialect(comment=b"#"), 100)
        assert (found.lines, found.separators, found.torn) == (61, 61, False)


@pytest.mark.parametrize(
    ("body", "wanted"), [(b"\n\nn\n1\n\n2\n", [1, None, 2]), (b"\r\n\r\nn\r\n1\r\n", [1]), (b"x\n\nn\n1\n", [1])]
)
def test_empty_lines_before_the_header_are_no_rows(body: bytes, wanted: list[object], tmp_path: Path) -> None:
    rows, _ = read(tmp_path, body, skip_rows=int(body.startswith(b"x")))
    assert rows["n"].to_list() == wanted


def test_a_text_that_means_missing_may_be_a_name(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, b'NA,"say ""NA""",NA\n1,NA,x\n', null_values=["NA"])
    assert rows.columns == ["NA", 'say "NA"', "NA_2"]
    assert rows.rows() == [(1, None, "x")]


def test_a_file_of_comments_is_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="the file is empty; there is not even a header"):
        read(tmp_path, b"# one\n# two\n", comment_prefix="#")


def test_rows_of_nothing_are_rows_whatever_separates_them(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, b"\t\n\t\n", separator="\t", has_header=False)
    assert rows.height == 2


def test_a_preamble_and_a_header_of_any_length(tmp_path: Path) -> None:
    names = [f"column_number_{i}" for i in range(2_000)]
    body = ("x" * 150 + "\n") * 9_000 + ",".join(names) + "\n" + (",".join("7" for _ in names) + "\n") * 60
    rows, _ = read(tmp_path, body, skip_rows=9_000, infer_rows=10)
    assert rows.shape == (60, 2_000)
    assert rows.columns == names


def test_a_field_of_many_megabytes(tmp_path: Path) -> None:
    huge = 'text, with ""quotes"" and\nlines ' * 400_000
    rows, _ = read(tmp_path, f'a,b\n1,"{huge}"\n2,y\n')
    assert rows.rows() == [(1, huge.replace('""', '"')), (2, "y")]


CELL = st.sampled_from(["", "x", "ö", "a,b", "a\nb", 'say "hi"', "\r\n", "1"])
ROWS = st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=7)

QUOTING: tuple[Literal[0, 1], ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)


@examples(75)
@given(rows=ROWS, eol=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), quoting=st.sampled_from(QUOTING))
def test_the_survey_counts_what_there_is(
    rows: list[list[str]], eol: str, last: bool, quoting: Literal[0, 1], tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=eol, quoting=quoting).writerows(rows)
    path = tmp_path_factory.mktemp("survey") / FILE
    text = out.getvalue()
    path.write_bytes((text if last else text.removesuffix(eol)).encode())
    found = survey(path, Dialect(), 100)
    assert (found.lines, found.torn) == (len(rows), False)
    assert found.separators == sum(len(row) - 1 for row in rows)
    records = list(strict_reader.records(path, Dialect(), b"\n"))
    assert [r.fault is None for r in records] == [len(r) == len(rows[0]) for r in rows]


def test_pieces_are_cut_where_nothing_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"a,b\n" + b'1,"x,\n""y"", z"\n2,\n' * 60
    (tmp_path / FILE).write_bytes(body)
    for size in (7, 16, 33, 64, 1000):
        monkeypatch.setattr("service.collectors.csv_file.survey._PIECE", size)
        found = survey(tmp_path / FILE, Dialect(), 100)
        assert (found.lines, found.separators, found.torn) == (121, 121, False)
        commented = survey(tmp_path / FILE, Dialect(comment=b"2"), 100)
        assert (commented.lines, commented.separators) == (61, 61)


def test_collecting_needs_little_memory_whatever_the_size(tmp_path: Path) -> None:
    with (tmp_path / FILE).open("wb") as file:
        file.write(b"a,b,c\n")
        for _ in range(300):
            file.write(b'1,some text of a row,"quoted, text"\n' * 10_000)
    code = (
        "import sys; from pathlib import Path; from service.collectors.csv_file.survey import *\n"
        "held = lambda: int(next(x for x in open('/proc/self/status') if x.startswith('VmHWM')).split()[1]) // 1024\n"
        "survey(Path(sys.argv[2]), Dialect(), 100); before = held()\n"
        "found = survey(Path(sys.argv[1]), Dialect(), 1000)\n"
        "assert (found.lines, found.separators) == (3_000_001, 6_000_002), found\n"
        "assert held() - before < 64, held() - before\n"
    )
    (tmp_path / "small.csv").write_bytes(b'a,b,c\n1,2,"3"\n')  # loads what is loaded once
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    subprocess.run([sys.executable, "-c", code, tmp_path / FILE, tmp_path / "small.csv"], check=True, env=env)
