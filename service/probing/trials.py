"""Trials of candidate paginations: each is tried by fetching its second page, until one works.

A candidate works if the collector's own walk (``page_walk``) reaches a second page with other records than the first.
For pages and offsets the first page must also equal the one without any parameters, and an offset must advance by
records: the page that starts one record earlier begins with the last record of the first page. Answers are cached, so
no URL is requested twice. Requests and time are limited, and after "too many requests" the source gets no more.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from service.collectors.fetching.completeness import Evidence
from service.collectors.http_api import pagination
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.page_walk import FetchedPage, Pages
from service.collectors.http_api.pagination import Kind, Next, Offset
from service.kit import errors
from service.network.request import Response
from service.probing import clues, known
from service.probing.clues import Clue
from service.steps.context import CollectContext

MOST_REQUESTS = 24
SECONDS = 15.0


class Exhausted(Exception):
    """No further request is allowed. The message gives the reason."""


@dataclass
class Verdict:
    """The pagination that works (``none`` if no candidate does), how that is known, and the candidates tried."""

    kind: Kind = field(default_factory=pagination.Single)
    type: str = "none"
    verified: bool = False
    how: str = ""
    tried: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Trials:
    """Trials of one source. ``fetch`` requests a page, ``read`` decodes it.

    ``path`` is that of the records; ``body`` is the JSON of the requests if they are ``posted``.
    """

    def __init__(
        self,
        ctx: CollectContext,
        fetch: Callable[[Next], Awaitable[Response]],
        read: Callable[[Response, int], PageBody],
        clock: Callable[[], float] = time.monotonic,
        *,
        path: str | None = None,
        body: Mapping[str, Any] | None = None,
        posted: bool = False,
    ) -> None:
        self._ctx, self._fetch, self._read, self._clock = ctx, fetch, read, clock
        self._path, self._body, self._posted = path, body, posted
        self._until = clock() + SECONDS
        self._answers: dict[str, Response] = {}
        self._first: PageBody | None = None
        self._empty: list[str] = []

    async def verdict(self, answer: Response, params: Mapping[str, Any]) -> Verdict:
        """The pagination for the pages after ``answer``, which came without one; ``params`` are those of its URL.

        Raises the errors of ``read`` for the first page.
        """
        found = Verdict()
        self._answers[_key(Next({}))] = answer
        self._first = first = self._read(answer, 0)
        beside = clues.scalars(first.document)
        if not first.count:
            found.how = "there are no records, so a second page cannot be told from the first"
            return found
        try:
            await self._search(answer, beside, params, found)
        except Exhausted as error:
            found.notes.append(str(error))
        if not found.verified:
            self._explain(found, beside, answer)
        return await self._with_total(found, beside, answer)

    async def _search(
        self, answer: Response, beside: Mapping[str, Any], params: Mapping[str, Any], found: Verdict
    ) -> None:
        first = self._first
        assert first is not None
        fields = {name: str(value) for name, value in (self._body or {}).items() if isinstance(value, str | int)}
        form = known.named(answer, first.document, self._path, (self._body or {}) if self._posted else None)
        strong = (*clues.named(beside, answer.links), *form, *clues.shown(fields))
        if await self._try_all((*known.placed(strong, posted=self._posted), *clues.shown(params)), found):
            return
        if first.document is None:
            return  # sources of other formats mostly send everything at once: guesses are not tried
        if await self._try_all(known.placed(clues.guessed(), posted=self._posted), found):
            return
        if first.count >= 2:
            await self._try_all(known.placed(self._smaller(params), posted=self._posted), found)

    async def _try_all(self, candidates: Iterable[Clue], found: Verdict) -> bool:
        assert self._first is not None
        for clue in candidates:
            kind = known.flagged(clue.kind, self._first.document, self._path) if clue.exact else clue.kind
            if await self._try_clue(replace(clue, kind=kind), found):
                return True
        return False

    async def _try_clue(self, clue: Clue, found: Verdict) -> bool:
        label = _label(clue.kind)
        if label in found.tried:
            return False
        found.tried.append(label)
        try:
            held = await self._holds(clue.kind, exact=clue.exact)
        except errors.Permanent:
            return False
        except errors.Transient as error:
            raise Exhausted(f"the source stopped answering while its pages were tried: {error.message}") from None
        if held is None:
            return False
        kind, how = held
        found.type = str(clue.kind.__struct_config__.tag)
        found.kind, found.verified, found.how = _proposed(kind, self._count), True, f"{clue.why}; {how}"
        if isinstance(kind, pagination.PageNumber | Offset) and kind.start > isinstance(kind, pagination.PageNumber):
            found.notes.append(
                f"the URL starts at {kind.start}, and so does the collector: earlier pages are left out; "
                "change pagination.start to include them"
            )
        return True

    @property
    def _count(self) -> int:
        return self._first.count if self._first is not None else 0

    async def _holds(self, kind: Kind, *, exact: bool) -> tuple[Kind, str] | None:
        """The kind that leads to a second page (with its start corrected), and how that is known; or None."""
        first = self._first
        assert first is not None
        if not exact:
            ahead = kind.ahead(1, self._size(kind))
            assert ahead is not None
            second = self._read(await self._answer_to(ahead), 1)
            if second.packed == first.packed:
                return None
            if not second.count:
                self._empty.append(_label(kind))
                return None
            kind = await self._started(kind) or kind
            start = self._read(await self._answer_to(kind.first()), 0)
            if _rows(start)[: first.count] != _rows(first)[: start.count] or not start.count:
                return None
        pages = await self._walked(msgspec.structs.replace(kind, max_pages=2))
        if len(pages) < 2 or not pages[1].body.count:
            return None
        one, two = (set(_rows(p.body)) for p in pages)
        if len(one & two) * 2 > len(two):
            return None
        how = f"the second page was fetched and holds {pages[1].body.count} other records"
        if isinstance(kind, Offset):
            if not await self._moves(kind, pages[0].body):
                return None
            how = f"{how}, and the offset counts records"
        return kind, how

    async def _walked(self, kind: Kind) -> list[FetchedPage]:
        trial = CollectContext("probe", self._ctx.folder, log=self._ctx.log)
        walk = Pages(
            kind, trial, Evidence(), self._answer_to, self._read, path=lambda: self._path, posted=self._posted
        )  # fmt: skip
        return [page async for page in walk.all()]

    async def _started(self, kind: Kind) -> Kind | None:
        """The kind with ``start`` 0 if pages count from 0 (page 1 is then not the first one), else None."""
        if not isinstance(kind, pagination.PageNumber) or kind.start != 1 or self._first is None:
            return None
        one = self._read(await self._answer_to(kind.first()), 0)
        if one.packed == self._first.packed or kind.size:
            return None
        return msgspec.structs.replace(kind, start=0)

    async def _moves(self, kind: Offset, first: PageBody) -> bool:
        """Whether the offset counts records: a page that starts one record earlier must overlap."""
        if first.count < 2:
            return True
        earlier = kind.ahead(1, first.count - 1)
        assert earlier is not None
        overlap = self._read(await self._answer_to(earlier), 1)
        return overlap.count > 0 and _rows(overlap)[0] == _rows(first)[-1]

    def _smaller(self, params: Mapping[str, Any]) -> Iterable[Clue]:
        """Candidates with half the page size: if everything came on one page, a paged source then shows a second."""
        half = (self._count + 1) // 2
        why = f"with {half} records a page it has a second page"
        for size in ("per_page", "limit", "_limit", "page_size"):
            if size in params:
                continue
            page = "_page" if size == "_limit" else "page"
            yield Clue(pagination.PageNumber(page_param=page, size_param=size, size=half), why)
        for offset, limit in clues.OFFSETS[:4]:
            if offset not in params:
                yield Clue(pagination.Offset(offset_param=offset, limit_param=limit, limit=half), why)

    def _size(self, kind: Kind) -> int:
        given = kind.limit if isinstance(kind, Offset) else None
        return given or self._count

    async def _answer_to(self, step: Next) -> Response:
        key = _key(step)
        if key not in self._answers:
            if len(self._answers) >= MOST_REQUESTS:
                raise Exhausted(f"the search for a pagination stopped after {MOST_REQUESTS} requests")
            if self._clock() > self._until:
                raise Exhausted(f"the search for a pagination stopped after {SECONDS:g} s")
            self._answers[key] = await self._fetch(step)
        return self._answers[key]

    def _explain(self, found: Verdict, beside: Mapping[str, Any], answer: Response) -> None:
        """Explain why the proposal has no pagination, and note signs of more pages."""
        if self._empty:
            found.how = f"everything came on the first page: the second one ({self._empty[0]}) is empty"
            found.notes.append(
                f"there is no second page, so pagination is none; the source seems to support {self._empty[0]}"
            )
            return
        found.how = "no way to a second page was found"
        more = [(p, n) for p, n in clues.totals(beside) if n > self._count]
        if more:
            path, number = more[0]
            found.notes.append(
                f"'{path}' is {number} and {self._count} records came: there may be more than this collector fetches; "
                "the source's documentation describes how to request its next page (pagination)"
            )
        elif "next" in answer.links or any(c.exact for c in clues.named(beside, answer.links)):
            found.notes.append("the answer seems to name a next page, but none could be fetched; see 'tried'")

    async def _with_total(self, found: Verdict, beside: Mapping[str, Any], answer: Response) -> Verdict:
        """Add the path of the source's total to the kind, unless two pages contradict it."""
        if self._first is None or self._first.document is None:
            return found
        came, second = self._count, beside
        if found.verified:
            try:
                pages = await self._walked(msgspec.structs.replace(found.kind, max_pages=2))
            except (Exhausted, errors.StepError):
                return found
            came = sum(page.body.count for page in pages)
            second = clues.scalars(pages[-1].body.document)
        for path, number in clues.totals(beside):
            if str(second.get(path)) == str(number) and (number >= came if found.verified else number == came):
                found.kind = msgspec.structs.replace(found.kind, total_path=path)
                break
        else:
            header = known.total_header(answer, came)
            if header is not None and isinstance(found.kind, pagination.Single) is not found.verified:
                found.kind = msgspec.structs.replace(found.kind, total_header=header)
        return found


