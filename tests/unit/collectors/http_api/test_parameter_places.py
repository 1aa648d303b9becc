"""Where the parameters of a pagination go: query, body, headers and path; totals and cursors from headers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.collectors.http_api.requests import filled, with_parameters
from service.kit import errors
from tests.unit.collectors.api_source import fetched
from tests.unit.network.site import Hit, Reply

Find = Callable[[Hit, str], Any]


def in_query(hit: Hit, name: str) -> Any:
    return hit.query.get(name)


def in_header(hit: Hit, name: str) -> Any:
    return hit.headers.get(name.lower())


def in_path(hit: Hit, name: str) -> Any:
    parts = hit.path.strip("/").split("/")
    return parts[1] if len(parts) > 1 else None


def in_body(hit: Hit, name: str) -> Any:
    here = json.loads(hit.body or b"{}")
    for part in name.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here


WHERE: dict[str, tuple[str, Find]] = {
    "query": ("p", in_query), "body": ("paging.p", in_body), "header": ("X-P", in_header), "path": ("p", in_path),
}  # fmt: skip
KINDS = ("page", "offset", "cursor")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("concurrency", [1, 3])
def test_every_kind_sends_its_parameters_anywhere(kind: str, where: str, concurrency: int, tmp_path: Path) -> None:
    name, find = WHERE[where]
    rows = [{"id": n} for n in range(7)]

    def answer(hit: Hit) -> Reply:
        value = find(hit, name)
        begin = (int(value) - 1) * 3 if kind == "page" else int(value or 0)
        if where == "body" and value is not None and kind != "cursor":
            assert isinstance(value, int)  # a number stays one
        return Reply.json({"items": rows[begin : begin + 3], "next": str(begin + 3) if begin + 3 < len(rows) else None})

    config: dict[str, Any] = {"method": "POST", "body": {"filter": {"a": 1}, "paging": {"keep": True}}}
    pagination = {"type": kind, f"{kind}_param": name, "in": where}
    if kind == "cursor":
        pagination["cursor_path"], concurrency = "next", 1
    if where == "path":
        config["path"] = "/orders/{p}"
    frame, site, _ = fetched(answer, tmp_path, pagination=pagination, concurrency=concurrency, **config)
    assert frame["id"].to_list() == list(range(7))
    assert all(json.loads(hit.body)["filter"] == {"a": 1} for hit in site.hits)
    if where == "body":
        assert all(json.loads(hit.body)["paging"]["keep"] for hit in site.hits)


def test_each_parameter_has_its_own_place(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        assert json.loads(hit.body)["size"] == 2
        page = int(hit.query["page"])
        return Reply.json([{"id": page}] if page < 3 else [])

    kind = {"type": "page", "size_param": "size", "size": 2, "in": {"size_param": "body"}}
    assert fetched(answer, tmp_path, method="POST", pagination=kind)[0].height == 2


def test_cursors_and_totals_come_from_headers(tmp_path: Path) -> None:
    def answer(hit: Hit) -> Reply:
        begin = int(hit.query.get("cursor", 0))
        more = {"X_Next": str(begin + 2)} if begin < 4 else {}
        return Reply.json([{"id": begin}, {"id": begin + 1}], **more, Content_Range=f"items {begin}-{begin + 1}/6")

    kind = {"type": "cursor", "cursor_header": "X-Next", "total_header": "Content-Range"}
    frame, _, ctx = fetched(answer, tmp_path, pagination=kind, completeness="strict")
    assert (frame["id"].to_list(), ctx.report().evidence["declared_total"]) == (list(range(6)), 6)


@pytest.mark.parametrize("first", [0, 1])
def test_the_last_record_is_a_cursor(first: int, tmp_path: Path) -> None:
    rows = [{"id": n} for n in range(first, first + 5)]

    def answer(hit: Hit) -> Reply:
        after = int(hit.query.get("after", first - 1))
        return Reply.json([r for r in rows if r["id"] > after][:1])

    kind = {"type": "cursor", "cursor_path": "-1.id", "cursor_param": "after"}
    assert fetched(answer, tmp_path, pagination=kind)[0].height == 5  # an id of 0 is one, too


def test_a_first_cursor_can_be_given(tmp_path: Path) -> None:
    pages = {"*": ([{"id": 1}], "b"), "b": ([{"id": 2}], "b")}

    def answer(hit: Hit) -> Reply:
        found, following = pages[hit.query["cursorMark"]]
        return Reply.json({"docs": found if len(site_hits) < 2 else [], "nextCursorMark": following, "n": 2})

    site_hits: list[int] = []

    def counting(hit: Hit) -> Reply:
        reply = answer(hit)
        site_hits.append(1)
        return reply

    kind = {"type": "cursor", "cursor_path": "nextCursorMark", "cursor_param": "cursorMark", "start": "*"}
    frame, _, _ = fetched(counting, tmp_path, pagination=kind, records_path="docs")
    assert frame["id"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("body", "parameters", "wanted"),
    [
        (None, {"a.b": 1}, {"a": {"b": 1}}),
        ({"a": {"c": 2}, "d": 3}, {"a.b": 1}, {"a": {"c": 2, "b": 1}, "d": 3}),
        ({"a": None}, {"a.b": [1, "x"]}, {"a": {"b": [1, "x"]}}),
    ],
)
def test_a_path_into_the_body_keeps_what_is_there(body: Any, parameters: dict[str, Any], wanted: Any) -> None:
    before = json.dumps(body)
    assert with_parameters(body, parameters) == wanted
    assert json.dumps(body) == before


def test_a_value_in_the_path_cannot_leave_its_segment() -> None:
    assert filled("https://x/a/{p}?q={p}", {"p": "b/../c d"}) == "https://x/a/b%2F..%2Fc%20d?q={p}"
    assert filled("https://x/a/{p}", {"p": None}) == "https://x/a"
    with pytest.raises(errors.Permanent):
        filled("https://x/a/{p}", {"p": ".."})
