"""Signs in an answer that there are more pages than were read: a flag, the next page's name, a total, a link."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from service.collectors.records.json_records import WHOLE, Document

Look = Literal["all", "totals", "flags"]
_DEPTH = 4
_MOST = 500
_MORE = frozenset({"hasmore", "hasnext", "hasnextpage", "more", "moreavailable", "morerecords", "moreresults",
                   "hasmorerecords", "hasmoreitems", "hasmoreresults", "hasadditionalresults", "truncated",
                   "istruncated", "exceededtransferlimit", "morepages", "hasmorepages", "hasnextpages",
                   "resultsarelimited", "responseistruncated", "morerecordsavailable", "moredata", "hasmoredata",
                   "incomplete", "partial", "incompleteresults", "partialresults"})  # fmt: skip
_LAST = frozenset({"islast", "islastpage", "last", "lastpage", "done", "complete", "iscomplete", "finished",
                   "endofrecords", "endoflist", "endofresults", "isend", "end"})  # fmt: skip
_NEXT = re.compile(
    r"(^|\.)_*(@?odata\.)?(next|more)[_-]?(page|results|records|cursor|offset|start|token|marker|id|key|link|href|url|uri)?"
    r"[_-]?(token|ur[li]|link|href|path|cursor|id|marker|key|number)?(\.(href|ur[li]|link|after|cursor|token|page))?$"
    r"|(^|\.)(continuation[_-]?token|continuation|continue|scroll[_-]?id|last[_-]?evaluated[_-]?key|"
    r"paging\.cursors\.after|pagination[_-]?token|cursors?\.(next|after)|"
    r"((pagination|paging|page|meta|page_?info|response_?metadata)\.)?(cursor|marker)|continue\.\w+)$",
    re.IGNORECASE,
)
_THINGS = "result|record|item|element|row|hit|entr(?:y|ie)|object|matche?|match|document|doc|feature|value|found|size"
_TOTAL = re.compile(
    rf"(odata)?(total|count|totalcount|totalnumber|found|hits|matches|availablecount|numbermatched)"
    rf"|(total|num|nb|n|numberof|totalnumberof|totalcountof)({_THINGS})s?(count)?"
    rf"|({_THINGS})s?(count|total|totalcount|filtered)"
)
_PAGES = re.compile(r"(total|num|nb|n|numberof|totalnumberof)pages?(count)?|pages?(count|total)?|lastpage|maxpage")
_TOTAL_HEADER = re.compile(r"(x-)?([a-z]+-)?total(-?(count|items|results|records|hits|elements))?", re.IGNORECASE)
_NEXT_HEADER = re.compile(r"(x-)?([a-z]+-)?next-?(page|cursor|token|link|url|offset|marker|key)s?", re.IGNORECASE)
_PAGES_HEADER = re.compile(r"(x-)?([a-z]+-)?(total-?pages|pages?-?(count|total))", re.IGNORECASE)
_HEADER_TOTAL = re.compile(r"(?:.*/)?\s*(\d{1,15})")
_NO_PAGE = ("", "0", "null", "none", "false", "-1")
_KEYS = frozenset({"lastevaluatedkey", "exclusivestartkey", "nextkey", "nextstartkey", "continuationkey"})
"""Names of objects that are the key of the next page."""


def sign(document: Document | None, path: str | None, collected: int, look: Look = "all") -> str | None:
    """How an answer says that there is more than the ``collected`` records, in words; None if it does not.

    ``path`` is that of the records, which are not looked into. ``look`` at flags only, at totals too, or at all signs:
    the name of a next page may be on the last page too.
    """
    if document is None or not document.is_object or path == WHOLE:
        return None
    signs = [*_scalars(document, path)]
    for name, value in signs:
        plain = _plain(name)
        if (plain in _MORE and _is_true(value)) or (plain in _LAST and value is False):
            return f"'{name}' is {str(value).lower()}"
    if look == "all" and not any(_plain(n) in _MORE | _LAST and isinstance(v, bool) for n, v in signs):
        named = next((n for n, value in signs if _names_next(n, value)), None) or _linked(document) or key(document)
        if named is not None:
            return f"'{named}' names a next page"
    for name, value in signs if look != "flags" else ():
        number = _whole_number(value)
        if number is not None and _is_total(name) and number > collected:
            return f"'{name}' is {number}, and {collected} records came"
        if number is not None and look == "all" and collected and _PAGES.fullmatch(_plain(name)) and number > 1:
            return f"'{name}' is {number}, and one page was read"
    return None


def header_sign(headers: Mapping[str, str], collected: int) -> str | None:
    """How the headers of an answer say that there is more, in words; None if they do not."""
    for name, value in headers.items():
        number = _HEADER_TOTAL.fullmatch(value.strip()) if is_total_header(name) else None
        if number is not None and int(number[1]) > collected and not value.lower().startswith("bytes"):
            return f"the header '{name}' is '{value.strip()}', and {collected} records came"
        if _NEXT_HEADER.fullmatch(name) and value.strip().lower() not in _NO_PAGE:
            return f"the header '{name}' names a next page"
        pages = _whole_number(value.strip()) if collected and _PAGES_HEADER.fullmatch(name) else None
        if pages is not None and pages > 1:
            return f"the header '{name}' is {pages}, and one page was read"
    return None


def is_total_header(name: str) -> bool:
    """Whether a header may hold the total number of records, by its name."""
    return name.lower() == "content-range" or _TOTAL_HEADER.fullmatch(name) is not None


def flags(document: Document, path: str | None) -> tuple[str | None, str | None]:
    """The paths of a flag that says that there is more (true), and of one that says that this is the last page (false),
    each None if the answer has none."""
    signs = [*_scalars(document, path)]
    more = next((name for name, value in signs if _plain(name) in _MORE and value is True), None)
    return more, next((name for name, value in signs if _plain(name) in _LAST and value is False), None)


def _names_next(name: str, value: Any) -> bool:
    if isinstance(value, bool) or value in (None, "", 0, "0"):
        return False
    opaque = isinstance(value, str) and not value.isdigit()
    return bool(_NEXT.search(name)) or (opaque and _plain(name) == "offset")


def _linked(document: Document) -> str | None:
    """The name of a list of links that has a next one: ``{"link": [{"relation": "next", …}]}``."""
    for name in ("links", "link", "_links"):
        links = document.at_json(name) if name in document.keys else None
        for link in links if isinstance(links, list) else ():
            if isinstance(link, dict) and "next" in (link.get("rel"), link.get("relation")):
                return name
    return None


def key(document: Document) -> str | None:
    """The name of an object at the top level that is the key of the next page, ``{"LastEvaluatedKey": {…}}``."""
    return next((n for n in document.keys if _plain(n) in _KEYS and isinstance(document.at_json(n), dict)), None)


def total(document: Document | None, path: str | None) -> int | None:
    """The largest value that could be the total of all records, by its name; None if there is none."""
    if document is None or not document.is_object or path == WHOLE:
        return None
    found = [n for name, value in _scalars(document, path) if _is_total(name)
             and (n := _whole_number(value)) is not None]  # fmt: skip
    return max(found, default=None)


def _scalars(document: Document, path: str | None) -> Iterator[tuple[str, Any]]:
    """The values beside the records, by path, down to a few levels; arrays are not entered."""
    pending: list[tuple[str, int]] = [(name, 1) for name in document.keys[:_MOST]]
    while pending:
        name, depth = pending.pop(0)
        raw = document.at(name)
        if raw is None or name == path:
            continue
        begin = bytes(memoryview(raw)[:64]).lstrip()[:1]
        if begin == b"[":
            continue
        value = document.at_json(name) if begin != b"{" or depth < _DEPTH else None
        if isinstance(value, dict):
            pending.extend((f"{name}.{key}", depth + 1) for key in list(value)[:_MOST])
        elif begin != b"{":
            yield name, value


def _plain(path: str) -> str:
    """The last name of a path in small letters; ``@odata.count`` is one name."""
    last = path if path.startswith("@") else path.rpartition(".")[2]
    return re.sub(r"[^a-z]", "", last.lower())


def _is_total(path: str) -> bool:
    if path.startswith("_shards."):
        return False
    return bool(_TOTAL.fullmatch(_plain(path))) or path.lower().endswith("total.value")


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true") or (type(value) is int and value == 1)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16 else None
