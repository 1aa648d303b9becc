"""The web collector: one row for each container element, with fields by CSS selectors, or the rows of tables.

Pages come from a list (several at once, in order), or each page links to the next one. The collector obeys robots.txt,
and requests to one host keep the interval that robots.txt or the configuration asks for. Pages are parsed in the run's
child process, never in the service: hostile HTML can hang or crash a parser.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar

from service.collectors.fetching.client_pool import Clients
from service.collectors.fetching.completeness import FAILED, Evidence
from service.collectors.html import markup_kind, tables
from service.collectors.html import page as markup
from service.collectors.html.crawl_history import CrawlHistory
from service.collectors.html.page import Field, Page, Value
from service.collectors.html.pattern_losses import Unmatched
from service.collectors.html.robots import Robots
from service.collectors.html.settings import CONTAINER, MAX_DELAY, WebSettings
from service.collectors.records.spool import Spool
from service.kit import errors, lazy
from service.network import redirect, request
from service.network.request import Request, Response
from service.steps.context import CollectContext
from service.steps.frame import Frame

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

MAX_PAGE_BYTES = 5 * 1024 * 1024
_SHOWN = 100
_PART_ROWS = 20_000


class WebCollector(WebSettings, frozen=True, kw_only=True, tag="web"):
    """Rows from HTML pages: one for each element that ``css_selectors.container`` finds, or the rows of ``table``."""

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

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        urls = [url.split("?", 1)[0] for url in self.pages]
        return {"kind": "http", "urls": urls[:_SHOWN], "count": len(urls), "next_page": self.next_page,
                "max_pages": self.max_pages, "respect_robots": self.respect_robots}  # fmt: skip

    async def collect(self, ctx: CollectContext) -> Frame:
        """Fetch every page and return a frame over the rows found there.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        return await _Crawl(self, ctx).collect()


