"""Saved queries and system tables of a real service: formats, parameters, ETags, caches, public ones, backups."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from tests.acceptance import documents, service
from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create

BY_CITY: dict[str, Any] = {
    "sql": "SELECT id, city FROM cities WHERE ($city IS NULL OR city = $city) AND id >= $least ORDER BY id",
    "description": "Cities.",
    "parameters": {
        "city": {"type": "string", "enum": ["Bern", "Rome"]},
        "least": {"type": "integer", "default": 1},
    },
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("saved") / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_RATE_LIMIT_PER_MINUTE="100000") as running:
        running.login()
        upload_and_create(running)
        running.json("POST", "/pipeline/cities/execute?wait=60")
        yield running


def put(served: Served, name: str, status: int = 201, **definition: Any) -> Any:
    return served.json("PUT", f"/queries/{name}", status=status, json=definition)


def rows(served: Served, sql: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.json("POST", "/query", json={"sql": sql})["data"]
    return found


def test_a_saved_query_answers_in_every_format(served: Served) -> None:
    saved = put(served, "by-city", **BY_CITY)
    assert saved["columns"] == [{"name": "id", "type": "BIGINT"}, {"name": "city", "type": "VARCHAR"}]
    assert saved["tables"] == ["cities"]
    assert served.json("GET", "/q/by-city?city=Rome")["data"] == [{"id": 2, "city": "Rome"}]
    whole = {"id": [1, 2, 3], "city": ["Bern", "Rome", None]}
    for form, read in (("ndjson", pl.read_ndjson), ("arrow", pl.read_ipc_stream), ("parquet", pl.read_parquet)):
        content = served.http.get("/q/by-city", params={"format": form}).content
        assert read(io.BytesIO(content)).to_dict(as_series=False) == whole, form
    assert served.http.get("/q/by-city?least=3", headers={"accept": "text/csv"}).text.splitlines() == ["id,city", "3,"]
    assert served.json("GET", "/queries")["items"] == [saved]
    assert served.json("GET", "/queries/by-city") == saved
    assert served.http.delete("/queries/by-city").status_code == 204
    served.json("GET", "/q/by-city", status=404)


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("least=many", "least", "expected integer"),
        ("city=Paris", "city", "expected one of Bern, Rome"),
        ("town=Bern", "town", "unknown parameter"),
        ("least=1&least=2", "least", "given twice"),
        ("limit=-1", "limit", ""),
        ("", "day", "is required"),
    ],
)
def test_a_wrong_parameter_is_named(served: Served, query: str, field: str, words: str) -> None:
    parameters = {**BY_CITY["parameters"], "day": {"type": "date", "required": True}}
    put(
        served,
        "asking",
        **{**BY_CITY, "sql": f"SELECT $day AS day, * FROM ({BY_CITY['sql']})", "parameters": parameters},
    )
    error = served.json("GET", f"/q/asking?{query}", status=400)["error"]
    assert field in [problem["field"] for problem in error["details"]["errors"]]
    assert words in json.dumps(error["details"]["errors"])
    assert served.http.delete("/queries/asking").status_code == 204


def test_values_have_the_types_that_were_declared(served: Served) -> None:
    given = {
        "i": ("integer", "170141183460469231731687303715884105727"), "n": ("number", "2.5"),
        "d": ("decimal", "1.10"), "b": ("boolean", "true"), "a": ("date", "2026-01-31"), "t": ("time", "06:30"),
        "m": ("datetime", "2026-01-31T06:30:00"), "z": ("datetime", "2026-01-31T06:30:00+01:00"), "s": ("string", "é"),
    }  # fmt: skip
    columns = ", ".join(f"typeof(${name}) AS {name}" for name in given)
    put(served, "typed", sql=f"SELECT {columns}", parameters={n: {"type": kind} for n, (kind, _) in given.items()})
    answer = served.http.get("/q/typed", params={name: text for name, (_, text) in given.items()}).json()
    assert answer["data"] == [{
        "i": "HUGEINT", "n": "DOUBLE", "d": "DECIMAL(3,2)", "b": "BOOLEAN", "a": "DATE", "t": "TIME",
        "m": "TIMESTAMP", "z": "TIMESTAMP WITH TIME ZONE", "s": "VARCHAR",
    }]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "code", "field", "words"),
    [
        ({"sql": "SELECT * FROM citees"}, "SQL_NOT_ALLOWED", "sql", "did you mean 'cities'"),
        ({"sql": "SELECT town FROM cities"}, "INVALID_SQL", "sql", "town"),
        ({"sql": "SELECT $x"}, "INVALID_SQL", "parameters", "x"),
        ({"sql": "SELECT 1", "parameters": {"x": {"type": "integer"}}}, "VALIDATION_ERROR", "parameters.x",
         "has no $x"),
        ({"sql": "DROP TABLE cities"}, "SQL_NOT_ALLOWED", "sql", "only SELECT"),
        ({"sql": "SELECT $limit", "parameters": {"limit": {"type": "integer"}}}, "VALIDATION_ERROR",
         "parameters.limit", "may be called"),
        ({"sql": "SELECT $x", "parameters": {"x": {"type": "integer", "default": "a"}}}, "VALIDATION_ERROR",
         "parameters.x.default", "expected integer"),
        ({"sql": "SELECT date_trunc('day', $x)", "parameters": {"x": {"type": "datetime"}}}, "INVALID_SQL",
         "parameters.x", "without a value of x"),
        ({"sql": "SELECT $x", "parameters": {"x": {"type": "text"}}}, "VALIDATION_ERROR", "parameters.x.type", ""),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused(
    served: Served, definition: dict[str, Any], code: str, field: str, words: str
) -> None:
    error = put(served, "wrong", status=400, **definition)["error"]
    assert error["code"] == code
    assert error["details"]["field"] == field
    assert words in error["message"]
    served.json("GET", "/queries/wrong", status=404)


def test_an_etag_lasts_as_long_as_the_versions(served: Served) -> None:
    put(served, "tagged", sql="SELECT count(*) AS n FROM cities")
    first = served.http.get("/q/tagged")
    unchanged = served.http.get("/q/tagged", headers={"if-none-match": first.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert served.http.get("/q/tagged?format=csv").headers["etag"] != first.headers["etag"]
    assert served.http.put("/files/cities.csv", content=b"id,city\n1,Bern\n2,Rome\n3,\n4,Oslo\n").status_code == 200
    served.json("POST", "/pipeline/cities/execute?wait=60")
    again = served.http.get("/q/tagged", headers={"if-none-match": first.headers["etag"]})
    assert again.json()["data"] == [{"n": 4}]
    put(served, "chance", sql="SELECT random() AS r, count(*) AS n FROM cities")
    assert "etag" not in served.http.get("/q/chance").headers


def test_an_answer_is_given_again_for_cache_seconds(served: Served) -> None:
    put(served, "cached", sql="SELECT random() AS r", cache_seconds=600)
    first = served.http.get("/q/cached")
    again = served.http.get("/q/cached")
    assert again.content == first.content
    assert again.headers["cache-control"] == "private, max-age=600"
    assert int(again.headers["age"]) >= 0
    put(served, "cached", status=200, sql="SELECT random() AS r", cache_seconds=600)
    assert served.http.get("/q/cached").content != first.content


def test_max_rows_cannot_be_exceeded(served: Served) -> None:
    put(served, "few", sql="FROM range(50) AS t(n)", max_rows=10)
    assert served.json("GET", "/q/few")["row_count"] == 10
    assert served.json("GET", "/q/few?limit=20")["row_count"] == 10
    assert len(served.http.get("/q/few?format=ndjson&limit=20").text.splitlines()) == 10
    assert served.json("GET", "/q/few?limit=2")["truncated"] is True


def test_only_public_queries_answer_without_a_token(served: Served) -> None:
    put(served, "secret", sql="SELECT 1 AS one")
    put(served, "open", sql="SELECT 2 AS two", public=True)
    with httpx.Client(base_url=served.http.base_url, trust_env=False) as anybody:
        assert anybody.get("/q/open").json()["data"] == [{"two": 2}]
        assert anybody.get("/q/secret").status_code == 401
        assert anybody.get("/q/missing").status_code == 401
        assert anybody.get("/queries").status_code == 401
        shown = anybody.get(f"{served.address}/docs/openapi.json").json()["paths"]
    assert "/api/v1/q/open" in shown
    assert "/api/v1/q/secret" not in shown
    served.json("POST", "/users", status=201, json={"username": "olga", "password": PASSWORD, "role": "operator"})
    pair = served.json("POST", "/auth/token", json={"username": "olga", "password": PASSWORD})
    olga = {"authorization": f"Bearer {pair['access_token']}"}
    for name, public in (("mine", True), ("open", False)):
        answer = served.http.put(f"/queries/{name}", headers=olga, json={"sql": "SELECT 3", "public": public})
        assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (403, "public")
    removed = served.http.delete("/queries/open", headers=olga)
    assert (removed.status_code, removed.json()["error"]["details"]["field"]) == (403, "public")
    assert served.http.put("/queries/mine", headers=olga, json={"sql": "SELECT 3 AS n"}).status_code == 201
    assert served.http.delete("/queries/mine", headers=olga).status_code == 204


def test_each_saved_query_has_its_path_in_the_document(served: Served) -> None:
    put(served, "shown", **BY_CITY)
    document = served.http.get(f"{served.address}/docs/openapi.json").json()
    told = document["paths"]["/api/v1/q/shown"]["get"]
    parameters = {p["name"]: p["schema"] for p in told["parameters"] if p["in"] == "query"}
    assert parameters["city"] == {"type": "string", "enum": ["Bern", "Rome"]}
    assert parameters["least"] == {"type": "integer", "default": 1}
    assert "format" in parameters
    row = told["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]["items"]
    assert row["properties"] == {"id": {"type": ["integer", "null"]}, "city": {"type": ["string", "null"]}}


def test_system_tables_show_what_the_service_knows(served: Served) -> None:
    assert rows(served, "SELECT name, status FROM penstock.pipelines") == [{"name": "cities", "status": "completed"}]
    runs = rows(served, "SELECT run_id, version, rows_stored, duration > 0 AS took FROM penstock.runs")
    listed = served.json("GET", "/pipeline/cities/runs")["items"]
    assert [row["run_id"] for row in runs] == [run["run_id"] for run in listed]
    assert [row["rows_stored"] for row in runs] == [run["rows_stored"] for run in listed]
    assert all(row["took"] for row in runs)
    steps = rows(served, f"SELECT step FROM penstock.steps WHERE run_id = '{listed[0]['run_id']}' ORDER BY position")
    assert [row["step"] for row in steps] == [step["step"] for step in listed[0]["steps"]]
    served.json("POST", "/pipeline/cities/versions/1/tag", json={"tag": "stable"})  # the snapshot is made again
    assert rows(served, "SELECT tags, columns FROM penstock.versions WHERE version = 1") == [
        {"tags": ["stable"], "columns": 2}
    ]
    assert rows(served, "SELECT name, type FROM penstock.columns ORDER BY position") == [
        {"name": "id", "type": "int64"}, {"name": "city", "type": "string"},
    ]  # fmt: skip
    joined = "SELECT count(*) AS n FROM cities JOIN penstock.versions v ON v.table_name = 'cities' AND v.version = 1"
    assert rows(served, joined) == [{"n": served.json("GET", "/pipeline/cities/data")["total_rows"]}]


def test_system_tables_serve_saved_queries(served: Served) -> None:
    put(served, "health", sql="SELECT pipeline, max(end_time) AS last FROM Penstock.Runs GROUP BY ALL")
    answer = served.http.get("/q/health")
    assert answer.json()["data"][0]["pipeline"] == "cities"
    assert "etag" not in answer.headers
    assert {"name": "health"} in rows(served, "SELECT name FROM penstock.queries")
    error = served.json("POST", "/query", status=400, json={"sql": "FROM penstock.run"})["error"]
    assert "did you mean 'penstock.runs'" in error["message"]


def test_the_command_line_lists_saved_queries(served: Served) -> None:
    put(served, "listed", **BY_CITY)
    token = served.http.headers["authorization"].removeprefix("Bearer ")
    environment = service.clean_environment(PYTHONPATH=str(documents.ROOT), PENSTOCK_TOKEN=token)
    command = [sys.executable, "-m", "service", "queries", "--json"]
    for where in (["--url", served.address], ["--data-dir", str(served.data)]):
        done = subprocess.run([*command, *where], env=environment, capture_output=True, text=True, check=True)
        assert served.json("GET", "/queries/listed") in json.loads(done.stdout)


@pytest.mark.slow
def test_a_backup_holds_the_saved_queries(served: Served, tmp_path: Path) -> None:
    saved = put(served, "kept", **BY_CITY)
    served.json("POST", "/admin/backup", json={"directory": str(tmp_path / "backup")})
    environment = service.clean_environment(PYTHONPATH=str(documents.ROOT))
    command = [sys.executable, "-m", "service", "restore", str(tmp_path / "backup")]
    subprocess.run([*command, "--data-dir", str(tmp_path / "new")], env=environment, check=True, capture_output=True)
    with serving(tmp_path / "new", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as again:
        again.login()
        assert again.json("GET", "/queries/kept") == saved
        assert again.json("GET", "/q/kept?city=Bern")["row_count"] == 1
