"""Pagination: which request comes after a page, as a value. A kind looks at pages and never fetches.

Every kind ends on an empty page, on ``max_pages``, and on a page that repeats an earlier one (some servers
ignore what they do not know). ``page`` and ``offset`` go on until ``total_path`` is reached where it is given;
without it, a page shorter than the size that was asked for is the last.
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
class Seen:
    """What is known after a page: its place (from 0), its records, all records so far, the total if said."""

    page: int
    records: int
    collected: int
    total: int | None = None
    link: str | None = None


@dataclass(frozen=True)
class Next:
    """What to ask for: parameters beside the configured ones, and the URL where a link named one."""

    params: Params
    url: str | None = None


class _Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all kinds."""

    max_pages: MaxPages = None

    def first(self) -> Next:
        """The first request."""
        return Next({})

    def after(self, seen: Seen) -> Next | None:
        """The request after a page that was neither empty nor a repetition, or None at the end."""
        return None

    @property
    def counts(self) -> str | None:
        """Where the total is found."""
        return None


class Single(_Kind, frozen=True, kw_only=True, tag="none"):
    """One request, one page."""


class Page(_Kind, frozen=True, kw_only=True, tag="page"):
    """Numbered pages: ``?page=1``, ``?page=2`` …"""

    page_param: Name = "page"
    start: Annotated[int, msgspec.Meta(ge=0, description="Number of the first page.")] = 1
    size_param: Annotated[Name | None, msgspec.Meta(description="Parameter for the page's size.")] = None
    size: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as size_param.")] = None
    total_path: TotalPath = None

    def first(self) -> Next:
        return Next(self._params(0))

    def after(self, seen: Seen) -> Next | None:
        return None if _ended(seen, self.size) else Next(self._params(seen.page + 1))

    def _params(self, page: int) -> Params:
        size = {self.size_param: str(self.size)} if self.size_param and self.size else {}
        return {self.page_param: str(self.start + page), **size}

    @property
    def counts(self) -> str | None:
        return self.total_path


class Offset(_Kind, frozen=True, kw_only=True, tag="offset"):
    """Records from an offset: ``?offset=0&limit=100``, ``?offset=100&limit=100`` …

    The offset moves by the records that came, so a server that gives fewer than asked for loses none.
    """

    offset_param: Name = "offset"
    start: Annotated[int, msgspec.Meta(ge=0, description="Offset of the first record.")] = 0
    limit_param: Name = "limit"
    limit: Annotated[Count | None, msgspec.Meta(description="Records a page; sent as limit_param.")] = None
    total_path: TotalPath = None

    def first(self) -> Next:
        return Next(self._params(0))

    def after(self, seen: Seen) -> Next | None:
        return None if _ended(seen, self.limit) else Next(self._params(seen.collected))

    def _params(self, collected: int) -> Params:
        limit = {self.limit_param: str(self.limit)} if self.limit else {}
        return {self.offset_param: str(self.start + collected), **limit}

    @property
    def counts(self) -> str | None:
        return self.total_path


class LinkHeader(_Kind, frozen=True, kw_only=True, tag="link_header"):
    """The answer names the next page: ``Link: <…>; rel="next"`` (RFC 8288)."""

    def after(self, seen: Seen) -> Next | None:
        return None if seen.link is None else Next({}, seen.link)


def _ended(seen: Seen, size: int | None) -> bool:
    if seen.total is not None:
        return seen.collected >= seen.total
    return size is not None and seen.records < size


Kind = Single | Page | Offset | LinkHeader
Short = Literal["none", "page", "offset", "link_header"]
_BY_NAME: dict[str, type[Kind]] = {"none": Single, "page": Page, "offset": Offset, "link_header": LinkHeader}


def of(setting: Kind | Short) -> Kind:
    """The pagination that a setting means: a kind, or the name of one with its defaults."""
    return _BY_NAME[setting]() if isinstance(setting, str) else setting
