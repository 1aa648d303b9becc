"""The collectors against servers nobody here wrote: Datasette over a real database, and httpbin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.kit import errors
from tests.acceptance.foreign import COUNT, NOTE, collected
from tests.acceptance.service import clean_environment


def whole(frame: pl.DataFrame) -> None:
    assert frame["id"].cast(pl.Int64).to_list() == list(range(1, COUNT + 1))
    assert frame["code"].to_list() == [f"{i:05d}" for i in range(1, COUNT + 1)]
    assert frame["price"].cast(pl.Float64).sum() == COUNT * (COUNT + 1) / 8


@pytest.mark.parametrize(
    ("shape", "pagination"),
    [
        ("objects", {"type": "cursor", "cursor_path": "next", "cursor_param": "_next"}),
        ("objects", {"type": "next_url", "next_path": "next_url", "total_path": "filtered_table_rows_count"}),
        ("array", {"type": "link_header"}),
    ],
)
def test_every_row_of_datasette(shape: str, pagination: dict[str, Any], datasette: str, tmp_path: Path) -> None:
    frame, ctx = collected(
        "api", tmp_path, endpoint=f"{datasette}/shop/orders.json", pagination=pagination, completeness="strict",
        params={"_shape": shape, "_size": 40},
    )  # fmt: skip
    whole(frame)
    assert frame["note"].drop_nulls().unique().to_list() == [NOTE]
    assert ctx.report().evidence["pages"] == 7
    assert ctx.report().evidence["stop_reason"] == "no_next"
    assert ctx.report().evidence["declared_total"] == (COUNT if "total_path" in pagination else None)
    assert ctx.report().warnings == ()


def test_datasette_as_csv_and_as_pages(datasette: str, tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    frame, _ = collected(
        "api", tmp_path / "csv", endpoint=f"{datasette}/shop/orders.csv", response_format="csv",
        params={"_stream": "on"},
    )  # fmt: skip
    whole(frame)
    (tmp_path / "web").mkdir()
    frame, ctx = collected(
        "web", tmp_path / "web", url=f"{datasette}/shop/orders?_size=100", table="table.rows-and-columns",
        next_page='a:lexbor-contains("Next page")',
    )  # fmt: skip
    assert ctx.report().evidence["pages"] == 3
    assert frame.columns[1:] == ["code", "price", "note"]
    assert frame[:, 0].to_list() == [str(i) for i in range(1, COUNT + 1)]


def test_httpbin_speaks_lines_gzip_and_passwords(httpbin: str, tmp_path: Path) -> None:
    frame, _ = collected("api", tmp_path, endpoint=f"{httpbin}/stream/20", response_format="ndjson", flatten=False)
    assert frame["id"].to_list() == list(range(20))
    for way in ("gzip", "deflate"):
        frame, _ = collected("api", tmp_path, endpoint=f"{httpbin}/{way}", records_path="headers")
        assert frame["Host"].to_list() == [httpbin.removeprefix("http://")]
    auth = {"type": "basic", "username": "me", "password": "${PASSWORD}"}
    path = f"{httpbin}/basic-auth/me/open%20sesame+1"
    frame, _ = collected("api", tmp_path, endpoint=path, auth=auth, records_path="$")
    assert frame["authenticated"].to_list() == [True]
    with pytest.raises(errors.Permanent, match="401"):
        collected("api", tmp_path, endpoint=path, auth={**auth, "username": "you"})


def test_httpbin_redirects_refuses_and_breaks(httpbin: str, tmp_path: Path) -> None:
    frame, _ = collected("api", tmp_path, endpoint=f"{httpbin}/redirect/3", records_path="headers")
    assert frame.height == 1
    for path, said in (
        ("redirect/4", "more than 3 redirects"),
        ("redirect-to?url=http://169.254.169.254/", "refused"),
        ("status/404", "404"),
        ("brotli", "encoded as 'br'"),
        ("image/png", "not valid JSON"),
    ):
        with pytest.raises(errors.Permanent, match=said):
            collected("api", tmp_path, endpoint=f"{httpbin}/{path}")
    retry = {"max_attempts": 2, "initial_delay_seconds": 0}
    for path in ("status/503", "delay/3"):
        with pytest.raises(errors.Transient):
            collected("api", tmp_path, endpoint=f"{httpbin}/{path}", retry=retry, timeout_seconds=0.5)


def test_httpbin_pages_and_robots(httpbin: str, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"container": "p", "text": ""}
    with pytest.raises(errors.Permanent, match=r"robots\.txt does not allow"):
        collected("web", tmp_path, url=f"{httpbin}/deny", css_selectors=fields)
    fields = {"container": "body", "links": {"selector": "a", "attribute": "href", "many": True}}
    frame, _ = collected("web", tmp_path, url=[f"{httpbin}/links/4/{i}" for i in range(4)], css_selectors=fields)
    assert frame["links"].list.len().to_list() == [3] * 4
    assert frame["links"][0].to_list() == [f"{httpbin}/links/4/{i}" for i in (1, 2, 3)]


def test_from_datasette_to_a_committed_version(datasette: str, tmp_path: Path) -> None:
    source = {
        "type": "api", "endpoint": f"{datasette}/shop/orders.json?_shape=objects&_size=50", "completeness": "strict",
        "pagination": {"type": "next_url", "next_path": "next_url", "total_path": "filtered_table_rows_count"},
    }  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps({"name": "orders", "collectors": [source]}))
    root = str(Path(__file__).parents[2])
    env = clean_environment(PYTHONPATH=root, PENSTOCK_ALLOWED_PRIVATE_HOSTS="127.0.0.1")
    command = [sys.executable, "-m", "service", "run", "p.json", "--data-dir", "data", "--json"]
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "data" / "warehouse" / "orders" / "v000001" / "manifest.json").read_bytes())
    evidence = manifest["sources"][0]["evidence"]
    assert manifest["rows"] == evidence["rows"] == evidence["declared_total"] == COUNT
    assert evidence["stop_reason"] == "no_next"
