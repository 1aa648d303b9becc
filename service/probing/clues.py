"""Clues in a JSON answer: where its records are, and which paginations could lead to its next page.

Names are only clues. Each candidate carries its reason. Strong candidates (the source names a next page) come first,
then those that the URL suggests, then guesses; ``trials`` finds out which one works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from service.collectors.http_api import pagination
from service.collectors.http_api.pagination import Kind
from service.collectors.records.json_records import WELL_KNOWN, WHOLE, Document
from service.collectors.records.unusable import Unusable

_DEPTH = 4
_SCALARS = 500

_NEXT = re.compile(r"(^|\.)_*(@odata\.|odata\.)?(next|more)[_-]?(page|results|records)?[_-]?(ur[li]|link|href|path)?"
                   r"(\.(href|ur[li]|link))?$", re.IGNORECASE)  # fmt: skip
_CURSOR = re.compile(
    r"(cursor|token|continuation|continue|bookmark|marker|scroll_?id|after|start_?key|^next|\.next|next_?(page|id)"
    r"|starting_?after|^offset|\.offset|since)",
    re.IGNORECASE,
)
_TOTAL = re.compile(r"total|count|num_?found|hits|n_results|size|length", re.IGNORECASE)
_NO_TOTAL = re.compile(r"page|per_|limit|offset|time|took|status|score", re.IGNORECASE)

PAGE_PARAMS = (
    "page", "_page", "p", "page_number", "pageNumber", "pagenumber", "page[number]", "pageno", "pg", "pageIndex",
)  # fmt: skip
OFFSETS = (
    ("offset", "limit"), ("skip", "limit"), ("_start", "_limit"), ("$skip", "$top"), ("start", "rows"),
    ("start", "limit"), ("skip", "take"), ("from", "size"), ("startIndex", "count"), ("startAt", "maxResults"),
    ("_offset", "_limit"), ("resultOffset", "resultRecordCount"), ("$offset", "$limit"),
)  # fmt: skip
SIZE_PARAMS = (
    "per_page", "page_size", "pageSize", "limit", "size", "_limit", "page[size]", "perPage", "perpage", "pagesize",
    "_size", "count", "rows", "pageLength",
)  # fmt: skip
_CURSOR_PARAMS = {
    "next": ("cursor", "next", "_next", "after", "page_token"),
    "nextcursor": ("cursor", "start_cursor", "next_cursor", "after"),
    "nextpagetoken": ("pageToken", "page_token"),
    "endcursor": ("after", "cursor"),
    "offset": ("offset",),
    "nextpage": ("page",),
    "scrollid": ("scroll_id",),
    "nexttoken": ("pagination_token", "next_token", "nextToken", "page_token"),
    "lastevaluatedkey": ("ExclusiveStartKey", "exclusiveStartKey", "lastEvaluatedKey", "LastEvaluatedKey"),
}


@dataclass(frozen=True)
class Clue:
    """A candidate pagination and its reason. ``exact``: the source itself names a next page."""

    kind: Kind
    why: str
    exact: bool = False


def records_path(document: Document) -> tuple[str | None, list[str]]:
    """The ``records_path`` of a document, and the paths of other arrays of objects.

    Raises ``Unusable`` if there are no objects.
    """
    if not document.is_object:
        document.records(None)
        return None, []
    found = dict(arrays(document))
    others = sorted(found, key=lambda p: (not found[p], p.rpartition(".")[2] not in WELL_KNOWN, -found[p]))
    most = max(found.values(), default=0)
    awkward = [p for p, v in walk(document) if isinstance(v, list) and len(v) > most and isinstance(v[0], list)]
    if awkward:
        raise Unusable(
            f"the records at '{awkward[0]}' are arrays, and a record must be an object; the source's documentation may "
            "name a parameter that returns objects"
        )
    try:
        path = document.path()
    except Unusable:
        path = others[0] if others else None
    if path is None:
        return WHOLE, []
    return path, [p for p in others if p != path and found[p]]


def walk(document: Document) -> Iterator[tuple[str, Any]]:
    """Every value that is not an object, with its path, down to a few levels; arrays are not entered."""
    pending: list[tuple[str, Any, int]] = [("", document.value, 0)]
    while pending:
        path, value, depth = pending.pop(0)
        if isinstance(value, dict) and depth < _DEPTH:
            pending.extend((f"{path}.{k}" if path else k, v, depth + 1) for k, v in list(value.items())[:_SCALARS])
        elif path and not isinstance(value, dict):
            yield path, value


def arrays(document: Document) -> Iterator[tuple[str, int]]:
    """The arrays of objects, by path, with their lengths."""
    for path, value in walk(document):
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            yield path, len(value)


def scalars(document: Document | None) -> dict[str, Any]:
    """The strings and numbers beside the records, by path."""
    if document is None or not document.is_object:
        return {}
    found = ((p, v) for p, v in walk(document) if isinstance(v, str | int) and not isinstance(v, bool))
    return {path: value for path, value in found if value != ""}


def totals(beside: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Values that could be the total number of records, the likeliest names first."""
    found = [
        (path, int(value)) for path, value in beside.items()
        if (isinstance(value, int) or value.isdigit()) and _TOTAL.search(path) and not _NO_TOTAL.search(path)
    ]  # fmt: skip
    return sorted(found, key=lambda f: "total" not in f[0].lower())


