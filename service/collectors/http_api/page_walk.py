"""Pages of one collection: fetched (several at once where their addresses are known ahead), taken in order, counted.

Whatever is on its way, pages are looked at one after another, and each says what comes next. A page that was fetched
ahead is used only if it is the very one that is wanted now; so a source that gives less than it was asked for, or
ends early, costs a few requests and never a row.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from service.collectors.fetching.completeness import Evidence
from service.collectors.http_api import pagination
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.pagination import End, Kind, Next, PageInfo
from service.collectors.records.json_records import Document, Unusable
from service.kit import errors
from service.network.request import Response
from service.steps.context import CollectContext

_REMEMBERED = 1000  # pages back that a repetition is noticed
_NO_SUCH_PAGE = (404, 416)
_PAGING = frozenset({"first", "prev", "previous", "last"})
"""Links that a list in pages has; one among them without a next says that this is its last page."""


@dataclass(frozen=True)
class FetchedPage:
    """A page: its place (from 0), its answer and its records, and how many there are in all where the source says."""

    number: int
    answer: Response
    body: PageBody
    total: int | None = None


class Pages:
    """The pages of one collection, in order. ``fetch`` asks for one, ``read`` finds its records."""

    def __init__(
        self,
        kind: Kind,
        ctx: CollectContext,
        evidence: Evidence,
        fetch: Callable[[Next], Awaitable[Response]],
        read: Callable[[Response, int], PageBody],
        concurrency: int = 1,
    ) -> None:
        self._kind, self._ctx, self._evidence = kind, ctx, evidence
        self._fetch, self._read, self._concurrency = fetch, read, concurrency
        self._ahead: deque[tuple[Next, asyncio.Task[Response]]] = deque()
        self._marks: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._urls: set[str] = set()
        self._neighbours: set[int] = set()
        self._guess = True

    async def all(self) -> AsyncGenerator[FetchedPage, None]:
        """Every page, in order; afterwards the evidence says why it ended. Raises what ``fetch`` and ``read`` raise."""
        step: Next | End = self._kind.first()
        number = stride = 0
        evidence = self._evidence
        try:
            while isinstance(step, Next):
                if self._kind.max_pages is not None and number >= self._kind.max_pages:
                    step = End("max_pages")
                    break
                answer = await self._answer(step, number, stride)
                if answer is None:
                    step = End("past_the_end")
                    break
                body = self._read(answer, number)
                following = self._following(number, body, answer)
                if self._repeats(step, body, following):
                    said = f"page {number + 1} repeats an earlier one; collecting ends there"
                    self._ctx.warn_once("page_repeated", said)
                    step = End("repeated_page")
                    break
                stride = stride or body.count
                self._guess = self._guess and body.count >= stride  # after a short page, ask ahead no more
                evidence.pages += 1
                evidence.rows += body.count
                self._compare(body)
                step = self._kind.after(self._seen(number, body, answer, following))
                yield FetchedPage(number, answer, body, evidence.declared_total)
                number += 1
                if self._ctx.wanted_rows is not None and evidence.rows >= self._ctx.wanted_rows:
                    step = End("sampled")
            assert isinstance(step, End)
            evidence.stop_reason = step.reason
        finally:
            await self._drop()

    async def _answer(self, step: Next, number: int, stride: int) -> Response | None:
        """The answer to ``step``; None where there is no such page and only asking could tell."""
        try:
            if self._concurrency == 1:  # a task would only cost time
                return await self._fetch(step)
            if self._ahead and self._ahead[0][0] != step:
                await self._drop()
            if not self._ahead:
                self._ahead.append((step, asyncio.create_task(self._take(step))))
            self._look_ahead(number, stride)
            _, task = self._ahead.popleft()
            return await task
        except errors.Permanent as error:
            over = number and self._kind.open_ended and error.details.get("status") in _NO_SUCH_PAGE
            total = self._evidence.declared_total
            if over and (total is None or self._evidence.rows >= total):
                return None
            raise

    async def _take(self, step: Next) -> Response:
        return await self._fetch(step)

    def _look_ahead(self, number: int, stride: int) -> None:
        total = self._evidence.declared_total
        if self._ctx.partial:
            return  # one page too many is more than a sample needs
        while stride and (self._guess or total is not None) and len(self._ahead) < self._concurrency:
            page = number + len(self._ahead)
            beyond = total is not None and page * stride >= total
            limited = self._kind.max_pages is not None and page >= self._kind.max_pages
            step = None if beyond or limited else self._kind.ahead(page, stride)
            if step is None:
                return
            self._ahead.append((step, asyncio.create_task(self._take(step))))

    async def _drop(self) -> None:
        tasks = [task for _, task in self._ahead]
        self._ahead.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _seen(self, number: int, body: PageBody, answer: Response, following: str | None) -> PageInfo:
        kind, evidence, document = self._kind, self._evidence, body.document
        if kind.total_path is not None and document is not None:
            total = document.number(kind.total_path)
            if total is None and evidence.declared_total is None:
                said = f"page {number + 1} has no number at '{kind.total_path}' (total_path)"
                self._ctx.warn_once("no_total", said)
            evidence.declared_total = total if total is not None else evidence.declared_total
        links = answer.links
        if isinstance(kind, pagination.Single) and "next" in links:
            said = "the answer links to a next page, and pagination is 'none'; try link_header"
            self._ctx.warn_once("more_pages", said)
        last = not _PAGING.isdisjoint(links) and "next" not in links
        return PageInfo(number, body.count, evidence.rows, evidence.declared_total, following, last)

    def _following(self, number: int, body: PageBody, answer: Response) -> str | None:
        """What the answer names as the next page: a cursor, or an address."""
        kind, document = self._kind, body.document
        if isinstance(kind, pagination.LinkHeader):
            return answer.links.get("next")
        if document is None or not isinstance(kind, pagination.Cursor | pagination.NextUrl):
            return None
        path = kind.cursor_path if isinstance(kind, pagination.Cursor) else kind.next_path
        try:
            found = document.text(path)
        except Unusable as error:
            raise errors.Permanent(
                f"page {number + 1}: {error}; it should name the next page", step=self._ctx.step, field="pagination"
            ) from None
        if found is None and not number:
            self._doubt(path, document)
        return answer.joined(found) if found and isinstance(kind, pagination.NextUrl) else found

    def _doubt(self, path: str, document: Document) -> None:
        """Warn where the first page names no next one at that path, and the path itself looks wrong."""
        known = document.names(path)
        hint = errors.did_you_mean(path.rpartition(".")[2], known or ())
        if known is None or hint:
            self._ctx.warn_once(
                "no_next_path", f"page 1 has nothing at '{path}'{hint}; it is taken for the only page", path=path
            )

    def _repeats(self, step: Next, body: PageBody, following: str | None) -> bool:
        """Whether this page came before: the same rows with the same next page, or the same address."""
        where = step.url or (str(step.params) if isinstance(self._kind, pagination.Cursor) else None)
        if where is not None:
            if where in self._urls:
                return True
            self._urls.add(where)
        if not body.count:
            return False
        mark = (len(body.packed), hash((body.packed, following)))
        if mark in self._marks:
            return True
        self._marks.append(mark)
        return False

    def _compare(self, body: PageBody) -> None:
        """Count the rows that the page before had too."""
        rows = set(map(hash, body.packed.split(b"\n"))) if body.count and body.document is not None else set()
        self._evidence.repeated_rows += len(rows & self._neighbours)
        self._neighbours = rows
