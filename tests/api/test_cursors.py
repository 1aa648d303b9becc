"""Cursors of pages and ranges of stored files, over doubles; ``acceptance/test_reading.py`` reads real rows."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api import stored_file
from service.api.app import create_app
from service.api.services import Services, TypedRequest
from service.kit import errors
from service.kit.tokens import Tokens
from tests.api.conftest import SECRET, a_pipeline, bearer
from tests.api.doubles import Engine

Client = TestClient[Litestar]
P = "/api/v1/pipeline/orders"
NEW = "n" * 32
QUERY = "columns=a&filter=a%3E1&sort=-a&limit=4"


def asked(engine: Engine, *names: str) -> list[Any]:
    """What the last query asked for."""
    return [engine.asked[-1][1][name] for name in names]


def target(answer: Any) -> str:
    """The path that the ``Link`` of an answer leads to."""
    path, _, rel = answer.headers["link"].partition(">")
    assert rel == '; rel="next"'
    return str(path.removeprefix("<"))


def test_next_goes_on_in_the_same_version_with_the_same_query(orders: Client, engine: Engine) -> None:
    first = orders.get(f"{P}/data?{QUERY}")
    orders.post(f"{P}/execute")
    source, *_ = asked(engine, "source")
    for offset, last in ((4, False), (8, True)):
        page = orders.get(f"{P}/data", params={"cursor": first.json()["next"]})
        expected = [source, ["a"], "a>1", "-a", 4, offset]
        assert asked(engine, "source", "columns", "filter", "sort", "limit", "offset") == expected
        assert (page.json()["next"] is None, "link" in page.headers) == (last, not last)
        first = page


def test_limit_and_format_may_change_on_the_way(orders: Client, engine: Engine) -> None:
    cursor = orders.get(f"{P}/data?{QUERY}").json()["next"]
    page = orders.get(f"{P}/data", params={"cursor": cursor, "limit": "5", "format": "csv"})
    assert asked(engine, "limit", "offset", "format", "filter") == [5, 4, "csv", "a>1"]
    orders.get(target(page))
    assert asked(engine, "limit", "offset", "format", "filter") == [5, 9, "csv", "a>1"]


@pytest.mark.parametrize("form", ["ndjson", "csv", "arrow", "parquet"])
def test_streams_that_a_limit_cuts_link_to_the_next(orders: Client, engine: Engine, form: str) -> None:
    path: str | None = f"{P}/data?format={form}&limit=4&escape_formulas=false"
    offsets = []
    while path is not None:
        answer = orders.get(path)
        offsets.append(asked(engine, "offset", "limit", "format", "escape_formulas"))
        path = target(answer) if "link" in answer.headers else None
    assert offsets == [[0, 4, form, False], [4, 4, form, False], [8, 4, form, False]]
    for query in ("", "&limit=10", "&limit=0", "&offset=9&limit=1", "&offset=90&limit=1"):
        assert "link" not in orders.get(f"{P}/data?format={form}{query}").headers


def test_a_stream_with_a_filter_ends_where_its_rows_end(orders: Client, engine: Engine) -> None:
    engine.total = 5
    first = orders.get(f"{P}/data?format=csv&limit=4&filter=a%3E1")
    assert "link" not in orders.get(target(first)).headers
    assert [options["limit"] for kind, options in engine.asked if kind == "data"] == [0, 4, 0, 4]


def test_pages_of_quarantine_have_cursors(orders: Client, engine: Engine) -> None:
    cursor = orders.get(f"{P}/quarantine?limit=4").json()["next"]
    page = orders.get(f"{P}/quarantine", params={"cursor": cursor}).json()
    assert (page["source"], page["offset"], page["limit"]) == (asked(engine, "source")[0], 4, 4)
    refused = orders.get(f"{P}/data", params={"cursor": cursor})
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (400, "cursor")


def test_each_page_has_its_own_etag(orders: Client) -> None:
    first = orders.get(f"{P}/data?limit=4")
    second = orders.get(target(first))
    assert first.headers["etag"] != second.headers["etag"]
    again = orders.get(target(first), headers={"if-none-match": second.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_cursor_that_this_service_did_not_make(orders: Client) -> None:
    cursor = orders.get(f"{P}/data?limit=4").json()["next"]
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    forged = base64.urlsafe_b64encode(content.replace(b"\x04", b"\x05", 1)).decode()
    for wrong in ("", "x", cursor[:-1], cursor + "A", cursor.swapcase(), forged, "é", "AAAA", "%", "a" * 50_000):
        refused = orders.get(f"{P}/data", params={"cursor": wrong})
        details = refused.json()["error"]["details"]
        assert (refused.status_code, details["field"]) == (400, "cursor"), wrong


@pytest.mark.parametrize("query", ["version=1", "columns=a", "filter=a", "sort=a", "offset=1"])
def test_a_parameter_that_the_cursor_has(orders: Client, query: str) -> None:
    cursor = orders.get(f"{P}/data?limit=4").json()["next"]
    refused = orders.get(f"{P}/data?cursor={cursor}&{query}")
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (400, query.partition("=")[0])


def test_a_cursor_of_a_version_that_is_gone(orders: Client) -> None:
    cursor = orders.get(f"{P}/data?limit=4").json()["next"]
    orders.delete(f"{P}?purge=true")
    orders.post("/api/v1/pipeline/create", json=a_pipeline())
    for _ in range(2):
        orders.post(f"{P}/execute")
        gone = orders.get(f"{P}/data", params={"cursor": cursor})
        error = gone.json()["error"]
        assert (gone.status_code, error["code"], error["details"]["field"]) == (404, "VERSION_NOT_FOUND", "cursor")


def test_a_cursor_of_another_secret(orders: Client, services: Services) -> None:
    link = target(orders.get(f"{P}/data?limit=4"))
    (cursor,) = parse_qs(urlsplit(link).query)["cursor"]
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[:-16]
    assert msgspec.msgpack.decode(content)[0] == f"{P}/data"
    for secrets, status in (([NEW, SECRET], 200), ([NEW], 400)):  # rotated, then removed
        rotated = dataclasses.replace(services, tokens=Tokens(secrets, services.clock))
        with TestClient(create_app(rotated)) as client:
            answer = client.get(f"{P}/data", params={"cursor": cursor}, headers=bearer(rotated, "viewer"))
            assert answer.status_code == status


def test_a_stored_file_whose_version_was_deleted_meanwhile(tmp_path: Path) -> None:
    request = cast("TypedRequest", None)
    with pytest.raises(errors.Missing) as raised:
        asyncio.run(stored_file.respond(request, tmp_path / "part-00000.parquet", "orders-v1", {"etag": '"1"'}))
    assert raised.value.error_code == "VERSION_NOT_FOUND"
