"""Byte ranges of CSV files: together their rows are those of the file, wherever it is cut."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.collectors.csv_file import byte_ranges
from service.collectors.csv_file.scan import CsvReader
from service.collectors.csv_file.settings import CsvSettings
from service.collectors.csv_file.survey import Survey
from service.collectors.records.misfits import Misfits
from service.steps.context import CollectContext


def settings(**given: Any) -> CsvSettings:
    return CsvSettings(file_path="a.csv", infer_rows=0, **given)


def both(folder: Path, text: bytes, size: int, chosen: CsvSettings) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows of the whole file, and those of its ranges as another process reads them."""
    path = folder / "a.csv"
    path.write_bytes(text)
    reader = CsvReader(chosen, CollectContext("collectors[0]", folder), 200)
    source = reader.source(path, 0)
    assert source is not None
    types = reader.types([source])
    (whole,) = reader.scans([source], types, Misfits(become_null=False))
    source.survey.pieces[:] = places(source.survey, source.path.read_bytes(), chosen.dialect.quote)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(byte_ranges, "SIZE", size)
        parts = reader.parts([source], types, Misfits(become_null=False))
    return whole.collect(), [pl.LazyFrame.deserialize(io.BytesIO(part.serialize())).collect() for part in parts]


def places(found: Survey, text: bytes, quote: bytes | None) -> list[int]:
    """Every place where a piece of the survey may begin."""
    outside = [n for n in range(found.start, len(text)) if quote is None or text[:n].count(quote) % 2 == 0]
    return [n for n in outside if not found.in_lines or n == 0 or text[n - 1 : n] == b"\n"]


FIELDS = st.sampled_from(["1", "", "a b", '"x,y"', '"line\nend"', '"say ""yes"""', '"\r\n"', '"\n\n"', "ü"])


@given(
    rows=st.lists(st.one_of(st.lists(FIELDS, min_size=3, max_size=3).map(",".join), st.just("")), max_size=12),
    size=st.integers(1, 40), ended=st.sampled_from(["", "\n", "\n\n\n"]), mark=st.sampled_from(["", "\ufeff"]),
    has_header=st.booleans(), eol=st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
def test_the_rows_of_all_ranges_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], size: int, ended: str, mark: str, has_header: bool,
    eol: str,
) -> None:  # fmt: skip
    text = mark + "\n".join(["a,b,c", *rows]) + ended
    written = text.replace("\r\n", "\n").replace("\n", eol).encode()
    whole, parts = both(tmp_path_factory.mktemp("csv"), written, size, settings(has_header=has_header))
    assert pl.concat(parts).equals(whole, null_equal=True)


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        (b"# said \"so\n1;2\n# \"\n3;4\n5;6\n#\n", {"separator": ";", "comment_prefix": "#", "has_header": False}),
        (b"note\nmore\na,b\n1,2\n3,4\n5,6\n", {"skip_rows": 2}),
        (b"a\n1\n\n2\n\n\n3\n\n", {}),
        (b"a,b\n\"1,2\n3\",4\n5,6\n", {"quote_char": None, "on_malformed": "skip"}),
        ("a,b\nä,1\nö,2\nü,3\n".encode("latin-1"), {"encoding": "latin-1"}),
        (b"a,b\n\xe4,1\n\xf6,2\n\xfc,3\n", {"encoding": "utf-8-lossy"}),
        (b"a,b\r1,2\r3,4\r5,6\r", {}),
        (b"a,b\n1,2\nshort\n3,4\n5,6\n7,8\n", {"on_malformed": "skip"}),
    ],
)  # fmt: skip
def test_dialects_and_copies_are_divided(tmp_path: Path, text: bytes, chosen: dict[str, Any]) -> None:
    whole, parts = both(tmp_path, text, 4, settings(**chosen))
    assert len(parts) > 1
    assert pl.concat(parts).equals(whole, null_equal=True)


def test_values_that_do_not_fit_are_named_as_in_the_file(tmp_path: Path) -> None:
    chosen = settings(schema={"b": "int64"})
    with pytest.raises(pl.exceptions.ComputeError, match="column 'b': x does not fit int64"):
        both(tmp_path, b"a,b\n1,2\n3,4\n5,x\n7,8\n", 4, chosen)


def test_a_small_file_and_one_record_stay_whole(tmp_path: Path) -> None:
    assert len(both(tmp_path, b"a,b\n1,2\n3,4\n", 9, settings())[1]) == 1
    assert len(both(tmp_path, b'a\n"1\n2\n3\n4\n5\n"\n', 2, settings())[1]) == 1
