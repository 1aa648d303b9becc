"""What APIs and pages say is stored as it is: more pages, errors in a success, hidden text, cursors."""

from __future__ import annotations

import gzip
import itertools
import json
from typing import Any

import pytest

from tests.acceptance.cases.product import Outcome, Product
from tests.unit.network.site import Answers, Hit, Reply, serving

RETRY = {"max_attempts": 1}


def collect(product: Product, answers: Answers, **config: Any) -> Outcome:
    """The rows of an api collector over a server that answers so."""
    with serving(answers) as site:
        source = {"type": "api", "endpoint": f"{site.address}/r", "retry": RETRY, **config}
        return product.run(collectors=[source], execution={"timeout_seconds": 40})


def pages(*bodies: Any) -> Answers:
    """Page 1, 2, … by the parameter ``page``; past the end the last one again."""
    return lambda hit: Reply.json(bodies[min(int(hit.query.get("page", 1)), len(bodies)) - 1])


@pytest.mark.parametrize("line", ['1,"He said "hello" to me",5', '3,"a" "b",1'])
def test_quotes_inside_a_quoted_field_of_a_csv_body(product: Product, line: str) -> None:
    answer = Reply(f"id,text,n\n{line}\n".encode(), headers={"content-type": "text/csv"})
    assert "line 2" in collect(product, lambda hit: answer, response_format="csv").refusal


def test_a_key_that_a_record_has_twice(product: Product) -> None:
    done = collect(product, lambda hit: Reply(b'[{"v": 1, "v": 2}]', headers={"content-type": "application/json"}))
    assert done.rows is None or (str(done.columns["v"][0]) == "2" and done.run["warnings"] != [])


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"id": 1}], "has_more": True, "next": "/r?page=2", "total": 9},
        {"data": [{"id": 1}], "meta": {"total": 9}},
        {"data": [{"id": 1}], "links": {"next": "/r?page=2"}},
    ],
)
def test_more_pages_that_the_body_names(product: Product, body: Any) -> None:
    done = collect(product, lambda hit: Reply.json(body), pagination="none")
    assert done.columns == {"id": [1]}
    assert done.run["warnings"] != []
    strict = collect(product, lambda hit: Reply.json(body), pagination="none", completeness="strict")
    assert strict.run["status"] == "failed"


@pytest.mark.parametrize(
    "paging",
    [
        {"type": "cursor", "cursor_path": "next", "cursor_param": "after", "in": "body"},
        {"type": "offset", "offset_param": "from", "limit_param": "size", "limit": 2, "in": "body"},
    ],
)
def test_the_same_page_again_is_an_error(product: Product, paging: dict[str, Any]) -> None:
    numbers = itertools.count(1)

    def answer(hit: Hit) -> Reply:
        return Reply.json({"items": [{"id": 1}, {"id": 2}], "next": f"c{next(numbers)}"})

    done = collect(product, answer, method="POST", body={"q": 1}, pagination=paging)
    assert done.run["status"] == "failed"


@pytest.mark.parametrize(
    "flag", [{"has_more_path": "has_more"}, {"stop_when": {"path": "has_more", "equals": False}}, {}]
)
def test_empty_pages_end(product: Product, flag: dict[str, Any]) -> None:
    numbers = itertools.count(1)
    hits: list[Hit] = []

    def answer(hit: Hit) -> Reply:
        hits.append(hit)
        items = [{"id": 1}] if len(hits) == 1 else []
        return Reply.json({"items": items, "next": f"c{next(numbers)}", "has_more": len(hits) == 1})

    paging = {"type": "cursor", "cursor_path": "next", "cursor_param": "after", **flag}
    done = collect(product, answer, pagination=paging)
    assert done.columns == {"id": [1]}
    assert len(hits) <= 2 if flag else len(hits) <= 5


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"data": {"items": [{"id": 1}]}, "errors": [{"message": "field gone"}]}, "field gone"),
        ({"ok": False, "error": "ratelimited"}, "ratelimited"),
        ({"ok": False, "error": "ratelimited", "items": []}, "ratelimited"),
        ({"errors": [{"message": "not authorized"}], "data": None}, "not authorized"),
    ],
)
def test_an_error_inside_a_success(product: Product, body: Any, words: str) -> None:
    assert words in collect(product, lambda hit: Reply.json(body)).refusal


def test_an_empty_list_of_errors_is_no_error(product: Product) -> None:
    body = {"error": [], "result": [{"id": 1}]}
    assert collect(product, lambda hit: Reply.json(body)).columns == {"id": [1]}


def test_a_later_page_without_its_key_is_the_end(product: Product) -> None:
    paging = {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "pageToken"}

    def answer(hit: Hit) -> Reply:
        if "pageToken" in hit.query:
            return Reply.json({"kind": "drive#fileList"})
        return Reply.json({"kind": "drive#fileList", "files": [{"id": 1}], "nextPageToken": "t"})

    assert collect(product, answer, records_path="files", pagination=paging).columns == {"id": [1]}


