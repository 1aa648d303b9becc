"""Rows, schemas, versions, runs, tables and SQL: formats, negotiation, streams."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import duckdb
import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.streaming import Relay
from service.kit import errors
from service.query.repeatable import is_repeatable
from tests.api.conftest import a_pipeline
from tests.api.doubles import PROFILE, Blocks, Engine, Supervisor

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_data_asks_the_engine(orders: Client, engine: Engine) -> None:
    query = {"columns": "a, b", "filter": "a > 1", "sort": "-a", "limit": 5, "offset": 2, "version": 1}
    answer = orders.get(f"{P}/data", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert engine.asked[-1][1] | {"source": ""} == {
        "source": "", "columns": ["a", "b"], "filter": "a > 1", "sort": "-a", "limit": 5, "offset": 2,
        "format": "json", "escape_formulas": True,
    }  # fmt: skip


def test_etags(orders: Client, engine: Engine) -> None:
    first = orders.get(f"{P}/data")
    tag = first.headers["etag"]
    assert tag.startswith('"v2-')
    assert orders.get(f"{P}/data?limit=3").headers["etag"] != tag
    assert orders.get(f"{P}/data?format=csv").headers["etag"] != tag
    assert orders.get(f"{P}/data?version=2").headers["etag"] == tag
    asked = len(engine.asked)
    for given in (tag, f'"x", W/{tag}', "*"):
        same = orders.get(f"{P}/data", headers={"if-none-match": given})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert len(engine.asked) == asked + 1  # "*" may come with a filter that was never judged
    orders.post(f"{P}/execute")
    assert orders.get(f"{P}/data", headers={"if-none-match": tag}).status_code == 200


@pytest.mark.parametrize("filter_", ["a > now()", "d = current_date", "x < RANDOM()", '"uuid"() = b', "age(d) > e"])
def test_what_depends_on_time_or_chance_has_no_etag(orders: Client, filter_: str) -> None:
    answer = orders.get(f"{P}/data", params={"filter": filter_}, headers={"if-none-match": "*"})
    assert (answer.status_code, "etag" in answer.headers) == (200, False)
    assert "etag" in orders.get(f"{P}/data", params={"filter": "renown > 1"}).headers


def test_an_invalid_filter_is_refused_before_any_304(orders: Client, engine: Engine) -> None:
    engine.failure = errors.Invalid("filter: the table has no column 'x'", field="filter")
    answer = orders.get(f"{P}/data", params={"filter": "x > 1"}, headers={"if-none-match": "*"})
    assert code(answer) == (400, "VALIDATION_ERROR")


def test_every_volatile_function_of_duckdb_is_known() -> None:
    with duckdb.connect() as connection:
        volatile = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'scalar' "
            "AND stability <> 'CONSISTENT'"
        ).fetchall()
    assert [name for (name,) in volatile if is_repeatable(f"{name}()")] == []
    assert is_repeatable("snow > 1 AND today_ > 2 AND randomly = 'x'")


@pytest.mark.parametrize("route", [f"{P}/data?format=csv&", f"{P}/quarantine?format=csv&", "/api/v1/query?format=csv&"])
def test_requirement_51_formulas_are_escaped_unless_switched_off(orders: Client, engine: Engine, route: str) -> None:
    def ask(query: str) -> Any:
        if "query" in route:
            orders.post(route + query, json={"sql": "SELECT 1"})
        else:
            orders.get(route + query)
        return engine.asked[-1][1]["escape_formulas"]

    assert (ask(""), ask("escape_formulas=true"), ask("escape_formulas=false")) == (True, True, False)


ACCEPTED = [
    ("*/*", "json"), ("application/json", "json"), ("text/csv", "csv"), ("text/html, */*;q=0.8", "json"),
    ("application/vnd.apache.arrow.stream", "arrow"), ("text/csv;q=0.5, application/x-ndjson", "ndjson"),
    ("application/vnd.apache.parquet", "parquet"), ("", "json"), ("text/csv;q=x, application/json;q=0.1", "json"),
]  # fmt: skip


def test_formats_are_negotiated(orders: Client, engine: Engine) -> None:
    for accept, form in ACCEPTED:
        answer = orders.get(f"{P}/data", headers={"accept": accept})
        assert answer.status_code == 200
        assert engine.asked[-1][1]["format"] == form
        if form != "json":
            assert answer.content == b"first\nsecond\n"
            assert answer.headers["content-disposition"].startswith('attachment; filename="orders-v2.')
            assert engine.last is not None
            assert engine.last.closed.is_set()


def test_unknown_formats(orders: Client) -> None:
    for path, method in ((f"{P}/data", "GET"), ("/api/v1/query", "POST")):
        for extra in ({"params": {"format": "xml"}}, {"headers": {"accept": "text/html"}}):
            answer = orders.request(method, path, json={"sql": "SELECT 1"} if method == "POST" else None, **extra)  # type: ignore[arg-type]
            assert code(answer) == (406, "NOT_ACCEPTABLE")


def test_no_data_and_no_version(client: Client) -> None:
    client.post("/api/v1/pipeline/create", json=a_pipeline())
    for part in ("data", "schema", "profile", "versions/1"):
        assert code(client.get(f"{P}/{part}")) == (404, "NO_DATA")
    client.post(f"{P}/execute")
    for part in ("data?version=9", "schema?version=9", "profile?version=9", "versions/9", "versions/x", "versions/-1"):
        assert code(client.get(f"{P}/{part}")) == (404, "VERSION_NOT_FOUND")
    assert code(client.get(f"{P}/data?version=0")) == (400, "VALIDATION_ERROR")
    assert code(client.get(f"{P}/data?version=99999999999")) == (400, "VALIDATION_ERROR")


def test_a_pipeline_that_never_ran_has_no_versions(client: Client) -> None:
    client.post("/api/v1/pipeline/create", json=a_pipeline())
    answer = client.get(f"{P}/versions")
    assert (answer.status_code, answer.json()["items"], answer.json()["total"]) == (200, [], 0)


def test_versions_show_what_changed(orders: Client) -> None:
    page = orders.get(f"{P}/versions?limit=1").json()
    assert (page["total"], [v["version"] for v in page["items"]]) == (2, [2])
    assert page["items"][0]["schema_changes"] == [{"column": "b", "change": "added", "before": None, "after": "string"}]
    assert orders.get(f"{P}/versions/2").json() == page["items"][0]
    assert orders.get(f"{P}/versions/1").json()["schema_changes"] == []
    assert orders.get(f"{P}/profile?version=1").json() == {
        "pipeline": "orders", "version": 1, "profiles": [PROFILE]
    }  # fmt: skip


def test_schemas_are_asked_once(orders: Client, engine: Engine) -> None:
    for _ in range(3):
        assert orders.get(f"{P}/schema").json() == {"version": 1, "columns": []}
    assert [kind for kind, _ in engine.asked].count("schema") == 1


def test_runs(orders: Client, supervisor: Supervisor) -> None:
    supervisor.holding = True
    going = orders.post(f"{P}/execute").json()
    page = orders.get(f"{P}/runs").json()
    assert [r["status"] for r in page["items"]] == ["running", "completed", "completed"]
    assert orders.get(f"{P}/runs?status=completed").json()["total"] == 2
    assert code(orders.get(f"{P}/runs?status=done")) == (400, "VALIDATION_ERROR")
    cancelled = orders.post(f"/api/v1/runs/{going['run_id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    run = orders.get(f"/api/v1/runs/{going['run_id']}").json()
    assert run["error"] == {"code": "STEP_FAILED", "message": "it failed", "details": {"step": "collectors[0]"}}
    for part in ("", "/events", "/logs"):
        assert code(orders.get(f"/api/v1/runs/nothing{part}")) == (404, "RUN_NOT_FOUND")
    assert code(orders.post("/api/v1/runs/nothing/cancel")) == (404, "RUN_NOT_FOUND")


def test_events_are_replayed(orders: Client) -> None:
    run_id = orders.get(f"{P}/status").json()["run_id"]
    answer = orders.get(f"/api/v1/runs/{run_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in e.splitlines()) for e in answer.text.strip().split("\n\n")]
    assert [(e["id"], e["event"]) for e in events] == [("1", "status"), ("2", "log"), ("3", "end")]
    assert msgspec.json.decode(events[2]["data"])["run_id"] == run_id
    assert orders.get(f"/api/v1/runs/{run_id}/events", headers={"last-event-id": "2"}).text.startswith("id: 3")
    assert code(orders.get(f"/api/v1/runs/{run_id}/events", headers={"last-event-id": "x"}))[0] == 400


def test_logs(orders: Client, services: Any) -> None:
    run_id = orders.get(f"{P}/status").json()["run_id"]
    assert orders.get(f"/api/v1/runs/{run_id}/logs").content == b""
    services.supervisor.lines = [b'{"event": "run.started"}']
    answer = orders.get(f"/api/v1/runs/{run_id}/logs")
    assert (answer.content, answer.headers["content-type"]) == (b'{"event": "run.started"}\n', "application/x-ndjson")


def test_sql(orders: Client, engine: Engine) -> None:
    body = {"sql": "SELECT $a", "parameters": {"a": 1}, "limit": 3, "timeout_seconds": 2.5}
    answer = orders.post("/api/v1/query", json=body)
    assert answer.json()["statement"] == "SELECT $a"
    assert engine.asked[-1][1] == {
        "statement": "SELECT $a", "parameters": {"a": 1}, "limit": 3, "timeout_seconds": 2.5, "format": "json",
        "escape_formulas": True,
    }  # fmt: skip
    assert orders.post("/api/v1/query?format=csv", json={"sql": "SELECT 1"}).content == b"first\nsecond\n"
    for wrong in ({}, {"sql": ""}, {"sql": 1}, {"sql": "x", "limit": -1}, {"sql": "x", "timeout": 1}):
        assert code(orders.post("/api/v1/query", json=wrong)) == (400, "VALIDATION_ERROR")


def test_tables(orders: Client) -> None:
    page = orders.get("/api/v1/tables").json()
    assert [(t["name"], t["pipeline"], t["version"], t["row_count"]) for t in page["items"]] == [
        ("orders", "orders", 2, 10)
    ]
    assert orders.get("/api/v1/tables/orders@1").json()["version"] == 1
    for name in ("nothing", "orders@x", "orders@99999999999999999999", "orders@" + "9" * 200, "%F0%9F%98%80"):
        assert code(orders.get(f"/api/v1/tables/{name}")) == (404, "NOT_FOUND")


async def relay(body: Any, receive: Any) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    response = Relay(body, media_type="text/csv").to_asgi_response(None, None)
    await response(cast(Any, {}), receive, send)
    return sent


def test_a_caller_that_goes_away_ends_the_source() -> None:
    class Endless(Blocks):
        async def __anext__(self) -> bytes:
            await asyncio.Event().wait()
            return b""

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def scenario() -> None:
        body = Endless([])
        sent = await asyncio.wait_for(relay(body, gone), 5)
        assert body.closed.is_set()
        assert [m["type"] for m in sent] == ["http.response.start"]

    asyncio.run(scenario())


def test_a_source_that_fails_breaks_the_answer_off() -> None:
    async def scenario() -> None:
        body = Blocks([b"first", RuntimeError("the worker died")])
        with pytest.raises(RuntimeError):
            await relay(body, asyncio.Event().wait)
        assert body.closed.is_set()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("form", "media", "ending"),
    [
        ("json-schema", "application/schema+json", "schema.json"),
        ("sql", "application/sql", "sql"),
        ("arrow", "application/vnd.apache.arrow.stream", "arrows"),
        ("avro", "application/vnd.apache.avro+json", "avsc"),
    ],
)
def test_the_schema_in_other_formats(orders: Client, engine: Engine, form: str, media: str, ending: str) -> None:
    answer = orders.get(f"{P}/schema?format={form}")
    assert (answer.text, answer.headers["content-type"]) == (form, media)
    assert answer.headers["content-disposition"] == f'attachment; filename="orders-v2.{ending}"'
    assert orders.get(f"{P}/schema", headers={"accept": media}).text == form
    assert [options["form"] for kind, options in engine.asked if kind == "schema"] == [form]  # one, then from memory
    tag = answer.headers["etag"]
    assert orders.get(f"{P}/schema?format={form}", headers={"if-none-match": tag}).status_code == 304
    assert orders.get(f"{P}/schema").headers["etag"] != tag


def test_a_format_of_schemas_that_is_unknown(orders: Client) -> None:
    refused = orders.get(f"{P}/schema?format=jsonschema")
    assert (refused.status_code, refused.json()["error"]["code"]) == (406, "NOT_ACCEPTABLE")
    assert "did you mean 'json-schema'" in refused.json()["error"]["message"]
