"""The kinds of pagination: each decides as a value which request follows a page. A kind never fetches.

Every kind ends at ``max_pages`` and at a page that repeats an earlier one (some servers ignore parameters that they do
not know). ``page`` and ``offset`` continue until the source's total is reached; without a total, or with a wrong one,
until an empty or missing page, because a short page may be one of many. ``link_header``, ``next_url`` and ``cursor``
continue while the source names a next page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

Params = dict[str, str]
Count = Annotated[int, msgspec.Meta(ge=1)]
Name = Annotated[str, msgspec.Meta(min_length=1, description="Name of the query parameter.")]
MaxPages = Annotated[Count | None, msgspec.Meta(description="Stop after that many pages.")]
TotalPath = Annotated[
    Annotated[str, msgspec.Meta(min_length=1)] | None,
    msgspec.Meta(description="Where the answer says how many records there are, e.g. 'meta.total'."),
]


@dataclass(frozen=True)
class PageInfo:
    """What is known after a page: its number (from 0), its records, all records so far, and the declared total.

    ``following`` is the URL or cursor of the next page if the answer names one; ``last`` is true if it says that there
    is none.
    """

    page: int
    records: int
    collected: int
    total: int | None = None
    following: str | None = None
    last: bool = False


@dataclass(frozen=True)
class Next:
    """The next request: parameters beside the configured ones, and the URL if a link named it."""

    params: Params
    url: str | None = None


@dataclass(frozen=True)
class End:
    """The end of the pages and its reason."""

    reason: str


class _Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all kinds."""

    max_pages: MaxPages = None
    total_path: TotalPath = None

    def first(self) -> Next:
        """The first request."""
        return Next({})

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


class Single(_Kind, frozen=True, kw_only=True, tag="none"):
    """One request, one page."""

    def after(self, seen: PageInfo) -> Next | End:
        return End("single_page")


class PageNumber(_Kind, frozen=True, kw_only=True, tag="page"):
    """Numbered pages: ``?page=1``, ``?page=2`` …"""

    page_param: Name = "page"
    start: Annotated[int, msgspec.Meta(ge=0, description="Number of the first page.")] = 1
    size_param: Annotated[Name | None, msgspec.Meta(description="Parameter for the page's size.")] = None
    size: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as size_param.")] = None

    def first(self) -> Next:
        return Next(self._params(0))

    def after(self, seen: PageInfo) -> Next | End:
        return _ended(seen) or Next(self._params(seen.page + 1))

    def ahead(self, page: int, stride: int) -> Next | None:
        return Next(self._params(page))

    @property
    def open_ended(self) -> bool:
        return True

    def _params(self, page: int) -> Params:
        size = {self.size_param: str(self.size)} if self.size_param and self.size else {}
        return {self.page_param: str(self.start + page), **size}


class Offset(_Kind, frozen=True, kw_only=True, tag="offset"):
    """Records from an offset: ``?offset=0&limit=100``, ``?offset=100&limit=100`` …

    The offset advances by the number of records received, so a server that sends fewer than asked for loses none.
    """

    offset_param: Name = "offset"
    start: Annotated[int, msgspec.Meta(ge=0, description="Offset of the first record.")] = 0
    limit_param: Name = "limit"
    limit: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as limit_param.")] = None

    def first(self) -> Next:
        return Next(self._params(0))

    def after(self, seen: PageInfo) -> Next | End:
        return _ended(seen) or Next(self._params(seen.collected))

    def ahead(self, page: int, stride: int) -> Next | None:
        return Next(self._params(page * stride))

    @property
    def open_ended(self) -> bool:
        return True

    def _params(self, collected: int) -> Params:
        limit = {self.limit_param: str(self.limit)} if self.limit else {}
        return {self.offset_param: str(self.start + collected), **limit}


class Cursor(_Kind, frozen=True, kw_only=True, tag="cursor"):
    """The answer holds a token for the next page: ``{"next": "abc"}``, then ``?cursor=abc``; null or none ends."""

    cursor_path: Annotated[str, msgspec.Meta(min_length=1, description="Where the answer has it, e.g. 'meta.next'.")]
    cursor_param: Name = "cursor"
    size_param: Annotated[Name | None, msgspec.Meta(description="Parameter for the page's size.")] = None
    size: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as size_param.")] = None

    def first(self) -> Next:
        return Next(self._size)

    def after(self, seen: PageInfo) -> Next | End:
        return Next({self.cursor_param: seen.following, **self._size}) if seen.following else End("no_next")

    @property
    def _size(self) -> Params:
        return {self.size_param: str(self.size)} if self.size_param and self.size else {}


class NextUrl(_Kind, frozen=True, kw_only=True, tag="next_url"):
    """The answer holds the next page's URL, absolute or relative; null or none ends."""

    next_path: Annotated[str, msgspec.Meta(min_length=1, description="Where the answer has it, e.g. 'links.next'.")]

    def after(self, seen: PageInfo) -> Next | End:
        return Next({}, seen.following) if seen.following else End("no_next")


class LinkHeader(_Kind, frozen=True, kw_only=True, tag="link_header"):
    """The answer names the next page: ``Link: <…>; rel="next"`` (RFC 8288)."""

    def after(self, seen: PageInfo) -> Next | End:
        return Next({}, seen.following) if seen.following else End("no_next")


def _ended(seen: PageInfo) -> End | None:
    if seen.collected == seen.total:  # a total that was exceeded is wrong and does not end the pages
        return End("total_reached")
    if not seen.records:
        return End("empty_page")
    return End("no_next") if seen.last and seen.total is None else None


Kind = Single | PageNumber | Offset | Cursor | NextUrl | LinkHeader
Short = Literal["none", "page", "offset", "link_header"]
_BY_NAME: dict[str, Kind] = {"none": Single(), "page": PageNumber(), "offset": Offset(), "link_header": LinkHeader()}


def of(setting: Kind | Short) -> Kind:
    """The kind for a setting: itself, or the kind of that name with its defaults."""
    return _BY_NAME[setting] if isinstance(setting, str) else setting
