"""An API key with a row filter against a real service: no route tells it of the rows that it does not see.

Two pipelines differ in the hidden rows alone. Each request is made of both, and must get the same answer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import polars as pl
import pytest

from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving

FEW, MANY, SECRET = "sales_few", "sales_mny", "canary-8841"
MINE = 40
_VARYING = {"connection", "date", "x-request-id", "ratelimit-remaining", "ratelimit-reset", "etag", "content-length"}
_TIMES = re.compile(r'"(elapsed_ms|created|run_id)":("[^"]*"|[0-9.]+)')

# What shows the rows that the key sees.
SHOWN = [
    "data", "data?limit=7&offset=30", "data?limit=40", "data?limit=39&format=ndjson", "data?format=csv",
    "data?format=ndjson", "data?sort=-amount&limit=3", "data?filter=amount%20%3E%20-5&limit=100",
    "data?filter=CAST(note%20AS%20INTEGER)%20%3E%205", "data?filter=tenant%20%3D%20%27b%27", "schema",
    "schema?format=sql", "schema?format=json-schema", "schema?format=avro", "rows/3", "rows/1003", "rows/x",
    "quarantine", "quarantine?limit=2&format=ndjson", "config",
]  # fmt: skip
# What tells of all rows.
CLOSED = [
    "status", "stats", "runs", "versions", "versions/1", "versions/1/fitted", "versions/2/diff?against=1", "profile",
    "lineage", "notifications",
]  # fmt: skip
STATEMENTS = [
    "SELECT count(*), sum(amount), min(note), max(id) FROM NAME", "SUMMARIZE NAME", 'SELECT count(*) FROM "NAME@1"',
    "SELECT count(*) FROM NAME__quarantine", "SELECT CAST(note AS INTEGER) FROM NAME ORDER BY 1 DESC LIMIT 2",
    "SELECT * FROM NAME WHERE error(note)", "EXPLAIN FROM NAME", "FROM penstock.runs", "FROM penstock.versions",
    "SELECT stats(id) FROM NAME", "SELECT id FROM NAME WHERE tenant = 'b'",
    "SELECT 1 FROM NAME, NAME n2 HAVING count(*) > 1", "SELECT length(bitstring_agg(id)) FROM NAME",
    "SELECT list(g) = list_sort(list(g)) FROM (SELECT id * 3 AS g FROM NAME GROUP BY g)",
    "SELECT bitstring_agg(id) OVER () FROM NAME", "SELECT list_aggregate(list(id), 'bitstring_agg') FROM NAME",
]  # fmt: skip


def csv(hidden: int) -> bytes:
    mine = [f"{i},a,{i},{i * 1.5 if i % 10 else -1}" for i in range(MINE)]
    others = [f"{1000 + i},b,{SECRET},{-99999 if i % 3 else 5}" for i in range(hidden)]
    lines = [*others[: hidden // 2], *mine[:25], *others[hidden // 2 :], *mine[25:]]
    return "\n".join(["id,tenant,note,amount", *lines, ""]).encode()


def pipeline(name: str) -> dict[str, Any]:
    rules = {"rules": [{"column": "amount", "check": "in_range", "min": -50_000}], "on_fail": "quarantine"}
    return {
        "name": name, "collectors": [{"type": "csv", "file_path": f"{name}.csv", "schema": {"note": "string"}}],
        "processors": [{"type": "validator", "config": rules}, {"type": "analyzer"}],
        "storage": [{"type": "parquet"}, {"type": "duckdb", "primary_key": "id"}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000"}
    with serving(tmp_path_factory.mktemp("filtered") / "data", **settings) as served:
        served.login()
        for name, hidden in ((FEW, 3), (MANY, 400)):
            served.json("PUT", f"/files/{name}.csv", status=201, content=csv(hidden))
            served.json("POST", "/pipeline/create", status=201, json=pipeline(name))
            for _ in range(2):
                served.json("POST", f"/pipeline/{name}/execute?wait=60&full_refresh=true")
        yield served


def make(served: Served, status: int = 201, **definition: Any) -> Any:
    return served.json("POST", "/keys", status=status, json={"name": "reader", **definition})


@pytest.fixture(scope="module")
def reader(served: Served) -> Iterator[httpx.Client]:
    key = make(served, row_filter={FEW: "tenant = 'a'", MANY.upper(): "tenant = 'a'"})["key"]
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=served.http.base_url, headers=headers, timeout=PATIENCE, trust_env=False) as http:
        yield http


def same(reader: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    """The answer about both pipelines, which must be one but for the name."""
    told: list[Any] = []
    answer = None
    for name in (FEW, MANY):
        body = {k: v.replace("NAME", name) if isinstance(v, str) else v for k, v in request.get("json", {}).items()}
        answer = reader.request(method, path.replace("NAME", name), json=body if "json" in request else None)
        text = _TIMES.sub("", answer.text.replace(name, "NAME").replace(answer.headers["x-request-id"], ""))
        headers = {k: v.replace(name, "NAME") for k, v in answer.headers.items() if k not in _VARYING | {"link"}}
        told.append((answer.status_code, headers, re.sub(r'"next":"[^"]*"', "", text), "link" in answer.headers))
    assert answer is not None
    assert told[0] == told[1], path
    assert SECRET not in answer.text
    return answer


@pytest.mark.parametrize("path", SHOWN)
def test_rows_are_those_that_the_key_sees(reader: httpx.Client, path: str) -> None:
    answer = same(reader, "GET", f"pipeline/NAME/{path}")
    assert answer.status_code in (200, 400, 404)
    if path == "data":
        assert answer.json()["total_rows"] == MINE


@pytest.mark.parametrize("path", CLOSED)
def test_what_tells_of_all_rows_is_closed(reader: httpx.Client, path: str) -> None:
    answer = same(reader, "GET", f"pipeline/NAME/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "ROW_FILTERED")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_sql(reader: httpx.Client, statement: str) -> None:
    assert same(reader, "POST", "query", json={"sql": statement}).status_code in (200, 400, 403)


def test_other_ways_to_rows(served: Served, reader: httpx.Client) -> None:
    for name in ("few", "mny"):
        served.json("PUT", f"/queries/{name}", status=201, json={"sql": f"SELECT count(*) AS n FROM sales_{name}"})
        assert reader.get(f"q/{name}").json()["data"] == [{"n": MINE}]
    body = {"keys": [1003, 3, 1001]}
    assert same(reader, "POST", "pipeline/NAME/rows", json=body).json()["missing"] == [0, 2]
    closed = same(reader, "POST", "pipeline/NAME/apply", json={"records": []})
    assert (closed.status_code, closed.json()["error"]["code"]) == (403, "ROW_FILTERED")
    run = served.json("GET", f"/pipeline/{MANY}/runs")["items"][0]["run_id"]
    for path in ("", "/events", "/logs"):
        assert reader.get(f"runs/{run}{path}").json()["error"]["code"] == "ROW_FILTERED"
    tables = {table["name"]: table["row_count"] for table in reader.get("tables").json()["items"]}
    assert tables == {FEW: None, MANY: None}
    assert reader.get(f"tables/{MANY}@1").json()["row_count"] is None


def test_arrow_and_parquet(reader: httpx.Client, tmp_path: Path) -> None:
    arrow = reader.get(f"pipeline/{MANY}/data?format=arrow").content
    assert pl.read_ipc_stream(io.BytesIO(arrow))["tenant"].to_list() == ["a"] * MINE
    answer = reader.get(f"pipeline/{MANY}/data?format=parquet", headers={"range": "bytes=0-99"})
    assert "accept-ranges" not in answer.headers
    file = tmp_path / "rows.parquet"
    file.write_bytes(answer.content)
    with duckdb.connect() as connection:
        found = connection.execute("SELECT count(*), min(tenant), max(tenant) FROM read_parquet(?)", [str(file)])
        assert found.fetchall() == [(MINE, "a", "a")]
    assert SECRET.encode() not in answer.content


def test_answers_are_not_shared_with_others(served: Served, reader: httpx.Client) -> None:
    path = f"/pipeline/{MANY}/data?limit=1000"
    tags = []
    for _ in range(2):
        whole, mine = served.http.get(f"pipeline/{MANY}/data?limit=1000"), reader.get(path[1:])
        assert len(mine.json()["data"]) == MINE < len(whole.json()["data"])
        tags.append((whole.headers["etag"], mine.headers["etag"]))
    assert tags[0] == tags[1]
    assert tags[0][0] != tags[0][1]
    assert reader.get(path[1:], headers={"if-none-match": tags[0][1]}).status_code == 304


def test_a_filter_holds_for_versions_of_an_earlier_name(served: Served) -> None:
    """Those that are read by their pipeline know the table under the name that it had when they were made."""
    name = "renamed"

    def document(table: str) -> dict[str, Any]:
        return {**pipeline(name), "storage": [{"type": "duckdb", "table": table, "primary_key": "id"}]}

    served.json("PUT", f"/files/{name}.csv", status=201, content=csv(30))
    served.json("POST", "/pipeline/create", status=201, json=document("early"))
    served.json("POST", f"/pipeline/{name}/execute?wait=60")
    keys = [make(served, row_filter={"early": "tenant = 'a'"})["key"]]
    served.json("PUT", f"/pipeline/{name}/config", json=document("late"))
    keys.append(make(served, row_filter={"LATE": "tenant = 'a'"})["key"])
    for key in keys:
        headers = {"authorization": f"Bearer {key}"}
        for path in ("data", "data?version=1&format=csv", "schema", "quarantine", "rows/1003"):
            answer = served.http.get(f"/pipeline/{name}/{path}", headers=headers)
            assert answer.status_code == (404 if path == "rows/1003" else 200), path
            assert SECRET not in answer.text, path
            assert answer.json()["total_rows"] == MINE if path == "data" else True
        for table in ("late", '"late@1"', "late__quarantine"):
            sql = f"SELECT count(*) FILTER (tenant = 'b') AS n FROM {table}"
            answer = served.http.post("/query", headers=headers, json={"sql": sql})
            assert answer.json()["data"] == [{"n": 0}], table


@pytest.mark.parametrize(
    ("row_filter", "field"),
    [
        ({"nothing": "true"}, "row_filter.nothing"), ({FEW: "tenantt = 'a'"}, f"row_filter.{FEW}"),
        ({FEW: "tenant = (SELECT 'a')"}, f"row_filter.{FEW}"), ({FEW: "count(*) > 1"}, f"row_filter.{FEW}"),
        ({f"{FEW}@1": "true"}, f"row_filter.{FEW}@1"),
        ({f"{FEW}__quarantine": "true"}, f"row_filter.{FEW}__quarantine"),
        ({FEW: "  "}, f"row_filter.{FEW}"), ({FEW: "true", FEW.upper(): "true"}, None),
        ({FEW: "true) OR (true"}, f"row_filter.{FEW}"), ({FEW: ""}, None), ({}, None),
    ],
)  # fmt: skip
def test_a_filter_that_does_not_fit_is_refused(served: Served, row_filter: dict[str, str], field: str | None) -> None:
    refused = make(served, 400, row_filter=row_filter)["error"]
    assert field is None or refused["details"]["field"] == field


def test_a_key_with_a_filter_is_a_viewer(served: Served) -> None:
    assert make(served, 400, row_filter={FEW: "true"}, role="operator")["error"]["details"]["field"] == "role"
