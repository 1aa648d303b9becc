"""The walk over the pages of one collection: it fetches pages (several at once if their URLs are known ahead), reads
them in order and counts them.

Pages are read one after another, whatever is in flight, and each determines the next request. A page fetched ahead is
used only if its request equals the next one; so a source that sends less than asked for, or ends early, costs a few
requests and never a row.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from service.collectors.fetching.completeness import EMPTY_PAGES, Evidence
from service.collectors.http_api import more_pages, pagination
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.pagination import End, Kind, Next, PageInfo
from service.collectors.records.json_records import WHOLE, Document
from service.collectors.records.unusable import Unusable
from service.kit import errors
from service.network.request import Response
from service.steps.context import CollectContext

_REMEMBERED = 1000  # how many pages back a repetition is detected
_PAST_THE_END = (400, 404, 416, 422)
_UNCLEAR = (400, 422)  # they also refuse a request: past a full page the end is not certain
_TOTAL_HEADER = re.compile(r"(?:.*/)?\s*(\d{1,15})\s*")
_ALIKE = 2
"""After this number of pages that repeat the one before under a new cursor, the source seems to ignore the cursor."""
_INDEX = re.compile(r"(^|\.)-?\d+(\.|$)")
_FALSE = ("", "false", "0", "no", "n", "none", "null")
_PAGING = frozenset({"first", "prev", "previous", "last"})
"""Link relations of a paged list; one of them without a ``next`` marks the last page."""


@dataclass(frozen=True)
class FetchedPage:
    """A page: its number (from 0), its answer, its records, and the total that the source declares, if any."""

    number: int
    answer: Response
    body: PageBody
    total: int | None = None


class Pages:
    """The pages of one collection, in order. ``fetch`` requests a page, ``read`` decodes it.

    ``path`` returns the path of the records, and ``posted`` says that the requests are POSTs.
    """

    def __init__(
        self,
        kind: Kind,
        ctx: CollectContext,
        evidence: Evidence,
        fetch: Callable[[Next], Awaitable[Response]],
        read: Callable[[Response, int], PageBody],
        concurrency: int = 1,
        *,
        path: Callable[[], str | None] = lambda: None,
        posted: bool = False,
    ) -> None:
        self._kind, self._ctx, self._evidence = kind, ctx, evidence
        self._fetch, self._read, self._concurrency = fetch, read, concurrency
        self._path, self._posted = path, posted
        self._ahead: deque[tuple[Next, asyncio.Task[Response]]] = deque()
        self._marks: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._requests: set[str] = set()
        self._neighbours: set[int] = set()
        self._alike = 0
        self._guess = True
        self._empty = 0
        self._last: tuple[PageBody, Response] | None = None

    async def all(self) -> AsyncGenerator[FetchedPage, None]:
        """Every page, in order; then ``evidence`` has the stop reason. Raises the errors of ``fetch`` and ``read``."""
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
                if self._repeats(step, number, body, following):
                    self._ctx.warn_once(
                        "page_repeated", f"page {number + 1} repeats an earlier one; the collection ends there"
                    )
                    step = End("repeated_page")
                    break
                stride = stride or body.sent
                self._guess = self._guess and body.sent >= stride  # after a short page, fetch no further pages ahead
                evidence.pages += 1
                evidence.rows += body.count
                if body.rejected:
                    evidence.count("malformed_rows", len(body.rejected))
                if body.keyless:
                    evidence.count("pages_without_records")
                    if not number and self._total(body) != 0:
                        evidence.extras["no_records_at"] = self._path()
                self._compare(body)
                self._last = body, answer
                step = self._after(self._kind.after(self._seen(number, body, answer, following)), body)
                yield FetchedPage(number, answer, body, evidence.declared_total)
                number += 1
                if self._ctx.wanted_rows is not None and evidence.rows >= self._ctx.wanted_rows:
                    step = End("sampled")
            assert isinstance(step, End)
            evidence.stop_reason = step.reason
            self._check_end(step.reason)
        finally:
            await self._drop()

    def _after(self, step: Next | End, body: PageBody) -> Next | End:
        """``step``, unless too many pages in a row were empty, or one is empty and the source's total was reached."""
        self._empty = 0 if body.sent else self._empty + 1
        rows = self._evidence.sent
        if isinstance(step, Next) and not body.sent and rows and rows == self._total(body):
            return End("total_reached")
        if isinstance(step, Next) and self._empty >= self._kind.max_empty_pages:
            return End(EMPTY_PAGES)
        return step

    def _total(self, body: PageBody) -> int | None:
        """The total that the source declares: at the path that is set, else by its name."""
        declared = self._evidence.declared_total
        return declared if declared is not None else more_pages.total(body.document, self._path())

    def _check_end(self, reason: str) -> None:
        """Keep how the last answer says that there is more, if it does."""
        if self._last is None or self._ctx.partial or reason in ("max_pages", "sampled", "stop_when", "no_more"):
            return
        body, answer = self._last
        look: more_pages.Look = "flags"
        if isinstance(self._kind, pagination.Single):
            look = "all"
        elif reason in ("past_the_end", "repeated_page"):
            look = "totals"
        if self._evidence.declared_total is not None and look == "totals":
            look = "flags"  # a shortfall is reported anyway
        found = more_pages.sign(body.document, self._path(), self._evidence.rows, look)
        if found is None and look == "all" and "next" in answer.links:
            found = "the header Link names a next page (try link_header)"
        if found is None and look == "all" and (body.document is None or self._path() != WHOLE):
            found = more_pages.header_sign(answer.headers, self._evidence.sent)
        if found is not None:
            self._evidence.extras["more_pages"] = found

    async def _answer(self, step: Next, number: int, stride: int) -> Response | None:
        """The answer to ``step``; None for a page past the end that only a request could reveal."""
        try:
            if self._concurrency == 1:  # without the cost of a task
                return await self._fetch(step)
            if self._ahead and self._ahead[0][0] != step:
                await self._drop()
            if not self._ahead:
                self._ahead.append((step, asyncio.create_task(self._take(step))))
            self._look_ahead(number, stride)
            _, task = self._ahead.popleft()
            return await task
        except errors.Permanent as error:
            if not self._is_past_the_end(error, number, stride):
                raise
            return None

    def _is_past_the_end(self, error: errors.Permanent, number: int, stride: int) -> bool:
        """Whether an error means that there is no such page: only after a good page, and if nothing speaks for more."""
        status, evidence = error.details.get("status"), self._evidence
        if not (number and evidence.rows and self._kind.open_ended and status in _PAST_THE_END):
            return False
        total = evidence.declared_total
        if total is not None and evidence.sent < total:
            return False
        document = self._last[0].document if self._last is not None else None
        if status in _UNCLEAR:
            if more_pages.sign(document, self._path(), evidence.rows, "totals") is not None:
                return False  # it refuses to send more, as sources do beyond some number of records
            if total is None and self._last is not None and self._last[0].sent >= stride:
                self._ctx.warn_once(
                    "ended_by_error", f"page {number + 1} was refused, which is read as the end: {error.message}",
                    status=status,
                )  # fmt: skip
        evidence.extras |= {"end_status": status, "end_message": error.message}
        return True

    async def _take(self, step: Next) -> Response:
        return await self._fetch(step)

    def _look_ahead(self, number: int, stride: int) -> None:
        total = self._evidence.declared_total
        if self._ctx.partial:
            return  # a sample does not need pages ahead
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

    def _seen(self, number: int, body: PageBody, answer: Response, following: Any) -> PageInfo:
        evidence = self._evidence
        self._declare_total(number, body, answer)
        links = answer.links
        last = not _PAGING.isdisjoint(links) and "next" not in links
        more, stopped = self._flags(number, body.document)
        return PageInfo(number, body.sent, evidence.sent, evidence.declared_total, following, last, more, stopped)

    def _declare_total(self, number: int, body: PageBody, answer: Response) -> None:
        kind, evidence = self._kind, self._evidence
        total, where = None, ""
        if kind.total_header is not None:
            match = _TOTAL_HEADER.fullmatch(answer.headers.get(kind.total_header.lower(), ""))
            total, where = int(match[1]) if match else None, f"in the header '{kind.total_header}' (total_header)"
        elif kind.total_path is not None and body.document is not None:
            total, where = body.document.number(kind.total_path), f"at '{kind.total_path}' (total_path)"
        if total is not None:
            evidence.declared_total = total
        elif where and evidence.declared_total is None:
            self._ctx.warn_once("no_total", f"page {number + 1} has no number {where}")

    def _flags(self, number: int, document: Document | None) -> tuple[bool | None, bool]:
        """The value at ``has_more_path`` (None: unknown), and whether ``stop_when`` holds."""
        kind, more, stopped = self._kind, None, False
        if document is None:
            return None, False
        if kind.has_more_path is not None:
            if document.at(kind.has_more_path) is None:
                self._warn_once_of_path("no_more_flag", number, kind.has_more_path, "has_more_path")
            else:
                value = document.at_json(kind.has_more_path)
                more = value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)
        if kind.stop_when is not None:
            value, wanted = document.at_json(kind.stop_when.path), kind.stop_when.equals
            stopped = isinstance(value, bool) == isinstance(wanted, bool) and value == wanted
            if wanted is not None and document.at(kind.stop_when.path) is None:
                self._warn_once_of_path("no_stop_value", number, kind.stop_when.path, "stop_when")
        return more, stopped

    def _warn_once_of_path(self, code: str, number: int, path: str, setting: str) -> None:
        self._ctx.warn_once(code, f"page {number + 1} has nothing at '{path}' ({setting})", path=path)

    def _following(self, number: int, body: PageBody, answer: Response) -> Any:
        """The next page that the answer names: a cursor or a URL, or None."""
        kind, document = self._kind, body.document
        if isinstance(kind, pagination.LinkHeader):
            return answer.links.get("next")
        if isinstance(kind, pagination.Cursor) and kind.cursor_header is not None:
            return answer.headers.get(kind.cursor_header.lower(), "").strip() or None
        if document is None or not isinstance(kind, pagination.Cursor | pagination.NextUrl):
            return None
        path = str(kind.cursor_path) if isinstance(kind, pagination.Cursor) else kind.next_path
        try:
            found = self._cursor(document, path, kind)
        except Unusable as error:
            raise errors.Permanent(
                f"page {number + 1}: {error}; it should name the next page", step=self._ctx.step, field="pagination"
            ) from None
        if found is None and not number and body.count:
            self._doubt(path, document)
        return answer.joined(str(found)) if found and isinstance(kind, pagination.NextUrl) else found

    @staticmethod
    def _cursor(document: Document, path: str, kind: Kind) -> Any:
        """The value at ``path``: text, and in the body of a request any JSON value; None for nothing, 0 and false."""
        value = document.at_json(path)
        if type(value) is int and value == 0 and _INDEX.search(path):
            return value  # the id of a record
        if not value or value is True:
            return None
        if isinstance(kind, pagination.Cursor) and kind.is_in_body("cursor_param"):
            return value
        return document.text(path)

    def _doubt(self, path: str, document: Document) -> None:
        """Warn if the first page has nothing at ``path`` and the path itself looks wrong."""
        known = document.names(path)
        hint = errors.did_you_mean(path.rpartition(".")[2], known or ())
        if known is None or hint:
            self._ctx.warn_once(
                "no_next_path", f"page 1 has nothing at '{path}'{hint}; it is read as the only page", path=path
            )

    def _repeats(self, step: Next, number: int, body: PageBody, following: Any) -> bool:
        """Whether this page came before: the same rows with the same next page, or the same request.

        Raises ``errors.Permanent`` if it equals the page before and so cannot be the page that was asked for.
        """
        kind, before = self._kind, self._marks[-1] if self._marks else None
        mark = (len(body.packed), hash((body.packed, str(following))))
        self._alike = self._alike + 1 if self._is_ignored(body) else 0
        asked = self._alike < _ALIKE and not (mark == before and self._is_not_as_asked(number))
        if number and body.count and not asked:
            names = ", ".join(f"'{n}'" for n in kind.parameters.values()) or "its next page"
            where = "" if set(kind.names) <= {"query"} else f" in the {', '.join(kind.names)}"
            hint = "; they may belong in the body (pagination.in: body)" if self._posted and not where else ""
            raise errors.Permanent(
                f"page {number + 1} equals page {number}: what came is not what was asked for; the source seems not to "
                f"know {names}{where}{hint}",
                step=self._ctx.step, field="pagination",
            )  # fmt: skip
        if not isinstance(kind, pagination.PageNumber | pagination.Offset):
            request = step.url or str((step.params, step.body, step.headers, step.path))
            if request in self._requests:
                return True
            self._requests.add(request)
        if not body.count:
            return False
        if mark in self._marks:
            return True
        self._marks.append(mark)
        return False

    def _is_ignored(self, body: PageBody) -> bool:
        """Whether a page that a cursor or link led to has the rows of the page before, several and not all alike."""
        if not pagination.follows(self._kind) or self._last is None or body.packed != self._last[0].packed:
            return False
        return len(set(body.packed.split(b"\n"))) > 1

    def _is_not_as_asked(self, number: int) -> bool:
        """Whether a page that equals the one before is wrong, and not just the last page for every number past it."""
        kind = self._kind
        if pagination.follows(kind):
            return True
        if isinstance(kind, pagination.PageNumber) and number == 1 and not self._posted:
            document = self._last[0].document if self._last is not None else None
            return more_pages.sign(document, self._path(), self._evidence.rows, "totals") is not None
        return number == 1

    def _compare(self, body: PageBody) -> None:
        """Count the rows that were also on the page before."""
        rows = set(map(hash, body.packed.split(b"\n"))) if body.count and body.document is not None else set()
        self._evidence.repeated_rows += len(rows & self._neighbours)
        self._neighbours = rows
