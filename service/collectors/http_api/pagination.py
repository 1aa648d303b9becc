"""The kinds of pagination: each decides as a value which request follows a page. A kind never fetches.

Every kind ends at ``max_pages``, at the flags ``has_more_path`` and ``stop_when``, at a page that repeats an earlier
one, and after ``max_empty_pages`` empty pages in a row. ``page`` and ``offset`` continue until the source's total is
reached; without a total, or with a wrong one, until an empty or missing page, because a short page may be one of many.
``link_header``, ``next_url`` and ``cursor`` continue while the source names a next page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeGuard

import msgspec

from service.collectors.fetching import headers
from service.collectors.http_api.for_each import PLACEHOLDER
from service.kit.errors import Problem

Count = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(min_length=1, description="Name of the parameter; in the body a path, 'a.b'.")]
Path = Annotated[str, msgspec.Meta(min_length=1)]
Location = Literal["query", "body", "header", "path"]
MaxPages = Annotated[Count | None, msgspec.Meta(description="Largest number of pages.")]
_EMPTY_PAGES = 3


@dataclass(frozen=True)
class PageInfo:
    """What is known after a page: its number (from 0), its records, all records so far, and the declared total.

    ``following`` is the URL or cursor of the next page if the answer names one; ``last`` is true if its links say that
    there is none; ``more`` is the value at ``has_more_path`` (None: unknown); ``stopped`` that ``stop_when`` holds.
    """

    page: int
    records: int
    collected: int
    total: int | None = None
    following: Any = None
    last: bool = False
    more: bool | None = None
    stopped: bool = False


@dataclass(frozen=True)
class Next:
    """The next request: parameters in the query beside the configured ones, in the body (by path, as JSON values), in
    headers and in the path of the URL; and the URL if a link named it."""

    params: Mapping[str, str]
    url: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """The end of the pages and its reason."""

    reason: str


class StopWhen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value in the answer that marks the last page."""

    path: Annotated[str, msgspec.Meta(min_length=1, description="Path of the value, e.g. 'isLast'.")]
    equals: Annotated[
        str | int | float | bool | None, msgspec.Meta(description="The value of the last page; null: nothing there.")
    ]


class _Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all kinds."""

    max_pages: MaxPages = None
    total_path: Annotated[
        Path | None, msgspec.Meta(description="Path of the total number of records in the answer, e.g. 'meta.total'.")
    ] = None
    total_header: Annotated[
        Path | None, msgspec.Meta(description="Header with the total number of records, e.g. 'X-Total-Count'.")
    ] = None
    has_more_path: Annotated[
        Path | None, msgspec.Meta(description="Path of a flag that is true while there are more pages.")
    ] = None
    stop_when: Annotated[StopWhen | None, msgspec.Meta(description="A value that marks the last page.")] = None
    max_empty_pages: Annotated[
        Count, msgspec.Meta(description="Stop after this many pages without records in a row.")
    ] = _EMPTY_PAGES
    location: Annotated[
        Location | dict[str, Location],
        msgspec.Meta(
            description="Where the parameters are sent: in the query, in the JSON body, as headers or in place of "
            "{name} in the endpoint's path. One for all, or setting to location ({cursor_param: body})."
        ),
    ] = msgspec.field(default="query", name="in")

    def first(self) -> Next:
        """The first request."""
        return self._request({})

    def after(self, seen: PageInfo) -> Next | End:
        """The request after a page that repeats no earlier one, or the end."""
        raise TypeError(f"{type(self).__name__} does not paginate")

    def ahead(self, page: int, stride: int) -> Next | None:
        """The request for page ``page`` (from 0) if it is known before the pages in between, of ``stride`` records."""
        return None

    @property
    def open_ended(self) -> bool:
        """Whether only a request past the end reveals the end."""
        return False

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that are sent: setting to name."""
        found = {s: getattr(self, s) for s in self.__struct_fields__ if s.endswith("_param")}
        return {setting: name for setting, name in found.items() if name is not None}

    @property
    def names(self) -> dict[Location, list[str]]:
        """The names of the parameters by location."""
        found: dict[Location, list[str]] = {}
        for setting, name in self.parameters.items():
            found.setdefault(self._location_of(setting), []).append(name)
        return found

    @property
    def reads_answer(self) -> bool:
        """Whether a path into the JSON of the answer is needed."""
        return self.total_path is not None or self.has_more_path is not None or self.stop_when is not None

    def is_in_body(self, setting: str) -> bool:
        """Whether that parameter is sent in the body."""
        return self._location_of(setting) == "body"

    def problems(self, method: str, endpoint: str, body: Any) -> Iterable[Problem]:
        """What is wrong with the settings, for a request like this."""
        if isinstance(self.location, dict):
            for setting in self.location.keys() - self.parameters.keys():
                known = ", ".join(self.parameters) or "none"
                yield Problem(f"pagination.in.{setting}", f"not a parameter of this pagination (there are: {known})")
        yield from location_problems("pagination.in", self.names, method, endpoint, body)

    def _location_of(self, setting: str) -> Location:
        if isinstance(self.location, dict):
            return self.location.get(setting, "query")
        return self.location

    def _request(self, values: Mapping[str, Any]) -> Next:
        """The request with these values, by setting; None is not sent."""
        return placed((self._location_of(s), name, values.get(s)) for s, name in self.parameters.items())

    def _ended(self, seen: PageInfo) -> End | None:
        """The end that the flags of the answer declare."""
        if seen.stopped:
            return End("stop_when")
        return End("no_more") if seen.more is False else None