@pytest.mark.parametrize("status", [400, 404, 416, 422])
def test_an_error_past_the_last_page_is_the_end(product: Product, status: int) -> None:
    def answer(hit: Hit) -> Reply:
        if int(hit.query.get("page", 1)) > 2:
            return Reply(b'{"code": "rest_post_invalid_page_number"}', status)
        return Reply.json([{"id": int(hit.query["page"])}])

    done = collect(product, answer, pagination={"type": "page", "size_param": "per_page", "size": 1})
    assert done.columns == {"id": [1, 2]}
    assert done.run["steps"][0]["evidence"]["stop_reason"] not in ("failed", None)


def test_an_error_on_the_first_page_is_an_error(product: Product) -> None:
    done = collect(product, lambda hit: Reply(b"{}", 404), pagination="page")
    assert done.run["status"] == "failed"


@pytest.mark.parametrize("kind", ["json", "ndjson"])
def test_gzip_is_told_by_content(product: Product, kind: str) -> None:
    body = gzip.compress(b'[{"id": 1}]' if kind == "json" else b'{"id": 1}\n')
    headers = {"content-type": "application/octet-stream"}
    done = collect(product, lambda hit: Reply(body, headers=headers), response_format=kind)
    assert done.columns == {"id": [1]}


def test_settings_of_a_csv_body(product: Product) -> None:
    body = "name;price\nMüller;1,5\n".encode("latin-1")
    settings = {"separator": ";", "encoding": "latin-1", "decimal_comma": True}
    done = collect(product, lambda hit: Reply(body), response_format="csv", csv=settings)
    assert done.completed.rows() == [("Müller", 1.5)]


@pytest.mark.parametrize(
    ("body", "word"), [(b'{"a": 1}\n{"a": 2}\n', "ndjson"), ('[{"a": "é"}]'.encode("latin-1"), "UTF-8")]
)
def test_the_cause_is_named(product: Product, body: bytes, word: str) -> None:
    assert word in collect(product, lambda hit: Reply(body), response_format="json").refusal


def since(records: list[dict[str, Any]]) -> Answers:
    """A source that sends every record, whatever it is asked for."""
    return lambda hit: Reply(json.dumps(records).encode(), headers={"content-type": "application/json"})


def test_a_cursor_that_does_not_sort_is_refused_at_first_sight(product: Product) -> None:
    records = [{"id": 1, "at": "03/01/2024"}, {"id": 2, "at": "02/15/2025"}]
    incremental: dict[str, Any] = {"cursor_field": "at", "param": "since"}
    assert "cursor_format" in collect(product, since(records), incremental=incremental).refusal
    incremental["cursor_format"] = "%m/%d/%Y"
    with serving(since(records)) as site:
        source = {"type": "api", "endpoint": f"{site.address}/r", "incremental": incremental}
        done = product.run(collectors=[source])
        assert done.columns["id"] == [1, 2]
        records.append({"id": 3, "at": "01/10/2026"})
        assert sorted(product.again(done.name).columns["id"]) == [1, 2, 3]


def test_a_record_from_the_future_hides_no_other(product: Product) -> None:
    records = [{"id": 1, "at": "2024-01-01"}, {"id": 2, "at": "2099-01-01"}]
    with serving(since(records)) as site:
        incremental = {"cursor_field": "at", "param": "since"}
        done = product.run(collectors=[{"type": "api", "endpoint": f"{site.address}/r", "incremental": incremental}])
        records.append({"id": 3, "at": "2026-01-10"})
        assert sorted(product.again(done.name).columns["id"]) == [1, 2, 3]


def page(product: Product, body: str, content_type: str = "text/html", **config: Any) -> Outcome:
    """The rows of a web collector over one page."""
    with serving(lambda hit: Reply(body.encode(), headers={"content-type": content_type})) as site:
        source = {"type": "web", "url": f"{site.address}/p", "respect_robots": False, "retry": RETRY, **config}
        return product.run(collectors=[source])


@pytest.mark.parametrize(
    "cell",
    [
        '<span style="display:none">7001</span>12,345',
        '<span style="display: none;">7001</span>12,345',
        "<span hidden>7001</span>12,345",
        "<noscript>7001</noscript>12,345",
        "<svg><title>7001</title></svg>12,345",
        "<template>7001</template>12,345",
    ],
)
def test_hidden_text_is_not_read(product: Product, cell: str) -> None:
    body = f"<table><tr><th>n</th></tr><tr><td>{cell}</td></tr><tr hidden><td>99</td></tr></table>"
    assert page(product, body, table="table").columns == {"n": ["12,345"]}
    selectors = {"container": "tr", "n": "td"}
    found = page(product, body, css_selectors=selectors).columns["n"]
    assert [value for value in found if value] == ["12,345"]


@pytest.mark.parametrize("content_type", ["text/html", "application/rss+xml"])
def test_xml_is_not_taken_for_html(product: Product, content_type: str) -> None:
    body = (
        '<?xml version="1.0"?><rss version="2.0"><channel><item><title><![CDATA[One]]></title>'
        "<link>https://example.org/1</link></item></channel></rss>"
    )
    done = page(product, body, content_type, css_selectors={"container": "item", "t": "title", "l": "link"})
    if done.rows is None:
        assert "XML" in done.refusal or "RSS" in done.refusal
    else:
        assert done.completed.rows() == [("One", "https://example.org/1")]
