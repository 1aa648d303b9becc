"""The request of a probe and its finding, as values; they load neither an engine nor a parser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from service.collectors.fetching import headers
from service.collectors.http_api.authentication import Auth, ClientCredentials
from service.collectors.source_file import paths
from service.kit.errors import Problem
from service.network import request


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source: a URL or a file. ``headers`` and ``auth`` are those of the api collector."""

    url: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None,
        msgspec.Meta(description="An API or a page; http or https.", examples=["https://api.example.com/v1/orders"]),
    ] = None
    file_path: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None,
        msgspec.Meta(description="A file or a glob; relative to the uploads and the file roots."),
    ] = None
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to the URL's own origin only.")] = {}
    auth: Annotated[Auth | None, msgspec.Meta(description="bearer, basic, api_key or oauth2_client_credentials.")] = (
        None
    )

    def problems(self) -> Iterable[Problem]:
        """What is wrong with it; a path relative to the body."""
        if (self.url is None) == (self.file_path is None):
            yield Problem("url", "give either a url or a file_path")
        if self.url is not None and "${" not in self.url and request.fault(self.url) is not None:
            yield Problem("url", str(request.fault(self.url)))
        if self.file_path is not None:
            yield from paths.problems(self.file_path)
            for name, given in (("headers", self.headers), ("auth", self.auth)):
                if given:
                    yield Problem(name, "is for a url; a file needs none")
        yield from headers.problems(self.headers)
        if isinstance(self.auth, ClientCredentials):
            yield from self.auth.problems()


class HtmlTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the page. ``rows`` counts those below the header."""

    selector: str
    columns: list[str]
    rows: int
    sample: list[dict[str, Any]]


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """What repeats: the settings ``css_selectors`` of a web collector, and the first rows that they give."""

    css_selectors: dict[str, Any]
    rows: int
    sample: list[dict[str, Any]]


class ColumnTraits(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the sample. ``looks_like`` is a type that its text could be read as (``schema``)."""

    name: str
    type: str
    missing: int
    samples: list[Any]
    looks_like: str | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Columns that tell all rows of the sample apart."""

    columns: list[str]
    reason: str


class CursorColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column that new or changed rows could be asked for by. ``order`` is how the sample came."""

    column: str
    order: str
    reason: str


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """How further pages are asked for, and how that is known. ``tried`` lists the candidates, in order."""

    type: str
    verified: bool
    how: str
    tried: list[str] = []


class RobotsFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What the site's robots.txt says of this page and of the pace."""

    allowed: bool
    delay_seconds: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. ``collector`` can be posted in a pipeline as it is; null where robots.txt forbids the page."""

    format: str
    collector: dict[str, Any] | None
    records_path: str | None = None
    pagination: Pagination | None = None
    primary_keys: list[Key] = []
    cursors: list[CursorColumn] = []
    columns: list[ColumnTraits] = []
    sample_rows: int = 0
    tables: list[HtmlTable] = []
    structures: list[Structure] = []
    robots: RobotsFinding | None = None
    requests: int = 0
    notes: list[str] = []
