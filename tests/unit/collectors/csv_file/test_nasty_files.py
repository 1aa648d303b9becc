"""Nasty files: the survey and the parser together find what the strict reader finds in each file, and no more."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.csv_file import strict_reader
from service.collectors.csv_file.dialect import Dialect
from service.kit import errors
from tests.examples import examples
from tests.unit.collectors.csv_source import FILE, read

VALID = ["a", "7", "", "ö", '""', '"b"', '"c,d"', '"e\nf"', '"say ""hi"""']
ODD = ['"say "hi""', 'g"h', '"i"j', '"k', "l\rm", "n\0o"]
ROWS = st.lists(st.lists(st.sampled_from(VALID + ODD), min_size=1, max_size=4), max_size=6)
PLAIN = st.lists(st.lists(st.sampled_from(VALID), min_size=3, max_size=3), max_size=6)


def strictly(path: Path) -> list[tuple[str, ...]] | None:
    """The rows, as a reader of single records sees them; None if something is wrong."""
    if b"\0" in path.read_bytes():
        return None
    records = list(strict_reader.records(path, Dialect(), b"\n"))
    if any(record.fault is not None for record in records):
        return None
    texts = [record.text.rstrip("\r\n") for record in records if not record.blank]
    return [tuple(next(csv.reader([text], strict=True))) for text in texts[1:]]


@examples(150)
@given(
    rows=st.one_of(ROWS, PLAIN),
    eol=st.sampled_from(["\n", "\r\n"]),
    end=st.sampled_from(["", "\n", "\n\n\n"]),
    piece=st.sampled_from([7, 64, 8 * 1024 * 1024]),
)
def test_a_file_is_read_as_the_strict_reader_reads_it(
    rows: list[list[str]], eol: str, end: str, piece: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    body = eol.join(["a,b,c", *(",".join(row) for row in rows)]) + end
    folder = tmp_path_factory.mktemp("nasty")
    (folder / FILE).write_bytes(body.encode())
    wanted = strictly(folder / FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.collectors.csv_file.survey._PIECE", piece)
        found: list[tuple[Any, ...]] | None = None
        try:
            found = [tuple(v or "" for v in row) for row in read(folder, body.encode(), infer_rows=0)[0].rows()]
        except (errors.Permanent, pl.exceptions.PolarsError):
            assert wanted is None
    assert found == wanted
