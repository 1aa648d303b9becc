"""The request of a probe and its finding, as values; they load neither an engine nor a parser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from service.collectors.fetching import headers
from service.collectors.http_api.authentication import Auth, ClientCredentials
from service.collectors.source_file import paths
from service.kit.errors import Problem
from service.network import request

_SOURCES = {"type", "url", "endpoint", "file_path"}


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source to probe: a URL or a file. ``headers``, ``auth``, ``method`` and ``body`` are those of the api
    collector."""

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
    method: Annotated[Literal["GET", "POST"], msgspec.Meta(description="How the URL is requested.")] = "GET"
    body: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="JSON body of a POST, as in the api collector.")
    ] = None
    collector: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="Settings of the proposed collector to use in place of those that are found, such as another "
            "encoding, table or records_path; null leaves one out.",
            examples=[{"encoding": "cp1252", "separator": ";"}],
        ),
    ] = {}

    def problems(self) -> Iterable[Problem]:
        """What is wrong with the request; field paths relative to the body."""
        if (self.url is None) == (self.file_path is None):
            yield Problem("url", "give either a url or a file_path")
        if self.url is not None and "${" not in self.url and request.fault(self.url) is not None:
            yield Problem("url", str(request.fault(self.url)))
        if self.file_path is not None:
            yield from paths.problems(self.file_path)
            given = {"headers": self.headers, "auth": self.auth, "method": self.method == "POST", "body": self.body}
            for name, value in given.items():
                if value:
                    yield Problem(name, "is for a url; omit it for a file")
        for name in _SOURCES & self.collector.keys():
            yield Problem(f"collector.{name}", "is what the probe finds; name the source by url or file_path")
        if self.body is not None and self.method == "GET":
            yield Problem("body", "a GET has no body; set method to POST")
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
    """A repeated structure: the ``css_selectors`` for a web collector, and the first rows that they find."""

    css_selectors: dict[str, Any]
    rows: int
    sample: list[dict[str, Any]]


class ColumnTraits(msgspec.Struct, frozen=True, kw_only=True):
    """One column of the sample. ``looks_like`` is a type for ``schema`` that its text can be read as.

    Of a column of text: ``missing_texts`` are texts in it that usually mean missing, ``padded`` counts values with
    white space around them, and ``cast`` is a setting for a cleaner that reads all its other values, but for the
    ``cast_losses`` few that it makes missing.
    """

    name: str
    type: str
    missing: int
    samples: list[Any]
    looks_like: str | None = None
    cast: dict[str, Any] | None = None
    cast_losses: int = 0
    missing_texts: list[str] = []
    padded: int = 0
    distinct: int | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Columns that identify each row of the sample."""

    columns: list[str]
    reason: str


class CursorColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column by which new or changed rows can be requested. ``order`` is its order in the sample."""

    column: str
    order: str
    reason: str


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """How further pages are requested, and how that is known. ``tried`` lists the candidates, in order."""

    type: str
    verified: bool
    how: str
    tried: list[str] = []


class RobotsFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the site's robots.txt allows the page, and its interval between two requests in seconds."""

    allowed: bool
    delay_seconds: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The finding. ``collector`` can be posted in a pipeline as it is; null if robots.txt forbids the page.

    ``repeated_rows`` of the ``sample_rows`` are the same as an earlier one in every column.
    """

    format: str
    collector: dict[str, Any] | None
    records_path: str | None = None
    pagination: Pagination | None = None
    primary_keys: list[Key] = []
    cursors: list[CursorColumn] = []
    columns: list[ColumnTraits] = []
    sample_rows: int = 0
    repeated_rows: int = 0
    tables: list[HtmlTable] = []
    structures: list[Structure] = []
    robots: RobotsFinding | None = None
    requests: int = 0
    notes: list[str] = []
