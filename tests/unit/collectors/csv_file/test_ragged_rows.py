"""CSV rows that are shorter or longer than the header on purpose: what the settings make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.kit import errors
from tests.unit.collectors.csv_source import read

SHORT = b"a,b,c\n1,x,2\n2\n3,y\n4,z,5\n"


def test_missing_fields_at_the_end_are_null(tmp_path: Path) -> None:
    rows, ctx = read(tmp_path, SHORT, on_malformed="pad")
    assert rows.rows() == [(1, "x", 2), (2, None, None), (3, "y", None), (4, "z", 5)]
    assert [(w.code, w.details["count"]) for w in ctx.report().warnings] == [("padded_rows", 2)]
    assert ctx.report().warnings[0].details["first"] == [{"line": 3, "missing": 2}, {"line": 4, "missing": 1}]


@pytest.mark.parametrize(
    ("body", "config", "hint"),
    [
        (
            SHORT,
            {},
            "line 3: 1 field where 3 are expected; if fields at the end may be left out, set on_malformed to pad",
        ),
        (
            b"a,b\n1,2,\n3,4,\n",
            {},
            "3 fields where 2 are expected; if rows end with a separator, set trailing_delimiter",
        ),
        (b"a,b\n1,2,3\n", {"on_malformed": "pad"}, "line 2: 3 fields where 2 are expected"),
        (b"a;b;c\n1,5;2;3\n2;2;3\n", {}, "2 fields where 1 are expected; if ';' separates the fields, set separator"),
        (b'a,b\n1,"x" y\n', {"on_malformed": "pad"}, "line 2: text follows the end of a quoted field"),
    ],
)
def test_errors_name_the_setting(body: bytes, config: dict[str, Any], hint: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent) as caught:
        read(tmp_path, body, **config)
    assert hint in caught.value.message


@pytest.mark.parametrize(
    ("body", "names", "wanted"),
    [
        (b"A,B,C\n1,4,7,\n2,5,8,\n", ["A", "B", "C"], [(1, 4, 7), (2, 5, 8)]),
        (b"A,B,\r\n1,4,\r\n2,,\r\n", ["A", "B"], [(1, 4), (2, None)]),
        (b'A,B\n1,"x,",\n2,\n', ["A", "B"], [(1, "x,"), (2, None)]),
        (b"A,B\n1,4\n2,5", ["A", "B"], [(1, 4), (2, 5)]),
    ],
)
def test_a_trailing_delimiter_is_not_a_field(body: bytes, names: list[str], wanted: list[Any], tmp_path: Path) -> None:
    rows, ctx = read(tmp_path, body, trailing_delimiter=True)
    assert (rows.columns, rows.rows(), ctx.report().warnings) == (names, wanted, ())


@pytest.mark.parametrize(
    ("body", "mark"), [(b"a;b\n1;2\n3;4\n", ";"), (b"a\tb\n1\t2\n", "\t"), (b"a|b|c\nx|y|z\n", "|")]
)
def test_another_separator_is_suspected(body: bytes, mark: str, tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="its one column is") as caught:
        read(tmp_path, body)
    assert caught.value.details["field"] == "separator"
    assert read(tmp_path, body, column_names=["whole"])[0].width == 1
    assert read(tmp_path, body, separator=mark)[1].report().warnings == ()


def test_a_column_of_text_is_not_suspected(tmp_path: Path) -> None:
    assert read(tmp_path, b"note\nfirst; then second\nthird\n")[1].report().warnings == ()


@pytest.mark.parametrize(
    ("body", "wanted"),
    [(b"1,2\n3,4,5\n", [(1, 2, None), (3, 4, 5)]), (b"1,2\n3,4\n", [(1, 2, None), (3, 4, None)])],
)
def test_given_names_say_how_many_fields_a_row_has(body: bytes, wanted: list[Any], tmp_path: Path) -> None:
    rows, _ = read(tmp_path, body, on_malformed="pad", has_header=False, column_names=["a", "b", "c"])
    assert (rows.columns, rows.rows()) == (["a", "b", "c"], wanted)


@pytest.mark.parametrize("config", [{}, {"separator": ";"}])
def test_a_line_that_names_the_separator_is_not_the_header(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(errors.Permanent, match="names the separator and not the columns; set skip_rows to 1"):
        read(tmp_path, b"sep=;\r\na;b\r\n1;2\r\n", **config)