class Single(_Kind, frozen=True, kw_only=True, tag="none"):
    """One request, one page."""

    def after(self, seen: PageInfo) -> Next | End:
        return self._ended(seen) or End("single_page")


class _Counted(_Kind, frozen=True, kw_only=True):
    """Base of kinds that count pages or records, and find the end by going past it."""

    @property
    def open_ended(self) -> bool:
        return True

    def _ended(self, seen: PageInfo) -> End | None:
        ended = super()._ended(seen)
        if ended is not None or seen.more:
            return ended
        if seen.collected == seen.total:  # a total that was exceeded is wrong and does not end the pages
            return End("total_reached")
        if not seen.records:
            return End("empty_page")
        return End("no_next") if seen.last and seen.total is None else None


class PageNumber(_Counted, frozen=True, kw_only=True, tag="page"):
    """Numbered pages: ``?page=1``, ``?page=2`` …"""

    page_param: Name = "page"
    start: Annotated[int, msgspec.Meta(ge=0, description="Number of the first page.")] = 1
    size_param: Annotated[Name | None, msgspec.Meta(description="Parameter for the page's size.")] = None
    size: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as size_param.")] = None

    def first(self) -> Next:
        return self._page(0)

    def after(self, seen: PageInfo) -> Next | End:
        return self._ended(seen) or self._page(seen.page + 1)

    def ahead(self, page: int, stride: int) -> Next | None:
        return self._page(page)

    def _page(self, page: int) -> Next:
        return self._request({"page_param": self.start + page, "size_param": self.size})


class Offset(_Counted, frozen=True, kw_only=True, tag="offset"):
    """Records from an offset: ``?offset=0&limit=100``, ``?offset=100&limit=100`` …

    The offset advances by the number of records received, so a server that sends fewer than asked for loses none.
    """

    offset_param: Name = "offset"
    start: Annotated[int, msgspec.Meta(ge=0, description="Offset of the first record.")] = 0
    limit_param: Name = "limit"
    limit: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as limit_param.")] = None

    def first(self) -> Next:
        return self._from(0)

    def after(self, seen: PageInfo) -> Next | End:
        return self._ended(seen) or self._from(seen.collected)

    def ahead(self, page: int, stride: int) -> Next | None:
        return self._from(page * stride)

    def _from(self, collected: int) -> Next:
        return self._request({"offset_param": self.start + collected, "limit_param": self.limit})


class _Following(_Kind, frozen=True, kw_only=True):
    """Base of kinds whose answers name the next page."""

    def after(self, seen: PageInfo) -> Next | End:
        ended = self._ended(seen)
        if ended is not None:
            return ended
        return self._follow(seen.following) if seen.following is not None else End("no_next")

    def _follow(self, following: Any) -> Next:
        return Next({}, str(following))