def _key(step: Next) -> str:
    """What tells requests apart."""
    return repr((step.url, sorted(step.params.items()), step.body, step.headers, step.path))


def _proposed(kind: Kind, count: int) -> Kind:
    """The proposal after a trial with half a page: the page size that the source sends by itself."""
    if isinstance(kind, pagination.PageNumber) and kind.size is not None and kind.size < count:
        return msgspec.structs.replace(kind, size=max(count, 100))
    if isinstance(kind, Offset) and kind.limit is not None and kind.limit < count:
        return msgspec.structs.replace(kind, limit=max(count, 100))
    return kind


def _rows(body: PageBody) -> list[bytes]:
    return body.packed.split(b"\n") if body.packed else []


def _label(kind: Kind) -> str:
    """The label of a candidate in ``tried``: the kind and its parameter names."""
    where = "" if kind.location == "query" else f" in {kind.location}"
    match kind:
        case pagination.PageNumber(page_param=page, size_param=size):
            return f"page: {page}{f', {size}' if size else ''}{where}"
        case Offset(offset_param=offset, limit_param=limit):
            return f"offset: {offset}, {limit}{'' if kind.limit is None else f'={kind.limit}'}{where}"
        case pagination.Cursor(cursor_path=path, cursor_param=param):
            return f"cursor: {path} as {param}{where}"
        case pagination.NextUrl(next_path=path):
            return f"next_url: {path}"
    return str(kind.__struct_config__.tag)
