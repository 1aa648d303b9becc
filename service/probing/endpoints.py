"""Endpoints: the look at one URL: an API, whose pages are tried out, or a page, whose structures are.

Everything is asked with the guarded client of every collector: its egress policy, its limits, its masking. A page of
HTML is looked into only where robots.txt lets us, because the proposed collector would keep to it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urlsplit, urlunsplit

import msgspec

from service.collectors.html import page as markup
from service.collectors.html import robots, tables
from service.collectors.html.page import Field, Page
from service.collectors.http_api import page_body
from service.collectors.http_api.authentication import ApiKey, Auth, Bearer, Session
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.pagination import Next
from service.collectors.records.json_records import Document, Unusable
from service.collectors.web import MAX_PAGE_BYTES
from service.kit import errors
from service.network.client import Client, Tally
from service.network.request import Request, Response
from service.network.retry import Retry
from service.probing import clues, dialects, sources, structures
from service.probing.sources import STEP, ProbedSource, wrong
from service.probing.trials import Trials, Verdict
from service.steps.context import CollectContext

MAX_BYTES = 32 * 1024 * 1024
"""A larger answer is not looked into."""
PATIENCE_SECONDS = 5.0
"""A site that wants more time between two requests is asked no more than it must."""
_TIMEOUT = 10.0
_RETRY = Retry(max_attempts=2, initial_delay_seconds=0.2, max_delay_seconds=2.0)
_ACCEPT = "application/json, text/html;q=0.9, */*;q=0.5"
_LINKS = 3


async def remote(url: str, headers: Mapping[str, str], auth: Auth | None, ctx: CollectContext) -> ProbedSource:
    """A look at a URL. Raises ``errors.Transient`` or ``errors.Permanent``."""
    tally = Tally()
    async with Client(ctx, timeout_seconds=_TIMEOUT, retry=_RETRY, field="url", tally=tally) as client:
        found = await _Look(url, headers, auth, ctx, client).found()
    found.requests = tally.requests
    return found


class _Look:
    """One look going on."""

    def __init__(
        self, url: str, headers: Mapping[str, str], auth: Auth | None, ctx: CollectContext, client: Client
    ) -> None:
        self._url, self._headers, self._auth, self._ctx, self._client = urldefrag(url).url, headers, auth, ctx, client
        parts = urlsplit(self._url)
        self._endpoint = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        self._params: dict[str, str | list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            before = self._params.get(name)
            self._params[name] = (
                value if before is None else [*([before] if isinstance(before, str) else before), value]
            )
        self._session = Session(auth, ctx, client.fetch)
        self._path: str | None = None
        self._format = ""
        self._delay = 0.0  # what robots.txt wants between two requests

    async def found(self) -> ProbedSource:
        answer = await self._fetch(Next({}))
        said = answer.headers.get("content-type", "").lower()
        try:
            self._format = sources.kind(answer.body, said)
            if self._format == "html":
                return await self._page(answer)
            return await self._api(answer, said)
        except Unusable as error:
            hint = f" (content type {said})" if said else ""
            raise wrong(f"{self._endpoint}: {error}{hint}", "url") from None

    async def _fetch(self, step: Next) -> Response:
        given = await self._session.given()
        fill = self._ctx.fill_all
        merged = {} if step.url is not None else {**fill(self._params), **step.params}
        pairs = [(n, v) for n, values in merged.items() for v in (values if isinstance(values, list) else [values])]
        home = fill(self._endpoint)
        return await self._client.fetch(
            Request(
                step.url or home,
                accept=_ACCEPT,
                params=tuple(pairs),
                headers={**fill(self._headers), **given.headers},
                auth_params=given.params,
                home=home,
                max_bytes=MAX_BYTES,
                interval=self._delay,
            )
        )

    # an API

    async def _api(self, answer: Response, said: str) -> ProbedSource:
        found = ProbedSource(self._format)
        if self._format == "parquet":
            raise Unusable("this is a Parquet file; upload it (PUT /api/v1/files/<path>) and read it by its file_path")
        if self._format == "csv":
            self._check_csv(answer.body, said)
        collector: dict[str, Any] = {"type": "api", "endpoint": self._endpoint}
        if self._format == "json":
            self._path, others = clues.records_path(Document(answer.body))
            sources.mention(found, others)
        trials = Trials(self._ctx, self._fetch, self._read)
        verdict = await trials.verdict(answer, self._params) if self._path != "$" else Verdict(
            how="the answer is one object; its rows would be one"
        )  # fmt: skip
        kind = sources.written(verdict.kind)
        mine = {kind.get(name) for name in ("page_param", "size_param", "offset_param", "limit_param", "cursor_param")}
        params = {name: value for name, value in self._params.items() if name not in mine}
        for name, value in (
            ("params", params), ("headers", dict(self._headers)),
            ("auth", msgspec.to_builtins(self._auth) if self._auth is not None else None),
            ("records_path", self._path), ("pagination", kind if len(kind) > 1 or verdict.verified else None),
            ("response_format", self._format if self._format != "json" else None),
        ):  # fmt: skip
            if value:
                collector[name] = value
        found.collector, found.records_path, found.pagination = collector, self._path, verdict
        found.notes += verdict.notes
        found.trial = {"retry": msgspec.to_builtins(_RETRY), "timeout_seconds": _TIMEOUT}
        if verdict.verified:
            found.trial["pagination"] = {**kind, "max_pages": 2}
        return found

    def _read(self, answer: Response, page: int) -> PageBody:
        try:
            if self._format == "ndjson":
                return page_body.ndjson(answer.body)
            if self._format == "csv":
                return page_body.csv(answer.body)
            return page_body.json(answer.body, self._path, found=True)[0]
        except Unusable as error:
            raise errors.Permanent(f"page {page + 1}: {error}", step=STEP, field="url") from None

    def _check_csv(self, body: bytes, said: str) -> None:
        """Refuse what the api collector cannot read as CSV."""
        guess = dialects.guess(body[: sources.HEAD_BYTES], whole=len(body) <= sources.HEAD_BYTES)
        if not guess.even and "csv" not in said:
            raise Unusable("this is neither JSON nor CSV nor HTML")
        if guess.settings:
            settings = ", ".join(f"{name}: {value!r}" for name, value in guess.settings.items())
            raise Unusable(
                f"this is CSV written in a way that only the csv collector reads ({settings}); upload it "
                "(PUT /api/v1/files/<path>) and probe it by its file_path"
            )

    # a page

    async def _page(self, answer: Response) -> ProbedSource:
        found = ProbedSource("html")
        if len(answer.body) > MAX_PAGE_BYTES:
            raise Unusable(f"the page is larger than {MAX_PAGE_BYTES >> 20} MiB")
        rules = robots.Robots(self._client.fetch)
        delay = await rules.delay(answer.url)
        allowed = await rules.allows(self._ctx.fill(self._url)) and await rules.allows(answer.url)
        found.robots = allowed, delay
        if not allowed:
            found.notes.append(
                "the site's robots.txt does not allow this page, so it was not looked into and no collector is proposed"
            )
            return found
        wants = self._parsed(answer)
        found.tables, found.structures = structures.found_tables(wants), structures.found_structures(wants)
        chosen = _chosen(found)
        if chosen is None:
            found.notes.append(
                "nothing repeats in this page: no table and no list was found; content made by scripts is not in it "
                "(look for the API that they ask, and probe that)"
            )
            return found
        collector: dict[str, Any] = {"type": "web", "url": self._url, **chosen}
        own = self._web_headers(found)
        if own:
            collector["headers"] = own
        found.collector = collector
        found.tried = delay <= PATIENCE_SECONDS
        if found.tried:
            self._delay = delay
            found.pagination = await self._next_page(wants, answer, chosen, rules)
            if found.pagination.verified:
                collector["next_page"] = found.pagination.tried[-1]
                found.trial["max_pages"] = 2
        else:
            found.notes.append(
                f"robots.txt wants {delay:g} s between two requests: no second page was fetched, and nothing was tried"
            )
        found.trial |= {"retry": msgspec.to_builtins(_RETRY), "timeout_seconds": _TIMEOUT}
        return found

    def _parsed(self, answer: Response) -> Page:
        hostile = markup.hostile(answer.body)
        if hostile is not None:
            raise Unusable(f"the page is refused: {hostile}")
        return Page.of(answer)

    def _web_headers(self, found: ProbedSource) -> dict[str, str]:
        own = dict(self._headers)
        match self._auth:
            case Bearer(token=token):
                own["Authorization"] = f"Bearer {token}"
            case ApiKey(key=key, name=name, location="header"):
                own[name] = key
            case None:
                pass
            case _:
                found.notes.append("the web collector has no auth but headers, so this login is not in the proposal")
        return own

    async def _next_page(
        self, page: Page, answer: Response, chosen: Mapping[str, Any], rules: robots.Robots
    ) -> Verdict:
        verdict, first = Verdict(how="no link to a next page was found"), _rows(page, chosen)
        for number, (selector, address) in enumerate(structures.next_links(page, answer.url)):
            if number >= _LINKS:
                break
            verdict.tried.append(selector)
            verdict.how = "none of the links that look like it leads to more rows of this kind"
            try:
                if not await rules.allows(address):
                    continue
                following = await self._fetch(Next({}, address))
                rows = _rows(self._parsed(following), chosen)
            except (errors.Permanent, Unusable):
                continue
            except errors.Transient as error:
                verdict.notes.append(error.message)
                break
            if rows and rows != first:
                verdict.verified, verdict.type = True, "next_page"
                verdict.how = f"'{selector}' leads to a page that was fetched and has {len(rows)} other rows"
                break
        return verdict


def _chosen(found: ProbedSource) -> dict[str, Any] | None:
    """The settings for the table or the structure that says most."""
    table = max(((t.rows * len(t.columns), t) for t in found.tables if t.rows > 1), default=None, key=lambda f: f[0])
    best = found.structures[0] if found.structures else None
    if table is not None and (best is None or table[0] >= structures.worth_of(best)):
        return {"table": table[1].selector}
    if best is not None:
        return {"css_selectors": best.css_selectors}
    return {"table": found.tables[0].selector} if found.tables else None


def _rows(page: Page, chosen: Mapping[str, Any]) -> list[Any]:
    """What the proposed settings find in a page."""
    if "table" in chosen:
        return [row for node in page.tree.css(chosen["table"]) for row in tables.read(node)[1]]
    given = chosen["css_selectors"]
    containers = page.tree.css(given["container"])
    fields = [
        msgspec.convert(v, Field) if isinstance(v, dict) else Field.of(v) for n, v in given.items() if n != "container"
    ]
    return list(zip(*(page.column(containers, f, absolute=True) for f in fields), strict=True))
