"""Servers that page as more well-known APIs do: links, tokens, offsets that are tokens, and indexes."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.collectors.known_sources import COUNT, POST, KnownSource, bad, records
from tests.unit.network.site import Answers, Hit, Reply

PATH = "/v1/things"


def github() -> Answers:
    """A bare array; ``Link`` has absolute addresses of next, prev, first and last."""

    def answer(hit: Hit) -> Reply:
        page, size = int(hit.query.get("page", 1)), int(hit.query.get("per_page", 10))
        last, home = -(-COUNT // size), f"http://{hit.headers['host']}{PATH}?per_page={size}"
        links = [f'<{home}&page={page + 1}>; rel="next"', f'<{home}&page={last}>; rel="last"'] if page < last else []
        links += [f'<{home}&page=1>; rel="first"', f'<{home}&page={page - 1}>; rel="prev"'] if page > 1 else []
        return Reply.json(records((page - 1) * size, size), Link=", ".join(links))

    return answer


def shopify() -> Answers:
    """``Link`` with ``page_info``, beside which only ``limit`` and ``fields`` are allowed; ``page`` is refused."""

    def answer(hit: Hit) -> Reply:
        if "page" in hit.query or ("page_info" in hit.query and set(hit.query) - {"page_info", "limit", "fields"}):
            return bad("page cannot be passed. See https://shopify.dev/api/usage/pagination-rest for more information.")
        begin, size = int(hit.query.get("page_info", "eyJX0")[4:]), int(hit.query.get("limit", 10))
        home = f"http://{hit.headers['host']}{PATH}?limit={size}&page_info=eyJ"
        more = begin + size < COUNT
        links = [f'<{home}{n}>; rel="{rel}"' for rel, n, is_there in (
            ("previous", f"X{begin - size}", begin > 0), ("next", f"X{begin + size}", more)) if is_there]  # fmt: skip
        return Reply.json({"orders": records(begin, size)}, **({"Link": ", ".join(links)} if links else {}))

    return answer


def google() -> Answers:
    """``pageToken``; the last page has neither a token nor, as it is empty, its records."""

    def answer(hit: Hit) -> Reply:
        if set(hit.query) - {"pageToken", "maxResults", "fields", "key", "alt", "q"}:
            return bad("Invalid JSON payload received. Unknown name")
        begin, size = int(hit.query.get("pageToken", "CAo0")[3:]), 10
        found = records(begin, size)
        body: dict[str, Any] = {"kind": "calendar#events", "etag": '"3f"', "nextSyncToken": "CPDAlvWDx70C"}
        if found:
            body = {"kind": "calendar#events", "etag": '"3f"', "items": found, "nextPageToken": f"CAo{begin + size}"}
        return Reply.json(body)

    return answer


def salesforce() -> Answers:
    """``nextRecordsUrl`` from the host's root, ``done`` and ``totalSize``."""

    def answer(hit: Hit) -> Reply:
        begin = int(hit.path.rpartition("-")[2]) if "-" in hit.path else 0
        if "-" in hit.path and hit.query:
            return bad("unexpected parameter")
        found = [{"attributes": {"type": "Thing", "url": f"/sobjects/{r['id']}"}, **r} for r in records(begin, 10)]
        done = begin + 10 >= COUNT
        more = {} if done else {"nextRecordsUrl": f"{PATH}/01gD0000002HU6KIAW-{begin + 10}"}
        return Reply.json({"totalSize": COUNT, "done": done, **more, "records": found})

    return answer


def odata() -> Answers:
    """``@odata.nextLink`` with ``$skiptoken`` and ``@odata.count``; unknown ``$`` options are refused."""

    def answer(hit: Hit) -> Reply:
        known = {"$skiptoken", "$top", "$skip", "$count", "$select", "$filter", "$orderby"}
        if any(name.startswith("$") and name not in known for name in hit.query):
            return bad("The query parameter is not supported.")
        begin = int(hit.query.get("$skiptoken", hit.query.get("$skip", 0)))
        home = f"http://{hit.headers['host']}{PATH}"
        more = {"@odata.nextLink": f"{home}?$skiptoken={begin + 10}"} if begin + 10 < COUNT else {}
        return Reply.json({
            "@odata.context": f"{home}/$metadata#Things", "@odata.count": COUNT, "value": records(begin, 10), **more,
        })  # fmt: skip

    return answer


def airtable() -> Answers:
    """``offset`` is a token; a number is refused, and the last page has none."""

    def answer(hit: Hit) -> Reply:
        token = hit.query.get("offset", "itrX/rec0")
        if set(hit.query) - {"offset", "pageSize", "view", "maxRecords"} or not token.startswith("itrX/rec"):
            return bad("LIST_RECORDS_ITERATOR_NOT_AVAILABLE", 422)
        begin = int(token.removeprefix("itrX/rec"))
        found = [{"id": f"rec{r['id']}", "createdTime": "2024-01-01T00:00:00.000Z", "fields": r}
                 for r in records(begin, 10)]  # fmt: skip
        return Reply.json({"records": found, **({"offset": f"itrX/rec{begin + 10}"} if begin + 10 < COUNT else {})})

    return answer


