"""Files in any dialect, beside Python's csv module: what that writes comes back cell by cell, whatever surrounds it."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass

import pyarrow.lib as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.collectors.csv_source import read

TEXTS = [
    "", "x", "00501", "1.50", "-0", "12345678901234567890", "nan", "true", "2026-02-30", "NA", "ö", "a,b", "a;b",
    "a\tb", 'say "hi"', '"', "it's", "l1\nl2", "l1\r\nl2", "l1\rl2", "#", "#x,y", "\n#", '\n#"', " a ", "\\", "\u00a0",
    "x" * 300,
]  # fmt: skip
CODECS = ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-32", "gb18030", "utf-7"]
COMMENT = '# c, "d; it"s\n'


@dataclass(frozen=True)
class Written:
    """A file and what it holds."""

    body: bytes
    settings: dict[str, object]
    rows: list[list[str]]


@st.composite
def files(draw: st.DrawFn) -> Written:
    separator, quote = draw(st.sampled_from([",", ";", "\t", "|"])), draw(st.sampled_from(['"', "'"]))
    eol, codec = draw(st.sampled_from(["\n", "\r\n", "\r"])), draw(st.sampled_from(CODECS))
    texts = [t for t in TEXTS if eol != "\r" or "\n" not in t]
    width = draw(st.integers(2, 4))
    row = st.lists(st.sampled_from(texts), min_size=width, max_size=width)
    rows = [["k", *cells] for cells in draw(st.lists(row, max_size=12))]
    comment, skip = draw(st.booleans()), draw(st.sampled_from([0, 2]))
    blank = eol * draw(st.integers(0, 2))
    out = io.StringIO(newline="")
    out.write("preamble" + eol + eol if skip else "")
    writer = csv.writer(out, delimiter=separator, quotechar=quote, lineterminator=eol, quoting=csv.QUOTE_ALL)
    writer.writerow([f"c{i}" for i in range(width + 1)])
    for cells in rows:
        out.write(COMMENT.replace("\n", eol) if comment and draw(st.booleans()) else "")
        writer.writerow(cells)
    text = out.getvalue() + blank
    body = (text if blank or draw(st.booleans()) else text.removesuffix(eol)).encode(codec)
    pack = draw(st.sampled_from(["", "gzip", "zstd"]))
    if pack == "gzip":
        body = gzip.compress(body[: len(body) // 2]) + gzip.compress(body[len(body) // 2 :])
    elif pack == "zstd":
        body = pa.compress(body, codec="zstd", asbytes=True)
    config: dict[str, object] = {"separator": separator, "quote_char": quote, "encoding": codec, "skip_rows": skip}
    return Written(body, config | ({"comment_prefix": "#"} if comment else {}), rows)


@examples(75)
@given(
    written=files(),
    on_malformed=st.sampled_from(["fail", "skip", "quarantine"]),
    infer=st.sampled_from([0, 10_000]),
)
def test_every_cell_comes_back(
    written: Written, on_malformed: str, infer: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found, ctx = read(
        tmp_path_factory.mktemp("dialect"),
        written.body,
        infer_rows=infer,
        on_malformed=on_malformed,
        **written.settings,
    )
    assert [w.code for w in ctx.report().warnings] == []
    for wanted, got in zip(written.rows, found.rows(), strict=True):
        for text, value in zip(wanted, got, strict=True):
            if value is None:
                assert text == ""
            elif isinstance(value, float):
                assert value == float(text) or (value != value and text == "nan")
            else:
                assert (str(value).lower() if isinstance(value, bool) else str(value)) == text
