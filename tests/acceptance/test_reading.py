"""Reading from a real server as ordinary clients do: page by page, by ranges, compressed, with HEAD."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import polars as pl
import pyarrow.ipc as ipc
import pytest
from backports import zstd
from pyarrow import parquet

from tests.acceptance.served import PASSWORD, Served, serving

ROWS = 5_000
P = "/pipeline/numbers"
HOW: dict[str, Any] = {"ndjson": pl.read_ndjson, "csv": pl.read_csv, "parquet": pl.read_parquet}


def table(first: int) -> bytes:
    letters = random.Random(1)
    rows = "".join(f"{first + i},{(first + i) % 7},{letters.randbytes(32).hex()}\n" for i in range(ROWS))
    return f"id,kind,text\n{rows}".encode()


def stored(served: Served, first: int) -> None:
    """A new version whose ids begin with ``first``."""
    assert served.http.put("/files/numbers.csv", content=table(first)).status_code < 300
    run = served.json("POST", f"{P}/execute", params={"wait": 60})
    assert run["status"] == "completed", run


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("reading") / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_RATE_LIMIT_PER_MINUTE="6000") as running:
        running.login()
        running.http.put("/files/numbers.csv", content=table(0))
        document = {"name": "numbers", "collectors": [{"type": "csv", "file_path": "numbers.csv"}]}
        running.json("POST", "/pipeline/create", status=201, json=document)
        running.json("POST", f"{P}/execute", params={"wait": 60})
        yield running


def test_pages_of_one_version_while_new_ones_come(served: Served) -> None:
    page = served.json("GET", f"{P}/data?limit=1999&sort=-kind,id")
    version, ids = page["version"], [row["id"] for row in page["data"]]
    stored(served, 1_000_000)
    while page["next"] is not None:
        page = served.json("GET", f"{P}/data", params={"cursor": page["next"]})
        assert (page["version"], page["limit"]) == (version, 1999)
        ids += [row["id"] for row in page["data"]]
    assert ids == sorted(range(ROWS), key=lambda i: (-(i % 7), i))
    assert served.json("GET", f"{P}/data?limit=1")["version"] > version


@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "arrow", "parquet"])
def test_links_lead_through_the_rows_of_a_filter(served: Served, form: str) -> None:
    path: str | None = f"/api/v1{P}/data?version=1&format={form}&limit=400&filter=kind%20%3D%203&columns=id"
    ids: list[int] = []
    pages = 0
    while path is not None:
        answer = served.http.get(served.address + path)
        assert answer.status_code == 200, answer.text
        pages += 1
        ids += read(form, answer)
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert (pages, ids) == (2, [i for i in range(ROWS) if i % 7 == 3])


def read(form: str, answer: httpx.Response) -> list[int]:
    if form == "json":
        return [row["id"] for row in answer.json()["data"]]
    if form == "arrow":
        open_stream: Any = ipc.open_stream
        return list(open_stream(answer.content).read_all()["id"].to_pylist())
    found: list[int] = HOW[form](io.BytesIO(answer.content))["id"].to_list()
    return found


def test_a_cursor_of_a_deleted_version(served: Served) -> None:
    for first in (2_000_000, 3_000_000):
        stored(served, first)
    newest = served.json("GET", f"{P}/versions")["items"][0]["version"]
    cursor = served.json("GET", f"{P}/data?version={newest - 1}&limit=5")["next"]
    assert served.http.delete(f"{P}/versions/{newest - 1}").status_code < 300
    error = served.json("GET", f"{P}/data", status=404, params={"cursor": cursor})["error"]
    assert (error["code"], error["details"]["field"]) == ("VERSION_NOT_FOUND", "cursor")


class Remote(io.RawIOBase):
    """A file that is read by ranges, as DuckDB's and Arrow's readers of HTTP do."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__()
        self.client, self.path, self.at, self.read_bytes = client, path, 0, 0
        head = client.head(path)
        assert (head.status_code, head.headers["accept-ranges"]) == (200, "bytes")
        self.length, self.tag = int(head.headers["content-length"]), head.headers["etag"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.length)[whence]
        return self.at

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), self.length - self.at)
        if size <= 0:
            return 0
        headers = {"range": f"bytes={self.at}-{self.at + size - 1}", "if-range": self.tag}
        answer = self.client.get(self.path, headers=headers)
        assert (answer.status_code, len(answer.content)) == (206, size)
        assert answer.headers["content-range"] == f"bytes {self.at}-{self.at + size - 1}/{self.length}"
        buffer[:size] = answer.content
        self.at, self.read_bytes = self.at + size, self.read_bytes + size
        return size


def test_a_reader_of_parquet_takes_only_what_it_needs(served: Served) -> None:
    remote = Remote(served.http, f"{P}/data?version=1&format=parquet")
    reader: Any = parquet.ParquetFile
    assert reader(remote).read(columns=["kind"])["kind"].to_pylist() == [i % 7 for i in range(ROWS)]
    assert remote.read_bytes < remote.length