def slack() -> Answers:
    """``response_metadata.next_cursor``, which is empty on the last page; errors are 200 with ``ok: false``."""

    def answer(hit: Hit) -> Reply:
        cursor = hit.query.get("cursor", "dXNlcjo0")
        if not cursor.startswith("dXNlcjo"):
            return Reply.json({"ok": False, "error": "invalid_cursor"})
        begin = int(cursor.removeprefix("dXNlcjo"))
        following = f"dXNlcjo{begin + 10}" if begin + 10 < COUNT else ""
        return Reply.json({
            "ok": True, "members": records(begin, 10), "cache_ts": 1498777272,
            "response_metadata": {"next_cursor": following},
        })  # fmt: skip

    return answer


def zendesk() -> Answers:
    """Cursor pages: ``meta.after_cursor`` is sent as ``page[after]``, and ``links.next`` is the whole address."""

    def answer(hit: Hit) -> Reply:
        begin, size = int(hit.query.get("page[after]", "xyz0")[3:]), int(hit.query.get("page[size]", 10))
        more, home = begin + size < COUNT, f"http://{hit.headers['host']}{PATH}"
        links = {"prev": None, "next": f"{home}?page%5Bafter%5D=xyz{begin + size}&page%5Bsize%5D={size}"}
        return Reply.json({
            "tickets": records(begin, size), "links": links,
            "meta": {"has_more": more, "after_cursor": f"xyz{begin + size}", "before_cursor": f"xyz{begin}"},
        })  # fmt: skip

    return answer


def twitter() -> Answers:
    """``meta.next_token`` is sent as ``pagination_token``; other parameters are refused, and errors are explained."""

    def answer(hit: Hit) -> Reply:
        if set(hit.query) - {"pagination_token", "max_results"}:
            return bad("One or more parameters to your request was invalid.")
        begin = int(hit.query.get("pagination_token", "7140w0")[5:])
        more = {"next_token": f"7140w{begin + 10}"} if begin + 10 < COUNT else {}
        return Reply.json({"data": records(begin, 10), "meta": {"result_count": len(records(begin, 10)), **more}})

    return answer


def mailchimp() -> Answers:
    """``offset`` and ``count``, of which the answer repeats none, and ``total_items``."""

    def answer(hit: Hit) -> Reply:
        begin, size = int(hit.query.get("offset", 0)), int(hit.query.get("count", 10))
        return Reply.json({"members": records(begin, size), "list_id": "57afe96172", "total_items": COUNT})

    return answer


def ckan() -> Answers:
    """``success``, and ``result`` with records, a total and links that repeat the request."""

    def answer(hit: Hit) -> Reply:
        begin, size = int(hit.query.get("offset", 0)), int(hit.query.get("limit", 10))
        link = {"start": f"{PATH}?resource_id=x", "next": f"{PATH}?offset={begin + size}&resource_id=x"}
        result = {"include_total": True, "limit": size, "records": records(begin, size), "_links": link,
                  "fields": [{"id": "id", "type": "int"}], "total": COUNT, "total_was_estimated": False}  # fmt: skip
        return Reply.json({"help": "https://ckan.example/help", "success": True, "result": result})

    return answer


def solr() -> Answers:
    """``start`` and ``rows``, of which the answer repeats ``start`` only, and ``numFound``."""

    def answer(hit: Hit) -> Reply:
        begin, size = int(hit.query.get("start", 0)), int(hit.query.get("rows", 10))
        return Reply.json({
            "responseHeader": {"status": 0, "QTime": 1, "params": {"q": "*:*"}},
            "response": {"numFound": COUNT, "start": begin, "numFoundExact": True, "docs": records(begin, size)},
        })  # fmt: skip

    return answer


def arcgis() -> Answers:
    """``resultOffset`` and ``resultRecordCount``; ``exceededTransferLimit`` is only there while there is more."""

    def answer(hit: Hit) -> Reply:
        begin, size = int(hit.query.get("resultOffset", 0)), int(hit.query.get("resultRecordCount", 10))
        found = [{"attributes": r, "geometry": {"x": 1.5, "y": 2.5}} for r in records(begin, size)]
        more = {"exceededTransferLimit": True} if begin + size < COUNT else {}
        return Reply.json({"objectIdFieldName": "id", "fields": [{"name": "id"}], **more, "features": found})

    return answer


def mediawiki() -> Answers:
    """``continue`` holds the parameter of the next request under its own name."""

    def answer(hit: Hit) -> Reply:
        begin = int(hit.query.get("apcontinue", "Page_0").removeprefix("Page_"))
        more = {"continue": {"apcontinue": f"Page_{begin + 10}", "continue": "-||"}} if begin + 10 < COUNT else {}
        return Reply.json({"batchcomplete": True, **more, "query": {"allpages": records(begin, 10)}})

    return answer


