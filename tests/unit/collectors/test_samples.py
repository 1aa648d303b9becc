"""Collectors that are asked for some rows only: they stop early, and what they bring is the beginning."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.collectors.source_file import head
from service.engine.polars_frame import PolarsFrame
from service.files.allowed_files import Files
from service.network.policy import Network
from service.steps.context import CollectContext
from tests.registry import decoded
from tests.unit.network.site import Hit, Reply, serving

ROWS = 5000
CSV = "id,text\n" + "".join(f'{i},"a ""b""\nc {i}"\n' for i in range(ROWS))


def collect(folder: Path, collector: dict[str, Any], rows: int = 10) -> tuple[pl.DataFrame, CollectContext]:
    work = folder / "work"
    work.mkdir()
    ctx = CollectContext(
        "collectors[0]", work, files=Files((folder,)), wanted_rows=rows, frames=PolarsFrame,
        network=Network(allowed_private_hosts=("127.0.0.1",)),
    )  # fmt: skip
    frame = asyncio.run(decoded("collectors", collector).collect(ctx))
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.head(rows).collect(), ctx


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_the_beginning_of_a_csv_file(tmp_path: Path, encoding: str, packed: bool) -> None:
    text = CSV.replace("c 3", "ü 3").encode(encoding)
    (tmp_path / "a.csv").write_bytes(gzip.compress(text) if packed else text)
    found, _ = collect(tmp_path, {"type": "csv", "file_path": "a.csv", "encoding": encoding})
    assert found["id"].to_list() == list(range(10))
    assert found["text"][3] == 'a "b"\nü 3'
    copies = sum(p.stat().st_size for p in (tmp_path / "work").rglob("*.csv"))
    assert copies < 2000


def test_lines_that_are_no_records_do_not_count(tmp_path: Path) -> None:
    text = 'made by hand\n# a "comment\nid;n\n' + "".join(f"# {i}\n{i};{i}\n" for i in range(ROWS))
    (tmp_path / "a.csv").write_text(text)
    settings = {"separator": ";", "comment_prefix": "#", "skip_rows": 1}
    found, _ = collect(tmp_path, {"type": "csv", "file_path": "a.csv", **settings})
    assert found.rows() == [(i, i) for i in range(10)]


def test_every_file_tells_its_columns(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text(f"id,{name}\n" + "1,2\n" * 100)
    found, _ = collect(tmp_path, {"type": "csv", "file_path": "*.csv"})
    assert (found.columns, found.height) == (["id", "a", "b", "c"], 10)


def test_a_record_without_end_is_no_reason_to_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "MOST_BYTES", 100_000)
    path = tmp_path / "a.csv"
    path.write_text('id\n"' + "x\n" * 1_000_000)
    copy = head.head(path, 10, tmp_path / "head", quote='"')
    assert 100_000 <= copy.stat().st_size < 200_000


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind(tmp_path: Path, ending: str) -> None:
    (tmp_path / "a.csv").write_bytes(ending.join(["id,n", *(f"{i},{i}" for i in range(100))]).encode())
    found, _ = collect(tmp_path, {"type": "csv", "file_path": "a.csv"})
    assert found["n"].to_list() == list(range(10))


def test_the_first_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("".join(json.dumps({"id": i}) + "\n" for i in range(ROWS)))
    found, _ = collect(tmp_path, {"type": "json", "file_path": "a.json"})
    assert found["id"].to_list() == list(range(10))
    assert sum(p.stat().st_size for p in (tmp_path / "work").rglob("a.json")) < 200


@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_of_json(tmp_path: Path, indent: int | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"id": i} for i in range(100)], indent=indent))
    found, _ = collect(tmp_path, {"type": "json", "file_path": "a.json", "columns": ["id", "more"]})
    assert found.rows() == [(i, None) for i in range(10)]


def test_an_api_is_asked_for_no_page_too_many(tmp_path: Path) -> None:
    def answers(hit: Hit) -> Reply:
        page = int(hit.query["page"])
        return Reply.json({"total": 900, "items": [{"id": page * 4 + i, "o": {"k": 1}} for i in range(4)]})

    with serving(answers) as site:
        paged = {"type": "page", "total_path": "total"}
        api = {"type": "api", "endpoint": site.address, "pagination": paged, "concurrency": 8, "completeness": "strict"}
        found, ctx = collect(tmp_path, {**api, "columns": ["o_k", "gone", "id"], "schema": {"gone": "int8"}})
        assert len(site.hits) == 3
    assert found.schema == {"o_k": pl.Int64, "gone": pl.Int8, "id": pl.Int64}
    assert found["id"].to_list() == list(range(4, 14))
    assert ctx.report().evidence["stop_reason"] == "sampled"
    assert [w.code for w in ctx.report().warnings] == ["missing_column"]


def test_a_site_is_asked_for_no_page_too_many(tmp_path: Path) -> None:
    page = b"<ul><li><b>x</b></li><li><b>y</b></li></ul>"
    with serving(lambda _: Reply(page, headers={"content-type": "text/html"})) as site:
        urls = [f"{site.address}/{n}" for n in range(50)]
        selectors = {"container": "li", "name": "b"}
        web = {"type": "web", "url": urls, "css_selectors": selectors, "concurrency": 8, "respect_robots": False}
        found, _ = collect(tmp_path, web, rows=5)
        assert [h.path for h in site.hits] == ["/0", "/1", "/2"]
    assert found["name"].to_list() == ["x", "y", "x", "y", "x"]


@pytest.mark.parametrize(
    ("collector", "schema", "exact"),
    [
        ({"type": "csv", "file_path": "a.csv"}, None, False),
        ({"type": "csv", "file_path": "a.csv", "schema": {"a": "int8"}}, {"a": pl.Int8}, False),
        ({"type": "csv", "file_path": "a.csv", "columns": ["a"]}, {"a": pl.String}, False),
        ({"type": "csv", "file_path": "a.csv", "column_names": ["a"], "infer_rows": 0}, {"a": pl.String}, True),
        ({"type": "csv", "file_path": "a.csv", "columns": ["a"], "schema": {"a": "date"}}, {"a": pl.Date}, True),
        ({"type": "parquet", "file_path": "a", "columns": ["a"], "schema": {"a": "date"}}, {"a": pl.Date}, True),
        ({"type": "api", "endpoint": "http://a", "columns": ["a"], "schema": {"a": "date"}}, {"a": pl.Date}, True),
        ({"type": "api", "endpoint": "http://a", "schema": {"a": "date"}}, {"a": pl.Date}, False),
        ({"type": "web", "url": "http://a", "css_selectors": {"container": "li", "a": "b"}}, {"a": pl.String}, True),
        ({"type": "web", "url": "http://a", "table": "table"}, None, False),
    ],
)
def test_what_the_settings_tell(collector: dict[str, Any], schema: dict[str, Any] | None, exact: bool) -> None:
    declared = decoded("collectors", collector).declared()
    assert (None if declared is None else dict(declared.schema)) == schema
    assert (declared is not None and declared.exact) is exact
