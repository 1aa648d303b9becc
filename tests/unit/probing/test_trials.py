"""Paginations found by trying them, against sources that page in every way; and sources that mislead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.probing import trials
from service.probing.finding import Finding
from tests.unit.network.site import Hit, Reply, serving
from tests.unit.probing.probes import collected, looked, refused

ROWS: list[dict[str, Any]] = [
    {"id": i, "name": f"n{i}", "updated_at": f"2026-01-01T00:{i // 60:02d}:{i % 60:02d}Z", "owner": {"id": i % 3}}
    for i in range(1, 58)
]
Source = Callable[[Hit], Reply]


def number(hit: Hit, name: str, default: int) -> int:
    said = hit.query.get(name, "")
    return int(said) if said.isdigit() else default


def page(hit: Hit) -> Reply:
    at, size = number(hit, "page", 1), min(number(hit, "per_page", 10), 50)
    return Reply.json({"data": ROWS[(at - 1) * size : at * size], "meta": {"total": 57, "page": at, "per_page": size}})


def from_zero(hit: Hit) -> Reply:
    at = number(hit, "page", 0)
    return Reply.json({"items": ROWS[at * 10 : at * 10 + 10]})


def offset(hit: Hit) -> Reply:
    at, size = number(hit, "offset", 0), number(hit, "limit", 20)
    return Reply.json({"results": ROWS[at : at + size], "count": 57})


def skip(hit: Hit) -> Reply:
    at, size = number(hit, "skip", 0), number(hit, "limit", 20)
    return Reply.json({"products": ROWS[at : at + size], "total": 57, "skip": at, "limit": size})


def token(hit: Hit) -> Reply:
    at = int(hit.query.get("page_token", "t0")[1:])
    return Reply.json({"records": ROWS[at : at + 10], "nextPageToken": f"t{at + 10}" if at < 47 else None})


def deep(hit: Hit) -> Reply:
    at = int(hit.query.get("after", "t0")[1:])
    after = f"t{at + 10}" if at < 47 else None
    body = {"response": {"list": {"entries": ROWS[at : at + 10]}}, "paging": {"cursors": {"after": after}}}
    return Reply.json(body)


def odata(hit: Hit) -> Reply:
    at = number(hit, "$skip", 0)
    more = {"@odata.nextLink": f"{hit.path}?$skip={at + 10}"} if at < 47 else {}
    return Reply.json({"value": ROWS[at : at + 10], **more})


def next_url(hit: Hit) -> Reply:
    at = number(hit, "page", 1)
    more = f"?page={at + 1}" if at * 10 < 57 else None
    return Reply.json({"count": 57, "next": more, "previous": None, "results": ROWS[at * 10 - 10 : at * 10]})


def link(hit: Hit) -> Reply:
    at = number(hit, "p", 1)
    more = {"Link": f'<?p={at + 1}>; rel="next"'} if at * 10 < 57 else {}
    return Reply.json(ROWS[at * 10 - 10 : at * 10], **more)


def only_when_asked(hit: Hit) -> Reply:
    size = number(hit, "_limit", 1000)
    at = number(hit, "_page", 1) if "_limit" in hit.query else 1
    return Reply.json(ROWS[(at - 1) * size : at * size])


@pytest.mark.parametrize(
    ("source", "query", "wanted"),
    [
        (page, "", {"type": "page", "page_param": "page", "start": 1, "total_path": "meta.total"}),
        (page, "?per_page=5&x=1&x=2", {"type": "page", "page_param": "page", "start": 1, "total_path": "meta.total"}),
        (page, "?page=1&per_page=5",
         {"type": "page", "page_param": "page", "start": 1, "size_param": "per_page", "size": 5,
          "total_path": "meta.total"}),
        (from_zero, "", {"type": "page", "page_param": "page", "start": 0}),
        (offset, "", {"type": "offset", "offset_param": "offset", "start": 0, "total_path": "count"}),
        (offset, "?offset=0&limit=7",
         {"type": "offset", "offset_param": "offset", "start": 0, "limit_param": "limit", "limit": 7,
          "total_path": "count"}),
        (skip, "", {"type": "offset", "offset_param": "skip", "start": 0, "total_path": "total"}),
        (token, "", {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "page_token"}),
        (deep, "", {"type": "cursor", "cursor_path": "paging.cursors.after", "cursor_param": "after"}),
        (odata, "", {"type": "next_url", "next_path": "@odata.nextLink"}),
        (next_url, "", {"type": "next_url", "next_path": "next", "total_path": "count"}),
        (link, "", {"type": "link_header"}),
        (only_when_asked, "", {"type": "page", "page_param": "_page", "start": 1, "size_param": "_limit", "size": 100}),
    ],
)  # fmt: skip
def test_every_row_by_the_proposed_pagination(
    source: Source, query: str, wanted: dict[str, Any], tmp_path: Path
) -> None:
    with serving(source) as site:
        found = looked(tmp_path / "probe", url=f"{site.address}/x{query}")
        assert found.collector is not None
        assert found.collector["pagination"] == wanted
        assert found.pagination is not None
        assert found.pagination.verified
        assert found.pagination.type == wanted["type"]
        assert "second page was fetched" in found.pagination.how
        assert found.requests == len(site.hits) <= trials.MOST_REQUESTS + 4
        rows = collected(found.collector, tmp_path / "run")
    assert rows["id"].to_list() == [r["id"] for r in ROWS]
    assert rows["owner_id"].to_list() == [r["owner"]["id"] for r in ROWS]


def test_keys_cursors_and_columns(tmp_path: Path) -> None:
    with serving(page) as site:
        found = looked(tmp_path / "probe", url=site.address + "/x")
    assert [k.columns for k in found.primary_keys] == [["id"], ["name"], ["updated_at"]]
    assert [(c.column, c.order) for c in found.cursors] == [("updated_at", "ascending"), ("id", "ascending")]
    assert [(c.name, c.type, c.looks_like) for c in found.columns] == [
        ("id", "int64", None), ("name", "string", None), ("updated_at", "string", "datetime"),
        ("owner_id", "int64", None),
    ]  # fmt: skip
    assert found.columns[0].samples == [1, 2, 3, 4, 5]
    assert found.sample_rows == 20


def nothing(found: Finding) -> tuple[str, list[str]]:
    assert found.pagination is not None
    assert not found.pagination.verified
    assert found.pagination.type == "none"
    assert "pagination" not in (found.collector or {}) or found.collector["pagination"]["type"] == "none"  # type: ignore[index]
    return found.pagination.how, found.notes


def test_everything_on_one_page(tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json({"items": ROWS, "total": 57})) as site:
        found = looked(tmp_path / "probe", url=site.address + "/x")
        how, notes = nothing(found)
        assert (how, notes) == ("no way to a second page was found", [])
        assert found.collector is not None
        assert found.collector["pagination"] == {"type": "none", "total_path": "total"}
        assert collected(found.collector, tmp_path / "run").height == 57


def test_a_source_that_has_more_and_tells_no_way(tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json({"items": ROWS[:10], "total": 57})) as site:
        _, notes = nothing(looked(tmp_path / "probe", url=site.address + "/x"))
    assert any("'total' is 57 and 10 records came" in note for note in notes)


def test_a_second_page_that_is_empty_proves_nothing(tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json(ROWS[:7] if number(hit, "page", 1) == 1 else [])) as site:
        how, notes = nothing(looked(tmp_path / "probe", url=site.address + "/x"))
    assert "everything came on the first page" in how
    assert any("the source seems to support page: page" in note for note in notes)


def test_other_rows_at_each_request_are_no_pages(tmp_path: Path) -> None:
    asked = iter(range(1000))

    def shuffled(hit: Hit) -> Reply:
        return Reply.json([{"id": next(asked)} for _ in range(5)])

    with serving(shuffled) as site:
        nothing(looked(tmp_path / "probe", url=site.address + "/x"))


def test_an_offset_that_counts_pages_is_not_taken_for_one_that_counts_records(tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json(ROWS[number(hit, "offset", 0) * 3 % 50 :][:3])) as site:
        nothing(looked(tmp_path / "probe", url=site.address + "/x"))


def test_a_next_page_that_is_the_same_one(tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json({"rows": ROWS[:5], "next": "/x?again=1"})) as site:
        _, notes = nothing(looked(tmp_path / "probe", url=site.address + "/x"))
    assert any("seems to name a next page, but none could be fetched" in note for note in notes)


def test_a_source_that_has_enough_is_left_alone(tmp_path: Path) -> None:
    def tired(hit: Hit) -> Reply:
        return Reply(b"slow down", 429) if hit.query else Reply.json(ROWS[:10])

    with serving(tired) as site:
        _, notes = nothing(looked(tmp_path / "probe", url=site.address + "/x"))
        assert len([hit for hit in site.hits if hit.query]) == 2  # and once more, as a run would ask
    assert any("429" in note for note in notes)


def test_the_search_ends_with_the_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "SECONDS", -1.0)
    with serving(page) as site:
        _, notes = nothing(looked(tmp_path / "probe", url=site.address + "/x"))
    assert any("for a pagination stopped" in note for note in notes)


def test_lines_and_csv(tmp_path: Path) -> None:
    body = "".join(json.dumps(r) + "\n" for r in ROWS).encode()
    with serving(lambda hit: Reply(body)) as site:
        found = looked(tmp_path / "lines", url=site.address + "/x")
        assert found.collector == {"type": "api", "endpoint": site.address + "/x", "response_format": "ndjson"}
        assert collected(found.collector, tmp_path / "run").height == 57

    def text(hit: Hit) -> Reply:
        at = number(hit, "page", 1)
        body = "id,name\n" + "".join(f"{r['id']},{r['name']}\n" for r in ROWS[at * 10 - 10 : at * 10])
        return Reply(body.encode(), headers={"content-type": "text/csv"})

    with serving(text) as site:
        found = looked(tmp_path / "csv", url=site.address + "/x?page=1")
        assert found.format == "csv"
        assert collected(found.collector, tmp_path / "run2").height == 57


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": 1, "rows": [[1, 2], [3, 4]]}', "'rows' are arrays"), (b'"text"', "neither JSON nor CSV"),
        (b"hello", "neither JSON"),
        (b"PAR1....", "Parquet file; upload it"), (b"<rss></rss>", "XML"), (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not text"), (b"[1, 2]", "not an object"), (b'{"a": ', "not valid JSON"),
    ],
)  # fmt: skip
def test_answers_that_no_collector_reads(body: bytes, said: str, tmp_path: Path) -> None:
    with serving(lambda hit: Reply(body)) as site:
        error = refused(tmp_path / "probe", url=site.address + "/x")
    assert said in error.message
    assert error.details["field"] == "url"


def test_one_object_is_one_row(tmp_path: Path) -> None:
    with serving(lambda hit: Reply.json({"id": 1, "name": "x", "deep": {"y": 2}})) as site:
        found = looked(tmp_path / "probe", url=site.address + "/x")
        assert found.collector is not None
        assert found.collector["records_path"] == found.records_path == "$"
        assert collected(found.collector, tmp_path / "run").to_dicts() == [{"id": 1, "name": "x", "deep_y": 2}]
        assert len(site.hits) == 3


def test_records_beside_other_arrays(tmp_path: Path) -> None:
    body = {"a": {"facets": [{"x": 1}], "hits": [{"id": i} for i in range(9)]}, "tags": ["a"] * 50}
    with serving(lambda hit: Reply.json(body)) as site:
        found = looked(tmp_path / "probe", url=site.address + "/x")
    assert found.records_path == "a.hits"
    assert any("a.facets" in note for note in found.notes)


def test_an_answer_that_is_too_large_and_one_that_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("service.probing.endpoints.MAX_BYTES", 100)
    with serving(page) as site:
        assert "100 bytes" in refused(tmp_path / "large", url=site.address + "/x").message
    with serving(lambda hit: Reply.json([])) as site:
        found = looked(tmp_path / "empty", url=site.address + "/x")
    assert found.pagination is not None
    assert "no records" in found.pagination.how
    assert found.columns == []


def test_an_address_that_begins_later_is_said(tmp_path: Path) -> None:
    for source, address, begins in ((page, "/x?page=2&per_page=10", "2"), (offset, "/x?offset=20", "20")):
        with serving(source) as site:
            found = looked(tmp_path / f"probe{begins}", url=site.address + address)
        assert found.pagination is not None
        assert any(f"starts at {begins}, and so does the collector" in note for note in found.notes)
    with serving(page) as site:
        assert looked(tmp_path / "probe", url=site.address + "/x?page=1").notes == []
