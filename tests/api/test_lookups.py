"""Rows by key: what is asked of the engine for which path and body, and what is refused before."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api.services import Services
from tests.api.conftest import a_pipeline, bearer
from tests.api.doubles import Engine

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"
KEYED = [{"type": "duckdb", "primary_key": "a"}]


@pytest.fixture
def keyed(client: Client, services: Services) -> Client:
    """Version 2 has the columns a (Int64) and b (String)."""
    return stored(client, services, KEYED)


def stored(client: Client, services: Services, storage: list[dict[str, Any]]) -> Client:
    assert client.post("/api/v1/pipeline/create", json=a_pipeline(storage=storage)).status_code == 201
    for _ in range(2):
        assert client.post(f"{P}/execute").status_code == 200
    client.headers.update(bearer(services, "viewer"))
    return client


def asked(engine: Engine) -> dict[str, Any]:
    kind, options = engine.asked[-1]
    assert kind == "lookup"
    return options


def test_a_row_is_asked_for_by_its_key(keyed: Client, engine: Engine) -> None:
    answer = keyed.get(f"{P}/rows/7?columns=B,a")
    assert answer.status_code == 200, answer.text
    wanted = {"key": ["a"], "kinds": ["integer"], "values": [["7"]], "columns": ["b", "a"], "only": True}
    assert {name: asked(engine)[name] for name in wanted} == wanted
    assert keyed.get(f"{P}/rows/7?format=ndjson").headers["content-disposition"].endswith('"orders-v2.ndjson"')
    assert asked(engine)["format"] == "ndjson"
    missing = keyed.get(f"{P}/rows/404")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ROW_NOT_FOUND")
    assert missing.json()["error"]["details"] == {"field": "key"}


def test_an_unchanged_row_is_not_sent_again(keyed: Client, engine: Engine) -> None:
    tag = keyed.get(f"{P}/rows/7").headers["etag"]
    before = len(engine.asked)
    assert keyed.get(f"{P}/rows/7", headers={"if-none-match": tag}).status_code == 304
    assert len(engine.asked) == before
    assert keyed.get(f"{P}/rows/8", headers={"if-none-match": tag}).status_code == 200
    assert keyed.get(f"{P}/rows/7", headers={"if-none-match": "*"}).status_code == 304
    assert keyed.get(f"{P}/rows/404", headers={"if-none-match": "*"}).status_code == 404
    tags = {keyed.get(f"{P}/rows/{rest}").headers["etag"] for rest in ("7", "8", "7?columns=a", "7?version=1")}
    assert (len(tags), tag in tags) == (4, True)


def test_several_keys_are_asked_for_at_once(keyed: Client, engine: Engine) -> None:
    answer = keyed.post(f"{P}/rows", json={"keys": [3, "1", 3], "columns": ["a"], "version": 2})
    assert answer.status_code == 200, answer.text
    assert (asked(engine)["values"], asked(engine)["columns"], asked(engine)["only"]) == (
        [["3"], ["1"], ["3"]], ["a"], False,
    )  # fmt: skip


def test_keys_of_several_columns_and_texts_with_any_letters(client: Client, services: Services, engine: Engine) -> None:
    keyed = stored(client, services, [{"type": "duckdb", "primary_key": ["B", "a"]}])
    for path, text in (("x%2Cy%2Fz%20%25", "x,y/z %"), ("a/b", "a/b"), ("%C3%BC", "ü"), ("", "")):
        assert keyed.get(f"{P}/rows/{path},7").status_code == 200
        assert (asked(engine)["key"], asked(engine)["values"]) == (["b", "a"], [[text, "7"]])
    assert keyed.post(f"{P}/rows", json={"keys": [["x", 1], ["y,", "2"]]}).status_code == 200
    assert asked(engine)["values"] == [["x", "1"], ["y,", "2"]]
    few = keyed.get(f"{P}/rows/x")
    assert (few.status_code, few.json()["error"]["details"]["field"]) == (400, "key")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("rows/x", "key"), ("rows/1.5", "key"), (f"rows/{2**127}", "key"), ("rows/7?columns=c", "columns"),
        ("rows/7?columns=a,A", "columns"), ("rows/7?limit=1", "limit"),
    ],
)  # fmt: skip
def test_what_a_path_cannot_say(keyed: Client, engine: Engine, path: str, field: str) -> None:
    answer = keyed.get(f"{P}/{path}")
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, field)
    assert engine.asked == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"keys": []}, "keys"), ({}, "keys"), ({"keys": [1, None]}, "keys[1]"), ({"keys": [1, [2, 3]]}, "keys[1]"),
        ({"keys": [{"a": 1}]}, "keys[0]"), ({"keys": [1.5]}, "keys[0]"), ({"keys": [1] * 1001}, "keys"),
        ({"keys": [True]}, "keys[0]"), ({"keys": [1], "columns": []}, "columns"),
        ({"keys": [1], "columns": ["b", "b"]}, "columns"),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_body_cannot_say(keyed: Client, engine: Engine, body: dict[str, Any], field: str) -> None:
    answer = keyed.post(f"{P}/rows", json=body)
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (400, field)
    assert engine.asked == []


@pytest.mark.parametrize("storage", [[{"type": "parquet"}], [{"type": "duckdb", "primary_key": "gone"}]])
def test_a_pipeline_without_a_key(
    client: Client, services: Services, engine: Engine, storage: list[dict[str, Any]]
) -> None:
    keyed = stored(client, services, storage)
    for answer in (keyed.get(f"{P}/rows/7"), keyed.post(f"{P}/rows", json={"keys": [7]})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NO_KEY")
    assert engine.asked == []