def named(beside: Mapping[str, Any], links: Mapping[str, str]) -> Iterable[Clue]:
    """Candidates that the answer itself names: a Link header, a next URL, a cursor."""
    if "next" in links:
        yield Clue(pagination.LinkHeader(), 'the header Link names rel="next"', exact=True)
    addresses = {p: v for p, v in beside.items() if isinstance(v, str) and _NEXT.search(p) and _is_address(v)}
    for path in addresses:
        yield Clue(pagination.NextUrl(next_path=path), f"'{path}' holds a URL", exact=True)
    for path, value in beside.items():
        if path in addresses or not _CURSOR.search(path) or (isinstance(value, str) and _is_address(value)):
            continue
        last = path.rpartition(".")[2]
        inside = [name for a in addresses.values() for name, v in parse_qsl(urlsplit(a).query) if v == str(value)]
        for param in cursor_params(last, inside):
            kind = pagination.Cursor(cursor_path=path, cursor_param=param)
            yield Clue(kind, f"'{path}' holds a token, sent as '{param}'", exact=True)


def cursor_params(name: str, first: Iterable[str] = ()) -> list[str]:
    """The likeliest parameters for a cursor of this name, after those of ``first``."""
    bare = re.sub(r"^next_?", "", name, flags=re.IGNORECASE)
    lowered = bare[:1].lower() + bare[1:]
    known = _CURSOR_PARAMS.get(re.sub(r"[^a-z]", "", name.lower()), ())
    return list(dict.fromkeys([*first, *known, *([lowered] if lowered else []), name, "cursor"]))[:6]


def shown(params: Mapping[str, Any]) -> Iterable[Clue]:
    """Candidates that the parameters of the URL suggest."""
    size = next(((n, int(params[n])) for n in SIZE_PARAMS if _is_count(params.get(n))), None)
    for name in PAGE_PARAMS:
        if name in params:
            reason = f"the URL has '{name}'"
            start = int(params[name]) if _is_count(params[name]) or params[name] == "0" else 1
            kind = pagination.PageNumber(page_param=name, start=start)
            if size is not None:
                kind = msgspec.structs.replace(kind, size_param=size[0], size=size[1])
            yield Clue(kind, reason)
    for offset, limit in OFFSETS:
        if offset in params or (limit in params and limit not in ("count", "size", "limit", "rows")):
            count = int(params[limit]) if _is_count(params.get(limit)) else None
            start = int(params[offset]) if _is_count(params.get(offset)) else 0
            moved = pagination.Offset(offset_param=offset, start=start, limit_param=limit, limit=count)
            yield Clue(moved, f"the URL has '{offset if offset in params else limit}'")


def guessed() -> Iterable[Clue]:
    """Candidates that many sources support."""
    yield Clue(pagination.PageNumber(), "many sources number their pages")
    for offset, limit in OFFSETS[:2]:
        yield Clue(pagination.Offset(offset_param=offset, limit_param=limit), "many sources take an offset")
    yield Clue(pagination.PageNumber(page_param="_page"), "many sources number their pages")
    for offset, limit in (*OFFSETS[2:4], OFFSETS[-1]):
        yield Clue(pagination.Offset(offset_param=offset, limit_param=limit), "many sources take an offset")


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://", "/", "?")) and " " not in text


def _is_count(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and 0 < int(value) < 10**6
