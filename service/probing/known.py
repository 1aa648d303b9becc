"""Paginations that answers show by their form: GraphQL connections, ``search_after``, ids of the last record, echoed
offsets, headers of known servers; and the flags and totals that end them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from service.collectors.http_api import more_pages, pagination
from service.collectors.http_api.pagination import Kind, StopWhen
from service.collectors.records.json_records import Document
from service.network.request import Response
from service.probing import clues
from service.probing.clues import Clue

_AFTER = re.compile(r"\bafter\s*:\s*\$(\w+)")
_LAST_ID = ("starting_after", "after", "last_id", "since_id", "after_id")


def named(
    answer: Response, document: Document | None, path: str | None, body: Mapping[str, Any] | None
) -> Iterator[Clue]:
    """Candidates by the form of an answer to a request with this JSON body (None: a GET)."""
    if any(name.startswith("x-soda2") for name in answer.headers) or "/resource/" in answer.url:
        yield Clue(pagination.Offset(offset_param="$offset", limit_param="$limit"), "the answer is Socrata's")
    if "x-wp-total" in answer.headers and "next" not in answer.links:
        yield Clue(pagination.PageNumber(total_header="X-WP-Total"), "the answer is WordPress's")
    if document is None:
        return
    yield from _connection(document, body)
    records = f"{path}." if path else ""
    if document.at(f"{records}-1.sort") is not None and body is not None:
        kind = pagination.Cursor(cursor_path=f"{records}-1.sort", cursor_param="search_after", location="body")
        yield Clue(kind, "its last record has the values that it is sorted by", exact=True)
    if more_pages.flags(document, path)[0] is not None and document.at(f"{records}-1.id") is not None:
        for name in _LAST_ID:
            kind = pagination.Cursor(cursor_path=f"{records}-1.id", cursor_param=name)
            yield Clue(
                kind, f"a flag says that there is more; the id of the last record is sent as '{name}'", exact=True
            )
    key = more_pages.key(document) if body is not None else None
    for name in clues.cursor_params(key) if key is not None else ():
        kind = pagination.Cursor(cursor_path=str(key), cursor_param=name, location="body")
        yield Clue(kind, f"'{key}' is the key of the next page, sent as '{name}'", exact=True)
    yield from _echoed(document)


def _connection(document: Document, body: Mapping[str, Any] | None) -> Iterator[Clue]:
    """A GraphQL connection: ``pageInfo`` with ``hasNextPage`` and ``endCursor``."""
    query = body.get("query") if body is not None else None
    if not isinstance(query, str):
        return
    ends = [p for p, _ in clues.walk(document) if p.endswith("pageInfo.endCursor")]
    variables = [*_AFTER.findall(query), *(body or {}).get("variables", {}), "after", "cursor"]
    for end in ends:
        flag = end.removesuffix("endCursor") + "hasNextPage"
        for name in dict.fromkeys(variables):
            kind = pagination.Cursor(
                cursor_path=end, cursor_param=f"variables.{name}", location="body", has_more_path=flag
            )
            yield Clue(
                kind, f"'{end}' is the cursor of a GraphQL connection, sent as the variable '{name}'", exact=True
            )


def _echoed(document: Document) -> Iterator[Clue]:
    """An offset that the answer repeats, with a limit or alone: ``{"startAt": 0, "maxResults": 50, …}``; it counts from
    the value that the first page has. And the flag of a server that has offsets of its own."""
    values = clues.scalars(document)
    last = {path.rpartition(".")[2]: value for path, value in values.items()}
    both = [(o, n) for o, n in clues.OFFSETS if last.get(o) in (0, 1) and last.get(n)]
    alone = [(o, n) for o, n in clues.OFFSETS if last.get(o) in (0, 1) and not last.get(n)]
    for offset, limit in (*both, *alone):
        kind = pagination.Offset(offset_param=offset, start=last[offset], limit_param=limit)
        yield Clue(kind, f"the answer has '{offset}'" + (f" and '{limit}'" if last.get(limit) else ""))
    if "exceededTransferLimit" in document.keys:
        kind = pagination.Offset(offset_param="resultOffset", limit_param="resultRecordCount")
        yield Clue(kind, "the answer is ArcGIS's")


def placed(found: Iterable[Clue], *, posted: bool) -> Iterator[Clue]:
    """The candidates of a POST with their parameters in the body, and then in the query."""
    for clue in found:
        moves = posted and bool(clue.kind.parameters) and clue.kind.location == "query"
        for location in ("body", "query") if moves else (clue.kind.location,):
            yield dataclasses.replace(clue, kind=msgspec.structs.replace(clue.kind, location=location))


def flagged(kind: Kind, document: Document | None, path: str | None) -> Kind:
    """``kind`` with the flag of the answer that says whether there is more, if it names the next page itself."""
    if document is None or not pagination.follows(kind) or kind.has_more_path is not None:
        return kind
    more, last = more_pages.flags(document, path)
    if more is not None:
        return msgspec.structs.replace(kind, has_more_path=more)
    return kind if last is None else msgspec.structs.replace(kind, stop_when=StopWhen(path=last, equals=True))


def total_header(answer: Response, at_least: int) -> str | None:
    """A header of the answer with the total number of records."""
    for name, value in answer.headers.items():
        if more_pages.is_total_header(name) and value.isascii() and value.isdigit() and int(value) >= at_least:
            return name
    return None
