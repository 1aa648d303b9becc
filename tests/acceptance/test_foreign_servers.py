"""The collectors against servers nobody here wrote: Datasette over a real database, and httpbin."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import polars as pl
import pytest

from service.collectors.api import ApiCollector
from service.collectors.web import WebCollector
from service.engine.polars_frame import PolarsFrame
from service.kit import errors
from service.network.policy import Network
from service.steps.collector import Collector
from service.steps.context import CollectContext
from tests.acceptance.service import clean_environment, free_port, process

COUNT = 250
NOTE = 'x "q", y\nz'
KINDS: dict[str, type[Collector]] = {"api": ApiCollector, "web": WebCollector}
SECRETS = {"PASSWORD": "open sesame+1"}


def serving(command: list[str], port: int, folder: Path) -> Iterator[str]:
    """The address of a server once it answers anything at all."""
    address = f"http://127.0.0.1:{port}"
    with process(command, cwd=folder, env=clean_environment()) as child:
        deadline = monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert child.poll() is None, (folder / "process.log").read_text()
                assert monotonic() < deadline
        yield address


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("datasette"), free_port()
    connection = sqlite3.connect(folder / "shop.db")
    with connection:
        connection.execute("create table orders(id integer primary key, code text, price real, note text)")
        rows = [(i, f"{i:05d}", i / 4, NOTE if i % 7 == 0 else None) for i in range(1, COUNT + 1)]
        connection.executemany("insert into orders values(?, ?, ?, ?)", rows)
    connection.close()
    yield from serving([sys.executable, "-m", "datasette", "shop.db", "-p", str(port)], port, folder)


@pytest.fixture(scope="module")
def httpbin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "httpbin:app", "run", "-p", str(port)]
    yield from serving(command, port, tmp_path_factory.mktemp("httpbin"))


def collected(kind: str, folder: Path, **config: Any) -> tuple[pl.DataFrame, CollectContext]:
    settings = msgspec.convert({"type": kind, **config}, KINDS[kind])
    assert list(settings.problems()) == []
    ctx = CollectContext("collectors[0]", folder, network=Network(("127.0.0.1",)), secrets=SECRETS, frames=PolarsFrame)
    frame = asyncio.run(settings.collect(ctx))
    assert isinstance(frame, PolarsFrame)
    return frame.lazy.collect(engine="streaming"), ctx


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
    fields = {"container": "p", "text": ""}
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