class _Crawl:
    """One collection in progress."""

    def __init__(self, settings: WebCollector, ctx: CollectContext) -> None:
        self._settings, self._ctx = settings, ctx
        self._fields = settings.fields
        self._container = str(settings.css_selectors.get(CONTAINER, ""))
        self._schema = settings.types
        self._spool = Spool(ctx.folder)
        self._rows: dict[str, list[Value]] = {name: [] for name in self._fields}
        self._matched = dict.fromkeys(self._fields, False)
        self._unmatched = {
            name: Unmatched() for name, field in self._fields.items() if field.pattern and not field.many
        }
        self._pending = 0
        self._evidence = Evidence(stop_reason="all_pages")
        self._next: str | None = None
        self._linked_on = settings.next_page is None
        self._torn = False
        self._hidden = 0
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
                walk = self._linked_pages() if settings.next_page is not None else self._list_pages()
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
            ctx.add_evidence(evidence.summary)
        self._check_matches()
        self._check_patterns()
        return ctx.frame(self._scan(), expensive=False, row_bytes=self._spool.row_bytes)

    async def _fetch(self, url: str, home: str | None = None) -> Response:
        own = self._ctx.fill_all(self._settings.headers)
        accept, here = "text/html, application/xhtml+xml, */*;q=0.5", url
        for _ in range(redirect.MOST + 1):
            request_ = Request(
                here, accept=accept, headers=own, max_bytes=MAX_PAGE_BYTES, home=home or url,
                interval=await self._crawl_delay(here), follow=False,
            )  # fmt: skip
            answer = await self._clients.fetch(request_)
            if answer.status not in redirect.STATUSES:
                return answer
            here = answer.url
        raise self._permanent(f"{_short(url)}: more than {redirect.MOST} redirects", "url")

    async def _crawl_delay(self, url: str) -> float:
        """The seconds between two requests that robots.txt asks for. Raises ``errors.Permanent`` if it forbids one."""
        if not self._settings.respect_robots:
            return 0.0
        instead = "if you have permission to fetch it, set respect_robots to false"
        if not await self._robots.allows(url):
            text = f"{_short(url)}: the site's robots.txt does not allow this page; {instead}"
            raise self._permanent(text, "respect_robots")
        delay = await self._robots.delay(url)
        if delay > MAX_DELAY:
            text = f"{_short(url)}: the site's robots.txt asks for {delay:g} s between two requests; {instead}"
            raise self._permanent(text, "respect_robots")
        return delay

    async def _list_pages(self) -> AsyncGenerator[tuple[str, Response], None]:
        """The pages of the list, in order; some are fetched ahead."""
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

    async def _linked_pages(self) -> AsyncGenerator[tuple[str, Response], None]:
        """Each page of the list and the pages it links to, until one has no next link or links to a visited page."""
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
                url = self._next  # set by the consumer of the page just yielded
            if url is not None:
                self._evidence.stop_reason = "repeated_page"
                self._ctx.warn(
                    "page_repeated", f"{_short(url)} was linked as the next page a second time; the crawl ends there"
                )

    async def _take(self, url: str, answer: Response) -> None:
        evidence, wanted = self._evidence, len(self._settings.pages)
        found = await asyncio.to_thread(self._extract, answer, url)
        evidence.rows += found
        evidence.pages += 1
        self._ctx.collected(found)
        if self._settings.next_page is None:  # else nobody knows how many pages there are
            self._ctx.progress(evidence.pages / wanted, f"{evidence.rows} rows from {evidence.pages} pages")

    def _extract(self, answer: Response, url: str) -> int:
        what = markup_kind.foreign(answer.body, answer.headers.get("content-type", ""))
        if what is not None:
            raise self._permanent(f"{_short(url)}: this is {what}, not an HTML page", "url")
        wrong = markup.hostile(answer.body)
        if wrong is not None:
            raise self._permanent(f"{_short(url)}: the page is refused: {wrong}", "url")
        page = Page.of(answer, hides=not self._settings.include_hidden)
        if page.torn is not None and not self._torn:
            self._torn = True
            text = f"{_short(url)} has bytes that are not valid {page.torn}, its declared encoding; they become U+FFFD"
            self._ctx.warn("page_encoding", text)
        if self._settings.next_page is not None:
            found = page.link(Field.of(self._settings.next_page))
            self._next = found if found is None or request.fault(found) is None else None
            self._linked_on = self._linked_on or found is not None
        return self._tables(page, url) if self._settings.table is not None else self._containers(page, url)

    def _tables(self, page: Page, url: str) -> int:
        found = [tables.read(table, page) for table in page.tree.css(str(self._settings.table))]
        self._hidden += page.left_out
        if self._again(page, url, (row for _, data in found for row in data)):
            return 0
        for names, data in found:
            self._matched["table"] = True
            kinds: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
            self._schema |= kinds
            self._spool.add(pl.DataFrame(data, schema=kinds, orient="row"))
        return sum(len(data) for _, data in found)

    def _again(self, page: Page, url: str, rows: Iterable[Any]) -> bool:
        """Whether a linked page repeats an earlier one under another URL; the crawl ends there."""
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
        containers = page.shown(page.tree.css(self._container))
        self._hidden += page.left_out
        absolute = self._settings.absolute_urls
        columns = {name: page.column(containers, field, absolute) for name, field in self._fields.items()}
        if self._again(page, url, zip(*columns.values(), strict=True)):
            return 0
        for name, values in columns.items():
            field = self._fields[name]
            missing = next((i for i, v in enumerate(values) if v is None or v == []), None)
            if field.required and missing is not None:
                raise self._permanent(
                    f"{_short(url)}: row {missing + 1} has no '{name}' ('{field.text}')", f"css_selectors.{name}"
                )
            if name in self._unmatched:
                self._unmatched[name].add(page.unmatched, sum(v is not None for v in values))
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

    def _check_patterns(self) -> None:
        """Warn of values in which a pattern was not found. Raises ``errors.Permanent`` if they are too many."""
        most = self._settings.max_lost_share
        for name, lost in self._unmatched.items():
            if not lost.count:
                continue
            field, pattern = f"css_selectors.{name}", self._fields[name].pattern
            text = f"{field}: {lost.shown} do not contain the pattern '{pattern}' and became missing"
            details = {"setting": "css_selectors", "column": name, **lost.details}
            if lost.share > most and not self._ctx.partial:
                raise errors.Permanent(
                    f"{text}. This is more than max_lost_share ({most:g}) allows; mend the pattern, or set "
                    "max_lost_share: 1 to accept missing values", step=self._ctx.step, field=field, **details,
                )  # fmt: skip
            self._ctx.warn("values_lost", text, **details)

    def _check_matches(self) -> None:
        """Report selectors that matched nothing: a page whose markup changed looks like an empty one."""
        pages = self._evidence.pages
        if self._hidden:
            text = f"{self._hidden} rows are hidden in the page and left out; set include_hidden to read them"
            self._ctx.warn("hidden_rows", text, rows=self._hidden)
        where = "the page" if pages == 1 else f"any of the {pages} pages"
        hint = "compare it with the page's source (content added by scripts is not in it)"
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
                selector, pattern = self._fields[name].text, self._fields[name].pattern
                and_pattern = f" with the pattern '{pattern}'" if pattern is not None else ""
                self._ctx.warn(
                    "selector_matches_nothing",
                    f"'{selector}' ({name}){and_pattern} matches nothing in any '{self._container}' on {where}; {hint}",
                    field=f"css_selectors.{name}",
                )

    def _permanent(self, text: str, field: str) -> errors.Permanent:
        return errors.Permanent(text, step=self._ctx.step, field=field)


def _short(url: str) -> str:
    return url.split("?", 1)[0]