class Cursor(_Following, frozen=True, kw_only=True, tag="cursor"):
    """The answer holds a token for the next page: ``{"next": "abc"}``, then ``?cursor=abc``; null or none ends.

    A path with an index takes it from a record: ``data.-1.id`` is the id of the last one.
    """

    cursor_path: Annotated[
        Path | None, msgspec.Meta(description="Path of the cursor in the answer, e.g. 'meta.next' or 'data.-1.id'.")
    ] = None
    cursor_header: Annotated[
        Path | None, msgspec.Meta(description="Header of the answer with the cursor, instead of cursor_path.")
    ] = None
    cursor_param: Name = "cursor"
    start: Annotated[
        str | int | None, msgspec.Meta(description="Cursor of the first request, e.g. '*'; by default it has none.")
    ] = None
    size_param: Annotated[Name | None, msgspec.Meta(description="Parameter for the page's size.")] = None
    size: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as size_param.")] = None

    def first(self) -> Next:
        return self._follow(self.start)

    @property
    def reads_answer(self) -> bool:
        return self.cursor_header is None or super().reads_answer

    def problems(self, method: str, endpoint: str, body: Any) -> Iterable[Problem]:
        if (self.cursor_path is None) == (self.cursor_header is None):
            yield Problem("pagination.cursor_path", "set either cursor_path or cursor_header")
        yield from super().problems(method, endpoint, body)

    def _follow(self, following: Any) -> Next:
        return self._request({"cursor_param": following, "size_param": self.size})


class NextUrl(_Following, frozen=True, kw_only=True, tag="next_url"):
    """The answer holds the next page's URL, absolute or relative; null or none ends."""

    next_path: Annotated[str, msgspec.Meta(min_length=1, description="Path of the URL in the answer, 'links.next'.")]

    @property
    def reads_answer(self) -> bool:
        return True


class LinkHeader(_Following, frozen=True, kw_only=True, tag="link_header"):
    """The answer names the next page: ``Link: <…>; rel="next"`` (RFC 8288)."""


Kind = Single | PageNumber | Offset | Cursor | NextUrl | LinkHeader
Short = Literal["none", "page", "offset", "link_header"]
_BY_NAME: dict[str, Kind] = {"none": Single(), "page": PageNumber(), "offset": Offset(), "link_header": LinkHeader()}


def placed(parameters: Iterable[tuple[Location, str, Any]]) -> Next:
    """A request with these parameters: where each is sent, its name and its value; None is not sent."""
    found: dict[Location, dict[str, Any]] = {"query": {}, "body": {}, "header": {}, "path": {}}
    for where, name, value in parameters:
        if value is not None or where == "path":
            found[where][name] = value if where == "body" or value is None else str(value)
    return Next(found["query"], None, found["body"], found["header"], found["path"])


def location_problems(
    field: str, names: Mapping[Location, Iterable[str]], method: str, endpoint: str, body: Any
) -> Iterable[Problem]:
    """What is wrong with the locations of parameters, for a request like this; ``field`` is the setting to blame."""
    if names.get("body") and method != "POST":
        yield Problem(field, "parameters in the body need method POST")
    if names.get("body") and isinstance(body, list):
        yield Problem(field, "parameters in the body need a body that is an object")
    for name in names.get("path", ()):
        if name not in PLACEHOLDER.findall(endpoint.split("?", 1)[0]):
            yield Problem(field, f"the path of the endpoint has no {{{name}}} for the parameter")
    for problem in headers.problems(dict.fromkeys(names.get("header", ()), "")):
        yield Problem(field, f"'{problem.field.partition('.')[2]}': {problem.message}")


def of(setting: Kind | Short) -> Kind:
    """The kind for a setting: itself, or the kind of that name with its defaults."""
    return _BY_NAME[setting] if isinstance(setting, str) else setting


def follows(kind: Kind) -> TypeGuard[Cursor | NextUrl | LinkHeader]:
    """Whether the answers name the next page."""
    return isinstance(kind, _Following)


def settings_of(kind: Kind) -> dict[str, Any]:
    """A pagination as a configuration, without settings that are null or have a rarely changed default."""
    given = {k: v for k, v in msgspec.to_builtins(kind).items() if v is not None}
    if given.get("in") == "query":
        del given["in"]
    if given.get("max_empty_pages") == _EMPTY_PAGES:
        del given["max_empty_pages"]
    return given
