"""Rows from web pages: one for each container with its fields by CSS selectors, or the rows of tables.

Pages come from a list (several at once, in order), or each names the next one. robots.txt is kept to, and requests to
one host keep the distance that it or the configuration asks for. A page is parsed in the run's own process, never in
the service's: hostile HTML can hang or crash a parser.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import msgspec

from service.collectors.fetching import headers
from service.collectors.fetching.client_pool import Clients
from service.collectors.fetching.completeness import FAILED, Evidence
from service.collectors.html import page as markup
from service.collectors.html import tables
from service.collectors.html.crawl_history import CrawlHistory
from service.collectors.html.page import Field, Page, Value, fault
from service.collectors.html.robots import Robots
from service.collectors.records.spool import Spool
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.network import client, request
from service.network.request import Request, Response
from service.network.retry import Retry
from service.steps.collector import Collector, Declared
from service.steps.context import CollectContext
from service.steps.frame import Frame

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

MAX_PAGE_BYTES = 5 * 1024 * 1024
MAX_DELAY = 3600
CONTAINER = "container"
_SHOWN = 100
_PART_ROWS = 20_000

Selector = Annotated[
    str, msgspec.Meta(max_length=1000, description="CSS selector; 'h2 a@href' takes the attribute.", examples=["h2 a"])
]
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class WebCollector(Collector, frozen=True, kw_only=True, tag="web"):
    """Rows from HTML: one for each element that ``css_selectors.container`` finds, or of ``table``, on every page."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "web",
        "url": ["https://example.com/books?page=1", "https://example.com/books?page=2"],
        "css_selectors": {
            "container": "article.book",
            "title": {"selector": "h2 a", "required": True},
            "link": "h2 a@href",
            "price": ".price",
        },
    }

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
            description="Selector of the link to the next page, followed until there is none or a page comes again."
        ),
    ] = None
    max_pages: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None, msgspec.Meta(description="With next_page: pages in all, at most.")
    ] = None
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to each page's own origin only.")] = {}
    delay_seconds: Annotated[
        float,
        msgspec.Meta(ge=0, le=MAX_DELAY, description="Between two requests to a host, at least, whoever asks it."),
    ] = 0.0
    concurrency: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        msgspec.Meta(
            description="Pages of a list fetched at once; all runs together have no more requests to its host "
            "on their way. By default 1 (8 of all runs together)."
        ),
    ] = None
    respect_robots: Annotated[bool, msgspec.Meta(description="Keep to robots.txt, its crawl-delay included.")] = True
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600, description="For one attempt, body included.")] = 30.0
    retry: Annotated[Retry, msgspec.Meta(description="When and how often to try again.")] = Retry()
    absolute_urls: Annotated[bool, msgspec.Meta(description="href and src become absolute URLs.")] = True

    @property
    def pages(self) -> list[str]:
        """The URLs, in order."""
        return [self.url] if isinstance(self.url, str) else self.url

    @property
    def fields(self) -> dict[str, Field]:
        """The columns, each in its long form."""
        return {name: Field.of(value) for name, value in self.css_selectors.items() if name != CONTAINER}

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
                yield Problem("table", "a table needs no css_selectors; leave one of them out")
            if fault(self.table) is not None:
                yield Problem("table", f"{fault(self.table)}: '{self.table}'")
        else:
            yield from self._selector_problems()
        if self.next_page is not None and fault(Field.of(self.next_page).selector) is not None:
            yield Problem("next_page", f"{fault(Field.of(self.next_page).selector)}: '{self.next_page}'")
        if self.max_pages is not None and self.next_page is None:
            yield Problem("max_pages", "is for next_page; the pages of a list are all fetched")
        if (self.concurrency or 1) > 1 and (self.next_page is not None or len(self.pages) == 1):
            yield Problem("concurrency", "only the pages of a list can be fetched at once")

    def declared(self) -> Declared | None:
        return None if self.table is not None else Declared(pl.Schema(_types(self.fields)))

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        urls = [url.split("?", 1)[0] for url in self.pages]
        return {"kind": "http", "urls": urls[:_SHOWN], "count": len(urls), "next_page": self.next_page,
                "max_pages": self.max_pages, "respect_robots": self.respect_robots}  # fmt: skip

    def _selector_problems(self) -> Iterable[Problem]:
        container = self.css_selectors.get(CONTAINER)
        if not isinstance(container, str) or not container:
            yield Problem(f"css_selectors.{CONTAINER}", "is required: the selector of the element that is one row")
        elif fault(container) is not None:
            yield Problem(f"css_selectors.{CONTAINER}", f"{fault(container)}: '{container}'")
        if not self.fields:
            yield Problem("css_selectors", "name at least one column beside 'container'")
        for name, field in self.fields.items():
            wrong = fault(field.selector) if field.selector else None
            if wrong is not None:
                yield Problem(f"css_selectors.{name}", f"{wrong}: '{field.selector}'")
            try:
                re.compile(field.pattern or "")
            except re.error as error:
                yield Problem(f"css_selectors.{name}.pattern", f"not a regular expression: {error}")

    async def collect(self, ctx: CollectContext) -> Frame:
        """Fetch every page, and answer a scan of what was found there.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        return await _Scraping(self, ctx).collect()


def _types(fields: dict[str, Field]) -> dict[str, pl.DataType]:
    return {n: pl.List(pl.String()) if f.many else pl.String() for n, f in fields.items()}


class _Scraping:
    """One collection going on."""

    def __init__(self, settings: WebCollector, ctx: CollectContext) -> None:
        self._settings, self._ctx = settings, ctx
        self._fields = settings.fields
        self._container = str(settings.css_selectors.get(CONTAINER, ""))
        self._schema = _types(self._fields)
        self._spool = Spool(ctx.folder)
        self._rows: dict[str, list[Value]] = {name: [] for name in self._fields}
        self._matched = dict.fromkeys(self._fields, False)
        self._pending = 0
        self._evidence = Evidence(stop_reason="all_pages")
        self._next: str | None = None
        self._linked_on = settings.next_page is None
        self._torn = False
        self._trail = CrawlHistory()
        self._clients = Clients(
            ctx, limit=settings.concurrency, interval=settings.delay_seconds, timeout_seconds=settings.timeout_seconds,
            retry=settings.retry, field="url",
        )  # fmt: skip
        self._robots = Robots(self._clients.fetch)

    async def collect(self) -> Frame:
        ctx, settings, evidence = self._ctx, self._settings, self._evidence
        try:
            async with self._clients:
                walk = self._linked() if settings.next_page is not None else self._listed()
                async with aclosing(walk) as answers:
                    async for url, answer in answers:
                        await self._take(url, answer)
                        if ctx.wanted_rows is not None and evidence.rows >= ctx.wanted_rows:
                            evidence.stop_reason = "sampled"
                            break
            self._flush()
        except errors.StepError:
            evidence.stop_reason = FAILED
            raise
        finally:
            self._clients.count(evidence)
            ctx.add_evidence(dataclasses.asdict(evidence))
        self._notice()
        return ctx.frame(self._scan(), expensive=False, row_bytes=self._spool.row_bytes)

    async def _fetch(self, url: str, home: str | None = None) -> Response:
        own = self._ctx.fill_all(self._settings.headers)
        accept, here = "text/html, application/xhtml+xml, */*;q=0.5", url
        for _ in range(client.MAX_REDIRECTS + 1):
            asked = Request(
                here, accept=accept, headers=own, max_bytes=MAX_PAGE_BYTES, home=home or url,
                interval=await self._permitted(here), follow=False,
            )  # fmt: skip
            answer = await self._clients.fetch(asked)
            if answer.status not in client.REDIRECTS:
                return answer
            here = answer.url
        raise self._permanent(f"{_short(url)}: more than {client.MAX_REDIRECTS} redirects", "url")

    async def _permitted(self, url: str) -> float:
        """The seconds that robots.txt wants between two requests. Raises ``errors.Permanent`` where it forbids one."""
        if not self._settings.respect_robots:
            return 0.0
        instead = "where you may fetch it all the same, set respect_robots to false"
        if not await self._robots.allows(url):
            text = f"{_short(url)}: the site's robots.txt does not allow this page; {instead}"
            raise self._permanent(text, "respect_robots")
        delay = await self._robots.delay(url)
        if delay > MAX_DELAY:
            text = f"{_short(url)}: the site's robots.txt wants {delay:g} seconds between two requests; {instead}"
            raise self._permanent(text, "respect_robots")
        return delay

    async def _listed(self) -> AsyncGenerator[tuple[str, Response], None]:
        """The pages of the list, in order, some of them fetched ahead."""
        pages = self._settings.pages
        ahead: deque[asyncio.Task[Response]] = deque()
        started = 0
        try:
            for url in pages:
                most = 1 if self._ctx.partial else self._settings.concurrency or 1
                while started < len(pages) and len(ahead) < most:
                    ahead.append(asyncio.create_task(self._fetch(self._ctx.fill(pages[started]))))
                    started += 1
                yield url, await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def _linked(self) -> AsyncGenerator[tuple[str, Response], None]:
        """Each page of the list and those that it leads to, until one leads nowhere or to where we were."""
        visited: set[str] = set()
        limit = self._settings.max_pages
        self._evidence.stop_reason = "no_next"
        for start in self._settings.pages:
            url: str | None = self._ctx.fill(start)
            home = url
            while url is not None and url not in visited:
                if limit is not None and len(visited) >= limit:
                    self._evidence.stop_reason = "max_pages"
                    return
                visited.add(url)
                answer = await self._fetch(url, home)
                visited.add(answer.url)
                yield url, answer
                url = self._next  # what the page that was just taken names
            if url is not None:
                self._evidence.stop_reason = "repeated_page"
                self._ctx.warn(
                    "page_repeated", f"{_short(url)} was linked to as the next page a second time; it ends there"
                )

    async def _take(self, url: str, answer: Response) -> None:
        evidence, wanted = self._evidence, len(self._settings.pages)
        found = await asyncio.to_thread(self._extract, answer, url)
        evidence.rows += found
        evidence.pages += 1
        self._ctx.collected(found)
        share = evidence.pages / wanted if self._settings.next_page is None else 1 - 1 / (1 + evidence.pages)
        self._ctx.progress(share, f"{evidence.rows} rows from {evidence.pages} pages")

    def _extract(self, answer: Response, url: str) -> int:
        wrong = markup.hostile(answer.body)
        if wrong is not None:
            raise self._permanent(f"{_short(url)}: the page is refused: {wrong}", "url")
        page = Page.of(answer)
        if page.torn is not None and not self._torn:
            self._torn = True
            text = f"{_short(url)} holds bytes that are no {page.torn}, which it says it is in; they are read as U+FFFD"
            self._ctx.warn("page_encoding", text)
        if self._settings.next_page is not None:
            found = page.link(Field.of(self._settings.next_page))
            self._next = found if found is None or request.fault(found) is None else None
            self._linked_on = self._linked_on or found is not None
        return self._tables(page, url) if self._settings.table is not None else self._containers(page, url)

    def _tables(self, page: Page, url: str) -> int:
        found = [tables.read(table) for table in page.tree.css(str(self._settings.table))]
        if self._again(page, url, (row for _, data in found for row in data)):
            return 0
        for names, data in found:
            self._matched["table"] = True
            kinds: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
            self._schema |= kinds
            self._spool.add(pl.DataFrame(data, schema=kinds, orient="row"))
        return sum(len(data) for _, data in found)

    def _again(self, page: Page, url: str, rows: Iterable[Any]) -> bool:
        """Whether a page that the one before named came before under another address; the crawl ends there."""
        if self._settings.next_page is None:
            return False
        body = page.tree.body
        again = self._trail.again(body.text() if body is not None else "", rows)
        self._evidence.repeated_rows = self._trail.repeated
        if again:
            self._next, self._evidence.stop_reason = None, "repeated_page"
            self._ctx.warn("page_repeated", f"{_short(url)} repeats an earlier page; the crawl ends there")
        return again

    def _containers(self, page: Page, url: str) -> int:
        containers = page.tree.css(self._container)
        absolute = self._settings.absolute_urls
        columns = {name: page.column(containers, field, absolute) for name, field in self._fields.items()}
        if self._again(page, url, zip(*columns.values(), strict=True)):
            return 0
        for name, values in columns.items():
            field = self._fields[name]
            missing = next((i for i, v in enumerate(values) if v is None or v == []), None)
            if field.required and missing is not None:
                raise self._permanent(
                    f"{_short(url)}: row {missing + 1} has no '{name}' ('{field.said}')", f"css_selectors.{name}"
                )
            self._matched[name] = self._matched[name] or any(v is not None and v != [] for v in values)
            self._rows[name].extend(values)
        self._pending += len(containers)
        if self._pending >= _PART_ROWS:
            self._flush()
        return len(containers)

    def _flush(self) -> None:
        if self._settings.table is None:
            self._spool.add(pl.DataFrame(self._rows, schema=self._schema))
            self._rows = {name: [] for name in self._fields}
            self._pending = 0

    def _scan(self) -> pl.LazyFrame:
        return self._spool.scan() if self._evidence.rows else pl.LazyFrame(schema=self._schema)

    def _notice(self) -> None:
        """Say what matched nothing at all: a page that changed looks just like an empty one."""
        pages = self._evidence.pages
        where = "the page" if pages == 1 else f"any of the {pages} pages"
        hint = "compare it with the page's source (content made by scripts is not there)"
        if not self._linked_on:
            text = f"'{self._settings.next_page}' (next_page) matches nothing on {where}; {hint}"
            self._ctx.warn("selector_matches_nothing", text, field="next_page")
        if self._settings.table is not None:
            if not self._matched.get("table"):
                raise self._permanent(f"'{self._settings.table}' (table) matches nothing on {where}; {hint}", "table")
            return
        if not self._evidence.rows:
            field = f"css_selectors.{CONTAINER}"
            text = f"'{self._container}' (container) matches nothing on {where}; {hint}"
            if any(f.required for f in self._fields.values()):
                raise self._permanent(text, field)
            self._ctx.warn("selector_matches_nothing", text, field=field)
            return
        for name, matched in self._matched.items():
            if not matched:
                said, pattern = self._fields[name].said, self._fields[name].pattern
                again = f", or its pattern '{pattern}'," if pattern is not None else ""
                self._ctx.warn(
                    "selector_matches_nothing",
                    f"'{said}' ({name}){again} matches nothing in any '{self._container}' on {where}; {hint}",
                    field=f"css_selectors.{name}",
                )

    def _permanent(self, text: str, field: str) -> errors.Permanent:
        return errors.Permanent(text, step=self._ctx.step, field=field)


def _short(url: str) -> str:
    return url.split("?", 1)[0]