def dynamodb() -> Answers:
    """A POST whose answer holds ``LastEvaluatedKey``, an object, sent back as ``ExclusiveStartKey``."""

    def answer(hit: Hit) -> Reply:
        body = json.loads(hit.body or b"{}")
        begin = int(body.get("ExclusiveStartKey", {"id": {"N": "0"}})["id"]["N"])
        more = {"LastEvaluatedKey": {"id": {"N": str(begin + 10)}}} if begin + 10 < COUNT else {}
        return Reply.json({"Items": records(begin, 10), "Count": len(records(begin, 10)), **more})

    return answer


def algolia() -> Answers:
    """Pages from 0: ``page``, ``nbPages``, ``nbHits`` and ``hitsPerPage``."""

    def answer(hit: Hit) -> Reply:
        page, size = int(hit.query.get("page", 0)), int(hit.query.get("hitsPerPage", 10))
        return Reply.json({
            "hits": records(page * size, size), "nbHits": COUNT, "page": page, "nbPages": -(-COUNT // size),
            "hitsPerPage": size, "exhaustiveNbHits": True, "query": "", "processingTimeMS": 1,
        })  # fmt: skip

    return answer


def crossref() -> Answers:
    """``cursor=*`` asks for cursors; ``offset`` and ``rows`` work as well."""

    def answer(hit: Hit) -> Reply:
        cursor = hit.query.get("cursor")
        begin, size = int(hit.query.get("offset", 0)), int(hit.query.get("rows", 10))
        if cursor is not None:
            begin = 0 if cursor == "*" else int(cursor.removeprefix("DnF1"))
        following = {} if cursor is None else {"next-cursor": f"DnF1{begin + size}"}
        return Reply.json({"status": "ok", "message-type": "work-list", "message": {
            "items-per-page": size, "total-results": COUNT, "items": records(begin, size), **following,
        }})  # fmt: skip

    return answer


MORE: dict[str, KnownSource] = {
    "github": KnownSource(github, {}, {"pagination": "link_header"}),
    "shopify": KnownSource(shopify, {}, {"pagination": "link_header"}),
    "google": KnownSource(
        google, {}, {"pagination": {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "pageToken"}}
    ),
    "salesforce": KnownSource(
        salesforce, {}, {"pagination": {"type": "next_url", "next_path": "nextRecordsUrl", "total_path": "totalSize"}},
        total=True,
    ),
    "odata": KnownSource(
        odata, {},
        {"pagination": {"type": "next_url", "next_path": "@odata.nextLink", "total_path": "@odata.count"}}, total=True,
    ),
    "airtable": KnownSource(
        airtable, {}, {"pagination": {"type": "cursor", "cursor_path": "offset", "cursor_param": "offset"}}, "fields_id"
    ),
    "slack": KnownSource(
        slack, {},
        {"pagination": {"type": "cursor", "cursor_path": "response_metadata.next_cursor", "cursor_param": "cursor"}},
    ),
    "zendesk": KnownSource(
        zendesk, {},
        {"pagination": {"type": "next_url", "next_path": "links.next", "has_more_path": "meta.has_more"}},
    ),
    "twitter": KnownSource(
        twitter, {},
        {"pagination": {"type": "cursor", "cursor_path": "meta.next_token", "cursor_param": "pagination_token"}},
    ),
    "mailchimp": KnownSource(
        mailchimp, {},
        {"pagination": {"type": "offset", "limit_param": "count", "limit": 10, "total_path": "total_items"}},
        total=True,
    ),
    "ckan": KnownSource(
        ckan, {},
        {"records_path": "result.records", "pagination": {"type": "offset", "total_path": "result.total"}}, total=True,
    ),
    "solr": KnownSource(
        solr, {},
        {"records_path": "response.docs",
         "pagination": {"type": "offset", "offset_param": "start", "limit_param": "rows", "total_path":
                        "response.numFound"}}, total=True,
    ),
    "arcgis": KnownSource(
        arcgis, {},
        {"records_path": "features", "pagination": {"type": "offset", "offset_param": "resultOffset", "limit_param":
                                                    "resultRecordCount"}}, "attributes_id",
    ),
    "mediawiki": KnownSource(
        mediawiki, {},
        {"records_path": "query.allpages",
         "pagination": {"type": "cursor", "cursor_path": "continue.apcontinue", "cursor_param": "apcontinue"}},
    ),
    "dynamodb": KnownSource(
        dynamodb, {**POST, "body": {"TableName": "t"}},
        {"pagination": {"type": "cursor", "cursor_path": "LastEvaluatedKey", "cursor_param": "ExclusiveStartKey",
                        "in": "body"}},
    ),
    "algolia": KnownSource(
        algolia, {}, {"pagination": {"type": "page", "start": 0, "total_path": "nbHits"}}, total=True
    ),
    "crossref": KnownSource(
        crossref, {},
        {"records_path": "message.items",
         "pagination": {"type": "cursor", "cursor_path": "message.next-cursor", "cursor_param": "cursor", "start": "*",
                        "total_path": "message.total-results"}}, total=True,
    ),
}  # fmt: skip
