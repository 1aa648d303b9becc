"""Servers that page as well-known APIs do; each has ``count`` records with ids from 1 on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.unit.network.site import Answers, Hit, Reply

COUNT = 23


@dataclass(frozen=True)
class KnownSource:
    """How a probe asks a source, the settings that collect it, and where its records have their ids."""

    answers: Callable[[], Answers]
    request: dict[str, Any]
    config: dict[str, Any]
    id_column: str = "id"
    total: bool = False


def records(begin: int, size: int) -> list[dict[str, Any]]:
    return [{"id": n + 1, "name": f"n{n + 1}"} for n in range(begin, min(begin + size, COUNT))]


def bad(message: str, status: int = 400) -> Reply:
    return Reply(json.dumps({"message": message}).encode(), status, {"content-type": "application/json"})


def hubspot() -> Answers:
    """Search: POST, ``after`` and ``limit`` in the body, ``paging.next.after`` in the answer."""

    def answer(hit: Hit) -> Reply:
        body = json.loads(hit.body or b"{}")
        if hit.method != "POST" or "after" in hit.query:
            return bad("method not allowed", 405)
        begin, size = int(body.get("after", 0)), min(int(body.get("limit", 10)), 100)
        more = begin + size < COUNT
        return Reply.json({
            "total": COUNT, "results": records(begin, size),
            **({"paging": {"next": {"after": str(begin + size)}}} if more else {}),
        })  # fmt: skip

    return answer


def notion() -> Answers:
    """A database query: POST, ``start_cursor`` in the body; the last page says ``next_cursor: null``."""

    def answer(hit: Hit) -> Reply:
        body = json.loads(hit.body or b"{}")
        if set(body) - {"start_cursor", "page_size", "filter", "sorts"}:
            return bad("body failed validation")
        begin, size = int(body.get("start_cursor", "c0")[1:]), int(body.get("page_size", 10))
        more = begin + size < COUNT
        return Reply.json({
            "object": "list", "results": records(begin, size), "has_more": more,
            "next_cursor": f"c{begin + size}" if more else None,
        })  # fmt: skip

    return answer


def graphql() -> Answers:
    """A connection: ``endCursor`` of the page goes into a variable; the last page has one too."""

    def answer(hit: Hit) -> Reply:
        asked = json.loads(hit.body)
        cursor = asked.get("variables", {}).get("cursor")
        begin = 0 if cursor is None else int(cursor.removeprefix("end"))
        found = records(begin, 10)
        info = {"hasNextPage": begin + 10 < COUNT, "endCursor": f"end{begin + len(found)}"}
        return Reply.json({"data": {"orders": {"pageInfo": info, "nodes": found}}})

    return answer


def elasticsearch() -> Answers:
    """``search_after`` takes the sort values of the last hit; ``from`` past the window is refused."""

    def answer(hit: Hit) -> Reply:
        body = json.loads(hit.body or b"{}")
        begin = body["search_after"][0] if "search_after" in body else int(body.get("from", 0))
        if begin + 10 > 20 and "search_after" not in body:
            return bad("Result window is too large")
        hits = [{"_id": str(r["id"]), "_source": r, "sort": [r["id"]]} for r in records(begin, 10)]
        return Reply.json({
            "took": 1, "timed_out": False, "hits": {"total": {"value": COUNT, "relation": "eq"}, "hits": hits},
        })  # fmt: skip

    return answer


def stripe() -> Answers:
    """``starting_after`` takes the id of the last object; ``has_more`` is the only word on more."""

    def answer(hit: Hit) -> Reply:
        if set(hit.query) - {"starting_after", "limit"}:
            return bad("Received unknown parameter")
        begin, size = int(hit.query.get("starting_after", 0)), int(hit.query.get("limit", 10))
        more = begin + size < COUNT
        return Reply.json({"object": "list", "data": records(begin, size), "has_more": more, "url": "/v1/charges"})

    return answer


def jira() -> Answers:
    """``startAt`` and ``maxResults``, both repeated in the answer beside the total."""

    def answer(hit: Hit) -> Reply:
        begin, size = int(hit.query.get("startAt", 0)), min(int(hit.query.get("maxResults", 10)), 10)
        return Reply.json({"startAt": begin, "maxResults": size, "total": COUNT, "issues": records(begin, size)})

    return answer


def jira_tokens() -> Answers:
    """The newer search: ``nextPageToken``, and ``isLast`` on every page."""

    def answer(hit: Hit) -> Reply:
        begin = int(hit.query.get("nextPageToken", "t0")[1:])
        last = begin + 10 >= COUNT
        more = {} if last else {"nextPageToken": f"t{begin + 10}"}
        return Reply.json({"issues": records(begin, 10), "isLast": last, **more})

    return answer


def socrata() -> Answers:
    """A bare array with ``$limit`` and ``$offset``; nothing says how many there are."""

    def answer(hit: Hit) -> Reply:
        begin, size = int(hit.query.get("$offset", 0)), int(hit.query.get("$limit", 10))
        return Reply.json(records(begin, size), X_SODA2_Fields='["id","name"]')

    return answer


def wordpress() -> Answers:
    """Numbered pages with totals in headers; a page past the last is a 400."""

    def answer(hit: Hit) -> Reply:
        page, size = int(hit.query.get("page", 1)), int(hit.query.get("per_page", 10))
        found = records((page - 1) * size, size)
        if not found:
            return bad("The page number requested is larger than the number of pages available.")
        return Reply.json(found, X_WP_Total=str(COUNT), X_WP_TotalPages=str(-(-COUNT // size)))

    return answer


QUERY = (
    "query ($cursor: String) { orders(first: 10, after: $cursor) { pageInfo { hasNextPage endCursor } nodes { id } } }"
)
POST: dict[str, Any] = {"method": "POST"}
KNOWN: dict[str, KnownSource] = {
    "hubspot": KnownSource(
        hubspot, {**POST, "body": {"filterGroups": [], "limit": 10}},
        {"pagination": {"type": "cursor", "in": "body", "cursor_path": "paging.next.after", "cursor_param": "after",
                        "size_param": "limit", "size": 10, "total_path": "total"}}, total=True,
    ),
    "notion": KnownSource(
        notion, {**POST, "body": {"page_size": 10}},
        {"pagination": {"type": "cursor", "in": "body", "cursor_path": "next_cursor", "cursor_param": "start_cursor",
                        "has_more_path": "has_more"}},
    ),
    "graphql": KnownSource(
        graphql, {**POST, "body": {"query": QUERY, "variables": {"first": 10}}},
        {"records_path": "data.orders.nodes",
         "pagination": {"type": "cursor", "in": "body", "cursor_path": "data.orders.pageInfo.endCursor",
                        "cursor_param": "variables.cursor", "has_more_path": "data.orders.pageInfo.hasNextPage"}},
    ),
    "elasticsearch": KnownSource(
        elasticsearch, {**POST, "body": {"size": 10, "sort": [{"id": "asc"}]}},
        {"records_path": "hits.hits",
         "pagination": {"type": "cursor", "in": "body", "cursor_path": "hits.hits.-1.sort", "total_path":
                        "hits.total.value", "cursor_param": "search_after"}}, "_source_id", total=True,
    ),
    "stripe": KnownSource(
        stripe, {},
        {"pagination": {"type": "cursor", "cursor_path": "data.-1.id", "cursor_param": "starting_after",
                        "has_more_path": "has_more", "size_param": "limit", "size": 10}},
    ),
    "jira": KnownSource(
        jira, {},
        {"pagination": {"type": "offset", "offset_param": "startAt", "limit_param": "maxResults", "limit": 50,
                        "total_path": "total"}}, total=True,
    ),
    "jira_tokens": KnownSource(
        jira_tokens, {},
        {"pagination": {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "nextPageToken",
                        "stop_when": {"path": "isLast", "equals": True}}},
    ),
    "socrata": KnownSource(
        socrata, {},
        {"pagination": {"type": "offset", "offset_param": "$offset", "limit_param": "$limit", "limit": 10}},
    ),
    "wordpress": KnownSource(
        wordpress, {},
        {"pagination": {"type": "page", "size_param": "per_page", "size": 10, "total_header": "X-WP-Total"}},
        total=True,
    ),
}  # fmt: skip
