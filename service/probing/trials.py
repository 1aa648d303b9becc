"""Trials: which of the candidate paginations is true, found out by fetching a second page of each until one holds.

A candidate holds when the collector's own walk over the pages (``pages``) comes to a second page with other records
than the first; for pages and offsets the first page must also be the one that came without any parameters, and an
offset must move by records: the page that begins one record earlier begins with the first page's last record. Answers
are kept, so that no address is asked twice; requests and time are limited, and a source that says "too many requests"
is left alone at once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from service.collectors.fetching.completeness import Evidence
from service.collectors.http_api import pagination
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.page_walk import FetchedPage, Pages
from service.collectors.http_api.pagination import Kind, Next, Offset
from service.kit import errors
from service.network.request import Response
from service.probing import clues
from service.probing.clues import Clue
from service.steps.context import CollectContext

MOST_REQUESTS = 24
SECONDS = 15.0


class Exhausted(Exception):
    """No more may be asked. The message says why."""


@dataclass
class Verdict:
    """The pagination that was found to hold (``none`` where there is none), how that is known, and what was tried."""

    kind: Kind = field(default_factory=pagination.Single)
    type: str = "none"
    verified: bool = False
    how: str = ""
    tried: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Trials:
    """Trials over one source. ``fetch`` asks for a page, ``read`` finds its records."""

    def __init__(
        self,
        ctx: CollectContext,
        fetch: Callable[[Next], Awaitable[Response]],
        read: Callable[[Response, int], PageBody],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ctx, self._fetch, self._read, self._clock = ctx, fetch, read, clock
        self._until = clock() + SECONDS
        self._answers: dict[tuple[str | None, tuple[tuple[str, str], ...]], Response] = {}
        self._first: PageBody | None = None
        self._empty: list[str] = []

    async def verdict(self, answer: Response, params: Mapping[str, Any]) -> Verdict:
        """How the pages after ``answer`` are asked for, which came without a pagination; ``params`` are its address's.

        Raises what ``read`` raises for the first page.
        """
        found = Verdict()
        self._answers[None, ()] = answer
        self._first = first = self._read(answer, 0)
        beside = clues.scalars(first.document)
        if not first.count:
            found.how = "there are no records, so no second page could be told from the first"
            return found
        try:
            await self._search(answer, beside, params, found)
        except Exhausted as error:
            found.notes.append(str(error))
        if not found.verified:
            self._explain(found, beside, answer)
        return await self._with_total(found, beside)

    async def _search(
        self, answer: Response, beside: Mapping[str, Any], params: Mapping[str, Any], found: Verdict
    ) -> None:
        first = self._first
        assert first is not None
        for clue in (*clues.named(beside, answer.links), *clues.shown(params)):
            if await self._settles(clue, found):
                return
        if first.document is None:
            return  # other formats than JSON are mostly answered whole: only what the source shows is tried
        for clue in clues.guessed():
            if await self._settles(clue, found):
                return
        if first.count >= 2:
            for clue in self._smaller(params):
                if await self._settles(clue, found):
                    return

    async def _settles(self, clue: Clue, found: Verdict) -> bool:
        said = _said(clue.kind)
        if said in found.tried:
            return False
        found.tried.append(said)
        try:
            held = await self._holds(clue.kind, exact=clue.exact)
        except errors.Permanent:
            return False
        except errors.Transient as error:
            raise Exhausted(f"the source did not answer any more while its pages were tried: {error.message}") from None
        if held is None:
            return False
        kind, how = held
        found.type = str(clue.kind.__struct_config__.tag)
        found.kind, found.verified, found.how = _proposed(kind, self._count), True, f"{clue.why}; {how}"
        if isinstance(kind, pagination.PageNumber | Offset) and kind.start > isinstance(kind, pagination.PageNumber):
            found.notes.append(
                f"the address begins at {kind.start}, and so does the collector: what comes before is left out; "
                "change pagination.start to have it"
            )
        return True

    @property
    def _count(self) -> int:
        return self._first.count if self._first is not None else 0

    async def _holds(self, kind: Kind, *, exact: bool) -> tuple[Kind, str] | None:
        """The kind that leads to a second page (counted from where it begins), and how that is known; or None."""
        first = self._first
        assert first is not None
        if not exact:
            ahead = kind.ahead(1, self._size(kind))
            assert ahead is not None
            second = self._read(await self._asked(ahead), 1)
            if second.packed == first.packed:
                return None
            if not second.count:
                self._empty.append(_said(kind))
                return None
            kind = await self._started(kind) or kind
            start = self._read(await self._asked(kind.first()), 0)
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
        walk = Pages(
            kind, CollectContext("probe", self._ctx.folder, log=self._ctx.log), Evidence(), self._asked, self._read
        )
        return [page async for page in walk.all()]

    async def _started(self, kind: Kind) -> Kind | None:
        """Pages that are counted from 0: page 1 is then not the first one."""
        if not isinstance(kind, pagination.PageNumber) or kind.start != 1 or self._first is None:
            return None
        one = self._read(await self._asked(kind.first()), 0)
        if one.packed == self._first.packed or kind.size:
            return None
        return msgspec.structs.replace(kind, start=0)

    async def _moves(self, kind: Offset, first: PageBody) -> bool:
        """Whether the offset counts records: seen from one record before the second page."""
        if first.count < 2:
            return True
        earlier = kind.ahead(1, first.count - 1)
        assert earlier is not None
        overlap = self._read(await self._asked(earlier), 1)
        return overlap.count > 0 and _rows(overlap)[0] == _rows(first)[-1]

    def _smaller(self, params: Mapping[str, Any]) -> Iterable[Clue]:
        """Everything may have come on one page; asked for half of it, a source that has pages shows a second one."""
        half = (self._count + 1) // 2
        why = f"asked for {half} records a page it has a second one"
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

    async def _asked(self, step: Next) -> Response:
        key = step.url, tuple(sorted(step.params.items()))
        if key not in self._answers:
            if len(self._answers) >= MOST_REQUESTS:
                raise Exhausted(f"after {MOST_REQUESTS} requests the search for a pagination was given up")
            if self._clock() > self._until:
                raise Exhausted(f"after {SECONDS:g} s the search for a pagination was given up")
            self._answers[key] = await self._fetch(step)
        return self._answers[key]

    def _explain(self, found: Verdict, beside: Mapping[str, Any], answer: Response) -> None:
        """Why there is no pagination in the proposal, and what speaks for there being more."""
        if self._empty:
            found.how = f"everything came on the first page: the second one ({self._empty[0]}) is empty"
            found.notes.append(
                f"no second page could be fetched, so pagination is none; {self._empty[0]} seems to be understood"
            )
            return
        found.how = "no way to a second page was found"
        more = [(p, n) for p, n in clues.totals(beside) if n > self._count]
        if more:
            path, number = more[0]
            found.notes.append(
                f"'{path}' says {number} and {self._count} records came: there may be more than this collector fetches;"
                " the source's documentation says how its next page is asked for (pagination)"
            )
        elif "next" in answer.links or any(c.exact for c in clues.named(beside, answer.links)):
            found.notes.append("the answer seems to name a next page, but none could be fetched; see 'tried'")

    async def _with_total(self, found: Verdict, beside: Mapping[str, Any]) -> Verdict:
        """Where the source says how many records there are, if two pages do not speak against it."""
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
        return found


def _proposed(kind: Kind, count: int) -> Kind:
    """What is proposed after a trial with half a page: as many records a page as came by themselves."""
    if isinstance(kind, pagination.PageNumber) and kind.size is not None and kind.size < count:
        return msgspec.structs.replace(kind, size=max(count, 100))
    if isinstance(kind, Offset) and kind.limit is not None and kind.limit < count:
        return msgspec.structs.replace(kind, limit=max(count, 100))
    return kind


def _rows(body: PageBody) -> list[bytes]:
    return body.packed.split(b"\n") if body.packed else []


def _said(kind: Kind) -> str:
    """As it is listed among what was tried: the kind, and the names that it asks by."""
    match kind:
        case pagination.PageNumber(page_param=page, size_param=size):
            return f"page: {page}{f', {size}' if size else ''}"
        case Offset(offset_param=offset, limit_param=limit):
            return f"offset: {offset}, {limit}{'' if kind.limit is None else f'={kind.limit}'}"
        case pagination.Cursor(cursor_path=path, cursor_param=param):
            return f"cursor: {path} as {param}"
        case pagination.NextUrl(next_path=path):
            return f"next_url: {path}"
    return str(kind.__struct_config__.tag)
