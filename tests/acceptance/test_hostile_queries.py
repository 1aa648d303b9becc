"""Statements of an attacker against a real service: the process that answers requests is not touched by any."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving, upload_and_create
from tests.unit.sandbox import attacks

MIB = 1 << 20
ENDLESS = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t"
BOMBS = ["FROM pandas_scan(NULL)", "SELECT list_resize([1], 2000000000, 0)", "SELECT repeat('1', 2000000000)::BIT"]
WRONG = [
    "FROM nothing", "SELECT nothing FROM cities", "FROM '/etc/passwd'", "SELECT * FROM read_parquet('x')",
    "SELECT CAST(city AS INTEGER) FROM cities", "SELECT error('x')", "SELECT 1 +", "EXPLAIN ANALYZE FROM cities",
    "SELECT file_row_number, filename FROM cities", "FROM duckdb_settings()", "SELECT current_setting('allowed_paths')",
    'FROM "cities@9"', "SELECT x FROM cities, LATERAL (SELECT city::DATE AS x)", *BOMBS, *attacks.REFUSED[::50],
]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"PENSTOCK_QUERY_MEMORY_LIMIT": "768MiB", "PENSTOCK_QUERY_TIMEOUT_SECONDS": str(PATIENCE)}
    folder = tmp_path_factory.mktemp("attacked")
    with serving(folder / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD, **settings) as served:
        served.login()
        upload_and_create(served)
        served.json("POST", "/pipeline/cities/execute?wait=30")
        yield served


def memory(served: Served) -> int:
    """The most memory that the process of the service had so far, in bytes."""
    status = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) << 10


def test_requirement_01_health_answers_while_a_statement_has_no_end(served: Served) -> None:
    """However long it takes, the answers do not wait for it; the bombs end in the meantime, each by itself."""
    before, body = memory(served), json.dumps({"sql": ENDLESS}).encode()
    host, _, port = served.address.removeprefix("http://").partition(":")
    head = f"Host: x\r\nContent-Type: application/json\r\nAuthorization: {served.http.headers['authorization']}\r\n"
    head += f"Content-Length: {len(body)}\r\n"
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        connection.sendall(f"POST /api/v1/query HTTP/1.1\r\n{head}\r\n".encode() + body)
        for statement in BOMBS:
            assert served.http.post("/query", json={"sql": statement}).status_code == 400, statement
            for _ in range(10):
                assert served.http.get(f"{served.address}/health").json()["status"] == "healthy"
        assert select.select([connection], [], [], 0)[0] == [], connection.recv(1000)
    assert memory(served) < before + 100 * MIB
    assert served.json("POST", "/query", json={"sql": "SELECT count(*) AS n FROM cities"})["data"] == [{"n": 3}]


def test_requirement_11_no_error_shows_where_the_data_lie(served: Served) -> None:
    shown = [served.http.post("/query", json={"sql": sql}) for sql in WRONG]
    for path in ("data?filter=x", "data?sort=y", "data?version=9", "rows/1", "profile", "diff?from=1&to=9"):
        shown.append(served.http.get(f"/pipeline/cities/{path}"))
    broken = {"name": "broken", "collectors": [{"type": "csv", "file_path": "gone.csv"}]}
    served.json("POST", "/pipeline/create", status=201, json=broken)
    shown += [served.http.post(f"/pipeline/{path}", json=broken) for path in ("broken/execute?wait=30", "preview")]
    shown += [served.http.put("/files/a/../../b", content=b"x"), served.http.delete("/files/gone.csv")]
    for answer in shown:
        assert answer.status_code < 500, answer.text
        assert str(served.data) not in answer.text, answer.text
        assert "site-packages" not in answer.text, answer.text
        assert "Traceback" not in answer.text, answer.text
    assert sum("error" in json.loads(answer.content) for answer in shown) > len(WRONG)
