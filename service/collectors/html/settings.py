"""The settings of the web collector and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Self

import msgspec

from service.collectors.fetching import headers
from service.collectors.html.page import Field, fault
from service.kit import lazy
from service.kit.errors import Problem
from service.network import request
from service.network.retry import Retry
from service.steps.collector import Collector, Declared

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

MAX_DELAY = 3600
CONTAINER = "container"

Selector = Annotated[
    str, msgspec.Meta(max_length=1000, description="CSS selector; 'h2 a@href' takes the attribute.", examples=["h2 a"])
]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class WebSettings(Collector, frozen=True, kw_only=True):
    """Which pages are fetched and what is read from them."""

    url: Annotated[
        Address | Annotated[list[Address], msgspec.Meta(min_length=1, max_length=10_000)],
        msgspec.Meta(description="One page, or several in order; http or https."),
    ]
    css_selectors: Annotated[
        dict[str, Selector | Field],
        msgspec.Meta(description="'container', and a selector for each column: 'h2 a', 'h2 a@href', or an object."),
    ] = {}
    table: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None,
        msgspec.Meta(
            description="Instead of css_selectors: read the tables that this selector finds, with their header."
        ),
    ] = None
    next_page: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None,
        msgspec.Meta(
            description="Selector of the link to the next page, followed until there is none or a page repeats."
        ),
    ] = None
    max_pages: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None, msgspec.Meta(description="With next_page: largest number of pages.")
    ] = None
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to each page's own origin only.")] = {}
    delay_seconds: Annotated[
        float,
        msgspec.Meta(ge=0, le=MAX_DELAY, description="Least time between two requests to a host, over all runs."),
    ] = 0.0
    concurrency: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        msgspec.Meta(
            description="Pages of a list fetched concurrently. While it runs, all runs together keep to this number of "
            "concurrent requests to the host. By default 1 (8 for all runs together)."
        ),
    ] = None
    respect_robots: Annotated[bool, msgspec.Meta(description="Obey robots.txt, its crawl-delay included.")] = True
    timeout_seconds: Annotated[
        float, msgspec.Meta(gt=0, le=3600, description="Limit of one attempt, body included.")
    ] = 30.0
    retry: Annotated[Retry, msgspec.Meta(description="When and how often to try again.")] = Retry()
    include_hidden: Annotated[
        bool,
        msgspec.Meta(
            description="Also read text and rows that the page hides (display: none, hidden). Scripts and templates "
            "are never text."
        ),
    ] = False
    absolute_urls: Annotated[bool, msgspec.Meta(description="href and src become absolute URLs.")] = True
    max_lost_share: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=1,
            description="The run fails if a greater share of the values of a column lacks its pattern and becomes "
            "missing (counted as values_lost); 1 accepts all.",
        ),
    ] = 0.5

    @property
    def pages(self) -> list[str]:
        """The URLs, in order."""
        return [self.url] if isinstance(self.url, str) else self.url

    @property
    def fields(self) -> dict[str, Field]:
        """The columns, each as a ``Field``."""
        return {name: Field.of(value) for name, value in self.css_selectors.items() if name != CONTAINER}

    @property
    def types(self) -> dict[str, pl.DataType]:
        """The types of the columns."""
        return {n: pl.List(pl.String()) if f.many else pl.String() for n, f in self.fields.items()}

    def spelled_out(self) -> Self:
        container = {name: text for name, text in self.css_selectors.items() if name == CONTAINER}
        return msgspec.structs.replace(self, css_selectors=container | self.fields)

    def problems(self) -> Iterable[Problem]:
        for index, url in enumerate(self.pages):
            wrong = request.fault(url) if "${" not in url else None
            if wrong is not None:
                yield Problem("url" if isinstance(self.url, str) else f"url[{index}]", wrong)
        yield from headers.problems(self.headers)
        if self.table is not None:
            if self.css_selectors:
                yield Problem("table", "cannot be combined with css_selectors; omit one of them")
            if fault(self.table) is not None:
                yield Problem("table", f"{fault(self.table)}: '{self.table}'")
        else:
            yield from self._selector_problems()
        if self.next_page is not None and fault(Field.of(self.next_page).selector) is not None:
            yield Problem("next_page", f"{fault(Field.of(self.next_page).selector)}: '{self.next_page}'")
        if self.max_pages is not None and self.next_page is None:
            yield Problem("max_pages", "needs next_page; all pages of a list are fetched")
        if (self.concurrency or 1) > 1 and (self.next_page is not None or len(self.pages) == 1):
            yield Problem("concurrency", "only the pages of a list can be fetched concurrently")

    def declared(self) -> Declared | None:
        return None if self.table is not None else Declared(pl.Schema(self.types))

    def _selector_problems(self) -> Iterable[Problem]:
        container = self.css_selectors.get(CONTAINER)
        if not isinstance(container, str) or not container:
            yield Problem(f"css_selectors.{CONTAINER}", "is required: the selector of the element that is one row")
        elif fault(container) is not None:
            yield Problem(f"css_selectors.{CONTAINER}", f"{fault(container)}: '{container}'")
        if not self.fields:
            yield Problem("css_selectors", "needs at least one column beside 'container'")
        for name, field in self.fields.items():
            wrong = fault(field.selector) if field.selector else None
            if wrong is not None:
                yield Problem(f"css_selectors.{name}", f"{wrong}: '{field.selector}'")
            try:
                re.compile(field.pattern or "")
            except re.error as error:
                yield Problem(f"css_selectors.{name}.pattern", f"not a regular expression: {error}")