def test_the_whole_file(served: Served) -> None:
    whole = served.http.get(f"{P}/data?version=1&format=parquet")
    assert whole.headers["content-disposition"] == 'attachment; filename="numbers-v1.parquet"'
    assert "content-encoding" not in whole.headers
    assert pl.read_parquet(io.BytesIO(whole.content))["id"].to_list() == list(range(ROWS))


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-0", 206, 0, 0), ("bytes=-8", 206, -8, -1), ("bytes=10-", 206, 10, -1),
        ("bytes=5-99999999", 206, 5, -1), ("bytes=0-1,4-5", 200, 0, -1), ("bytes=9-3", 200, 0, -1),
        ("rows=0-1", 200, 0, -1), ("bytes=-", 200, 0, -1), ("bytes=x-1", 200, 0, -1), ("bytes=-99999999", 206, 0, -1),
    ],
)  # fmt: skip
def test_ranges(served: Served, asked: str, status: int, first: int, last: int) -> None:
    path = f"{P}/data?version=1&format=parquet"
    whole = served.http.get(path).content
    part = served.http.get(path, headers={"range": asked})
    size = len(whole)
    expected = whole[first % size : last % size + 1]
    assert (part.status_code, part.content) == (status, expected)
    assert int(part.headers["content-length"]) == len(expected)
    if status == 206:
        assert part.headers["content-range"] == f"bytes {first % size}-{last % size}/{size}"


def test_ranges_that_cannot_be_answered(served: Served) -> None:
    path = f"{P}/data?version=1&format=parquet"
    whole = served.http.get(path)
    for asked in ("bytes=99999999-", "bytes=-0"):
        beyond = served.http.get(path, headers={"range": asked})
        assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "RANGE_NOT_SATISFIABLE")
        assert beyond.headers["content-range"] == f"bytes */{len(whole.content)}"
    old = served.http.get(path, headers={"range": "bytes=0-3", "if-range": '"another"'})
    assert (old.status_code, old.content) == (200, whole.content)
    same = served.http.get(path, headers={"range": "bytes=0-3", "if-none-match": whole.headers["etag"]})
    assert same.status_code == 304
    for other in (f"{P}/data?version=1&format=parquet&limit=5", f"{P}/data?version=1&format=csv"):
        answer = served.http.get(other, headers={"range": "bytes=0-3"})
        assert (answer.status_code, "accept-ranges" in answer.headers) == (200, False)


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("zstd", zstd.decompress)])
@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "arrow"])
def test_compressed_rows(served: Served, form: str, coding: str, decode: Any) -> None:
    path = f"{P}/data?version=1&format={form}"
    plain = served.http.get(path, headers={"accept-encoding": "identity"})
    with served.http.stream("GET", path, headers={"accept-encoding": coding}) as answer:
        sent = b"".join(answer.iter_raw())
    assert (answer.headers["content-encoding"], answer.headers["etag"]) == (coding, f"W/{plain.headers['etag']}")
    assert decode(sent) == plain.content
    assert len(sent) < len(plain.content) * 0.8


def test_curl_heads(served: Served) -> None:
    assert shutil.which("curl"), "the README's tour needs curl, too"
    for path, has_length in (("data?format=parquet&version=1", True), ("data?format=csv", False), ("schema", True)):
        url = f"{served.address}/api/v1{P}/{path}"
        token = f"Authorization: {served.http.headers['authorization']}"
        shown = subprocess.run(["curl", "-sSI", "-H", token, url], capture_output=True, text=True, timeout=60)
        lines = shown.stdout.lower().splitlines()
        assert (shown.returncode, lines[0]) == (0, "http/1.1 200 ok"), shown.stderr
        assert any(line.startswith("content-length:") for line in lines) == has_length
    assert served.json("GET", f"{P}/data?limit=1")["row_count"] == 1  # the workers of these answers are free again


def test_what_the_server_logs_of_them(served: Served) -> None:
    served.http.head("/tables")
    lines = served.until_logged(lambda line: line.get("method") == "HEAD" and line.get("path") == "/api/v1/tables")
    assert lines[-1]["status"] == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("filter=nope%3D1", "VALIDATION_ERROR"), ("filter=id%20%3E", "INVALID_SQL"), ("sort=nope", "VALIDATION_ERROR"),
        ("columns=nope", "VALIDATION_ERROR"), ("limit=100001", "VALIDATION_ERROR"),
        ("format=csv&filter=nope%3D1", "VALIDATION_ERROR"), ("cursor=nope", "VALIDATION_ERROR"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_that_nothing_changed(served: Served, query: str, code: str) -> None:
    error = served.json("GET", f"{P}/data?{query}", status=400, headers={"if-none-match": "*"})["error"]
    assert error["code"] == code
    assert served.http.get(f"{P}/data?limit=5", headers={"if-none-match": "*"}).status_code == 304


@pytest.mark.parametrize("text", ["id < random() * 100", "now() > TIMESTAMP '2020-01-01'", "current_date IS NOT NULL"])
def test_what_does_not_repeat_has_no_etag(served: Served, text: str) -> None:
    answer = served.http.get(f"{P}/data", params={"filter": text, "limit": 5}, headers={"if-none-match": "*"})
    assert (answer.status_code, "etag" in answer.headers) == (200, False)


@pytest.fixture
def forwarded(served: Served) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """A proxy that adds the token, for readers that send no headers; and what they asked: method, status, bytes."""
    asked: list[tuple[str, int, int]] = []

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = {name: value for name, value in self.headers.items() if name.lower() in ("range", "if-range")}
            url = served.address + self.path
            answer = served.http.request(self.command, url, headers={**sent, "accept-encoding": "identity"})
            asked.append((self.command, answer.status_code, len(answer.content)))
            self.send_response(answer.status_code)
            for name in ("content-length", "content-range", "accept-ranges", "etag", "content-type"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        do_HEAD = do_GET  # noqa: N815 - its name in http.server

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_polars_scans_by_ranges(served: Served, forwarded: tuple[str, list[tuple[str, int, int]]]) -> None:
    address, asked = forwarded
    url = f"{address}/api/v1{P}/data?version=1&format=parquet"
    assert pl.scan_parquet(url, glob=False).select(pl.col("id").sum()).collect().item() == sum(range(ROWS))
    assert ("GET", 206) in {(method, status) for method, status, _ in asked}, asked
