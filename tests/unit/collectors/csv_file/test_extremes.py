"""CSV files at the edge of what a file can be: very wide, very long fields, many faults; read rightly or refused."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from service.collectors.csv_file import malformed_rows, survey
from service.collectors.csv_file.dialect import Dialect
from service.kit import errors
from tests.unit.collectors.csv_source import FILE, read


@pytest.mark.slow
def test_ten_thousand_columns(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(10_000)]
    rows, _ = read(
        tmp_path, "\n".join([",".join(names), *(",".join(str(i + n) for i in range(10_000)) for n in (1, 2))])
    )
    assert rows.columns == names
    assert rows.row(1) == tuple(range(2, 10_002))


@pytest.mark.parametrize("columns", [1_000, 4_000, 16_000])
def test_the_sample_of_long_rows_has_rows(columns: int, tmp_path: Path) -> None:
    path = tmp_path / FILE
    lines = [",".join(f"c{i}" for i in range(columns)), *[",".join(["12.5"] * columns)] * (3_200_000 // (5 * columns))]
    path.write_text("\n".join(lines) + "\n")
    found = survey.survey(path, Dialect(), 10)
    assert not found.whole
    assert found.sample.count(b"\n") > 10


def test_line_ends_in_quotes_make_no_lines_of_the_sample(tmp_path: Path) -> None:
    """The sample of rows of 40 KB whose lines have 400 bytes had no row, so that every column was text."""
    header, row = "number,text\n", '7,"a ""b""' + ("x" * 399 + "\n") * 100 + '"\n'
    rows, _ = read(tmp_path, header + row * 60, infer_rows=10)
    assert rows["number"].to_list() == [7] * 60


def test_many_columns_of_one_name_are_one_warning(tmp_path: Path) -> None:
    rows, ctx = read(tmp_path, ",".join("a" * 2_000) + "\n" + ",".join(map(str, range(2_000))) + "\n")
    assert rows.columns == ["a", *(f"a_{i}" for i in range(2, 2_001))]
    assert rows.row(0) == tuple(range(2_000))
    (warning,) = ctx.report().warnings
    assert (warning.code, warning.details["count"]) == ("duplicate_column", 1_999)
    assert "1999 are now 'a_2' and so on" in warning.message


@pytest.mark.parametrize("skip", [0, 2])
def test_requirement_49_more_columns_than_a_table_has_are_refused_at_once(skip: int, tmp_path: Path) -> None:
    body = "top\n" * skip + ",".join("x" * (survey.MAX_COLUMNS + 1)) + "\n" + "1,2\n" * 3
    with pytest.raises(errors.Permanent, match=rf"{FILE}: line {skip + 1}: 20001 columns, and at most 20000") as caught:
        read(tmp_path, body, skip_rows=skip)
    assert caught.value.details["field"] == "separator"


def test_a_field_of_a_hundred_megabytes(tmp_path: Path) -> None:
    piece = 'text, with ""quotes"" and\nlines '
    times = 100 * 1024 * 1024 // len(piece) + 1
    body = b'a,b\n1,"' + piece.encode() * times + b'"\n2,y\n'
    rows, _ = read(tmp_path, body)
    assert rows["a"].to_list() == [1, 2]
    assert rows["b"].str.len_bytes().to_list() == [len(piece.replace('""', '"')) * times, 1]


def test_a_field_of_a_hundred_megabytes_without_quotes(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, b"a,b\n1," + b"x" * (100 << 20) + b"\n2,y\n")
    assert rows["b"].str.len_bytes().to_list() == [100 << 20, 1]


def test_a_field_that_never_ends_is_refused_where_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.collectors.csv_file.strict_reader._MOST_LINES", 1_000)
    with pytest.raises(errors.Permanent, match=rf"{FILE}: line 3: a quoted field begins here and does not end within"):
        read(tmp_path, b'a,b\n1,x\n2,"' + b"x,y\n" * 5_000)


@pytest.mark.parametrize("size", [50, 100, 1_000])
def test_a_quote_that_stays_open_over_pieces(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.collectors.csv_file.survey._PIECE", size)
    closed = b'a,b\n1,x\n2,"' + b"x,y\n" * 200 + b'"\n3,"z"\n'
    rows, _ = read(tmp_path, closed)
    assert rows["b"].to_list() == ["x", "x,y\n" * 200, "z"]
    with pytest.raises(errors.Permanent, match="line 3: a quoted field begins here and does not end"):
        read(tmp_path, closed[:-9])


def test_mixed_line_ends(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, b'a,b\r\n1,x\n2,"y\r\nz"\r\n3,w\n')
    assert rows.rows() == [(1, "x"), (2, "y\r\nz"), (3, "w")]
    with pytest.raises(errors.Permanent, match="line 2: a carriage return inside a field"):
        read(tmp_path, b"a,b\n1,x\r2,y\n")


def test_a_first_line_that_is_no_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="line 1: the header has more than 16 MiB; is there one") as caught:
        read(tmp_path, b"x" * (17 << 20))
    assert caught.value.details["field"] == "has_header"


def test_zero_bytes_are_refused_wherever_they_are(tmp_path: Path) -> None:
    for body in (b"a\0,b\n1,2\n", b"a,b\n" + b"1,2\n" * 9_000 + b"3,\0\n"):
        with pytest.raises(errors.Permanent, match="zero byte") as caught:
            read(tmp_path, body)
        assert caught.value.details["field"] == "encoding"


def test_all_bad_rows_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    body = "a,b\n" + "".join(f"{i},x\n{i}\n" for i in range(500))
    rows, ctx = read(tmp_path, body, on_malformed="skip")
    assert rows["a"].to_list() == list(range(500))
    (warning,) = ctx.report().warnings
    assert warning.details["count"] == 500
    assert [r["line"] for r in warning.details["first"]] == [2 * i + 3 for i in range(malformed_rows.SHOWN_ROWS)]


def test_a_small_file_is_read_through_small_buffers(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"id,city\n" + b"1,Berlin\n" * 1_000)
    survey.survey(path, Dialect(), 100)  # what Polars imports at first
    tracemalloc.start()
    try:
        found = survey.survey(path, Dialect(), 100)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.lines == 1_001
    assert most < 1 << 20, "an allocator keeps what it gave out once, and a worker reads many files"
