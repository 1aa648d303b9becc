"""CSV of an API in other dialects and compressions: what the probe proposes reads every row of every page."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow.lib as pa
import pytest

from tests.unit.network.site import Hit, Reply, serving
from tests.unit.probing.probes import collected, looked

ROWS = [f"{n};Bücher {n};{n},5" for n in range(1, 24)]


def zstd(body: bytes) -> bytes:
    with pa.output_stream(sink := pa.BufferOutputStream(), compression="zstd") as out:
        out.write(body)
    return bytes(sink.getvalue())


def paged(hit: Hit) -> str:
    page = int(hit.query.get("page", 1))
    return "\n".join(["id;titel;preis", *ROWS[page * 10 - 10 : page * 10], ""])


@pytest.mark.parametrize(
    ("encode", "headers"),
    [
        (str.encode, {"content-type": "text/csv"}),
        (lambda text: text.encode("latin-1"), {"content-type": "text/csv; charset=iso-8859-1"}),
        (lambda text: text.encode("latin-1"), {"content-type": "text/csv"}),
        (lambda text: text.encode("utf-16"), {"content-type": "text/csv"}),
        (lambda text: text.encode("utf-8-sig"), {}),
        (lambda text: gzip.compress(text.encode("cp1252")), {"content-type": "application/octet-stream"}),
        (lambda text: zstd(text.encode()), {"content-type": "text/csv"}),
    ],
)
def test_what_is_proposed_reads_every_row(encode: Any, headers: dict[str, str], tmp_path: Path) -> None:
    with serving(lambda hit: Reply(encode(paged(hit)), headers=headers)) as site:
        found = looked(tmp_path / "probe", url=f"{site.address}/x?page=1")
        assert found.collector is not None
        assert found.collector["separator"] == ";"
        rows = collected(found.collector, tmp_path / "run")
    assert rows["id"].to_list() == list(range(1, 24))
    assert rows["titel"].to_list() == [f"Bücher {n}" for n in range(1, 24)]
    assert rows["preis"].sum() == sum(n + 0.5 for n in range(1, 24))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("# made by x\nid\tname\n1\ta\n2\tb\n3\tc\n", ["id", "name"]),
        ("1|a|x\n2|b|y\n3|c|z\n", ["column_0", "column_1", "column_2"]),
        ("Report of 2026\n\nid,name,n\n1,a,5\n2,b,6\n3,c,7\n", ["id", "name", "n"]),
    ],
)
def test_headers_and_preambles(body: str, names: list[str], tmp_path: Path) -> None:
    with serving(lambda hit: Reply(body.encode(), headers={"content-type": "text/csv"})) as site:
        found = looked(tmp_path / "probe", url=f"{site.address}/x")
        rows = collected(found.collector, tmp_path / "run")
    assert (rows.columns, rows.height) == (names, 3)


def test_malformed_rows_are_kept_aside(tmp_path: Path) -> None:
    body = b'id,note\n1,"a "quoted" word"\n2,b\n3,c,d\n4,e\n'
    with serving(lambda hit: Reply(body, headers={"content-type": "text/csv"})) as site:
        found = looked(tmp_path / "probe", url=f"{site.address}/x")
        assert found.collector is not None
        assert found.collector["on_malformed"] == "quarantine"
        assert any("line 2: text follows the end of a quoted field" in note for note in found.notes)
        assert collected(found.collector, tmp_path / "run")["id"].to_list() == [2, 4]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("format_", ["json", "ndjson"])
def test_compressed_answers_are_read_by_their_content(pack: Any, format_: str, tmp_path: Path) -> None:
    body = b'[{"id": 1}, {"id": 2}]' if format_ == "json" else b'{"id": 1}\n{"id": 2}\n'
    with serving(lambda hit: Reply(pack(body))) as site:
        found = looked(tmp_path / "probe", url=f"{site.address}/x")
        assert found.format == format_
        assert collected(found.collector, tmp_path / "run")["id"].to_list() == [1, 2]
