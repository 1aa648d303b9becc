"""The probe of one URL: an API, whose paginations are tried, or an HTML page, whose repeated structures are found.

All requests go through the guarded client of the collectors: its egress policy, limits and masking. An HTML page is
analysed only if robots.txt allows it, because the proposed collector obeys robots.txt too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urldefrag, urlsplit, urlunsplit

import msgspec

from service.collectors.api import ApiCollector
from service.collectors.html import page as markup
from service.collectors.html import robots, tables
from service.collectors.html.page import Field, Page
from service.collectors.http_api import answer_errors, page_body, requests
from service.collectors.http_api.authentication import ApiKey, Auth, Bearer, Session
from service.collectors.http_api.csv_body import CsvFormat
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.page_reader import PageReader
from service.collectors.http_api.pagination import Next
from service.collectors.records.json_records import Document
from service.collectors.records.unusable import Unusable
from service.collectors.web import MAX_PAGE_BYTES
from service.kit import errors, placeholders
from service.network.client import Client, Tally
from service.network.request import Request, Response
from service.network.retry import Retry
from service.probing import clues, dialects, sources, structures
from service.probing.sources import STEP, ProbedSource, wrong
from service.probing.trials import Trials, Verdict
from service.steps.context import CollectContext

MAX_BYTES = 32 * 1024 * 1024
"""A larger answer is not analysed."""
PATIENCE_SECONDS = 5.0
"""A site that asks for a longer interval between two requests gets no further requests."""
_TIMEOUT = 10.0
_RETRY = Retry(max_attempts=2, initial_delay_seconds=0.2, max_delay_seconds=2.0)
_ACCEPT = "application/json, text/html;q=0.9, */*;q=0.5"
_LINKS = 3


@dataclass(frozen=True)
class Target:
    """What to probe: a URL and how to request it. ``body`` is the JSON of a POST."""

    url: str
    headers: Mapping[str, str]
    auth: Auth | None
    method: Literal["GET", "POST"] = "GET"
    body: Any = None


async def remote(target: Target, ctx: CollectContext) -> ProbedSource:
    """Probe a URL. Raises ``errors.Transient`` or ``errors.Permanent``."""
    tally = Tally()
    async with Client(ctx, timeout_seconds=_TIMEOUT, retry=_RETRY, field="url", tally=tally) as client:
        found = await _UrlProbe(target, ctx, client).run()
    found.requests = tally.requests
    return found


class _UrlProbe:
    """The probe of one URL in progress."""

    def __init__(self, target: Target, ctx: CollectContext, client: Client) -> None:
        self._target, self._ctx, self._client = target, ctx, client
        self._url, self._headers, self._auth = urldefrag(target.url).url, target.headers, target.auth
        parts = urlsplit(self._url)
        self._endpoint = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        self._params: dict[str, str | list[str]] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            before = self._params.get(name)
            self._params[name] = (
                value if before is None else [*([before] if isinstance(before, str) else before), value]
            )
        self._session = Session(target.auth, ctx, client.fetch)
        self._path: str | None = None
        self._format: sources.SourceFormat = "json"
        self._reader: PageReader | None = None
        self._form: ApiCollector | None = None
        self._delay = 0.0  # seconds between two requests that robots.txt asks for

    async def run(self) -> ProbedSource:
        answer = await self._fetch(Next({}))
        content_type = answer.headers.get("content-type", "").lower()
        try:
            self._format = sources.kind(page_body.unpacked(answer.body, MAX_BYTES), content_type)
            if self._format == "html":
                return await self._page(answer)
            return await self._api(answer, content_type)
        except Unusable as error:
            hint = f" (content type {content_type})" if content_type else ""
            raise wrong(f"{self._endpoint}: {error}{hint}", "url") from None

    async def _fetch(self, step: Next) -> Response:
        auth = await self._session.parts()
        fill = self._ctx.fill_all
        merged = {} if step.url is not None else {**fill(self._params), **step.params}
        pairs = [(n, v) for n, values in merged.items() for v in (values if isinstance(values, list) else [values])]
        home = fill(self._endpoint)
        body = fill(self._target.body)
        if step.body:
            body = requests.with_parameters(body, step.body)
        return await self._client.fetch(
            Request(
                step.url or requests.filled(home, step.path),
                method=self._target.method,
                accept=_ACCEPT,
                params=tuple(pairs),
                headers={**fill(self._headers), **step.headers, **auth.headers},
                auth_params=auth.params,
                content=requests.content(body, compressed=False),
                home=home,
                max_bytes=MAX_BYTES,
                interval=self._delay,
            )
        )

    # an API

    async def _api(self, answer: Response, content_type: str) -> ProbedSource:
        found = ProbedSource(self._format)
        if self._format == "parquet":
            raise Unusable("this is a Parquet file; upload it (PUT /api/v1/files/<path>) and read it by its file_path")
        collector: dict[str, Any] = {"type": "api", "endpoint": self._endpoint}
        if self._format != "json":
            collector["response_format"] = self._format
        if self._format == "csv":
            collector |= self._dialect(page_body.unpacked(answer.body, MAX_BYTES), content_type, found)
            self._form = msgspec.convert(collector, ApiCollector)
            collector |= self._leniency(answer, found)
        self._form = msgspec.convert(collector, ApiCollector)
        if self._target.method == "POST":
            collector |= {"method": "POST", **({} if self._target.body is None else {"body": self._target.body})}
        if self._format == "json":
            document = Document(page_body.utf8(page_body.unpacked(answer.body, MAX_BYTES), content_type))
            self._check_error(document)
            self._path, others = clues.records_path(document)
            sources.mention(found, others)
        trials = Trials(
            self._ctx,
            self._fetch,
            self._read,
            path=self._path,
            body=self._target.body,
            posted=self._target.method == "POST",
        )
        verdict = await trials.verdict(answer, self._params) if self._path != "$" else Verdict(
            how="the answer is one object, so it gives one row"
        )  # fmt: skip
        kind = sources.written(verdict.kind)
        mine = set(verdict.kind.names.get("query", ()))
        params = {name: value for name, value in self._params.items() if name not in mine}
        for name, value in (
            ("params", params), ("headers", dict(self._headers)),
            ("auth", msgspec.to_builtins(self._auth) if self._auth is not None else None),
            ("records_path", self._path), ("pagination", kind if len(kind) > 1 or verdict.verified else None),
        ):  # fmt: skip
            if value:
                collector[name] = value
        found.collector, found.records_path, found.pagination = collector, self._path, verdict
        found.notes += verdict.notes
        found.trial = {"retry": msgspec.to_builtins(_RETRY), "timeout_seconds": _TIMEOUT}
        if verdict.verified:
            found.trial["pagination"] = {**kind, "max_pages": 2}
        return found

    def _check_error(self, document: Document) -> None:
        """Raise ``errors.Permanent`` for an answer that reports an error."""
        reported = answer_errors.reported(document, None)
        if reported is not None:
            self._on_error(reported, 0)

    def _on_error(self, error: str, page: int) -> None:
        text = placeholders.mask(error, list(self._ctx.secrets.values()))
        raise wrong(f"{self._endpoint}: page {page + 1}: the answer reports an error: {text}", "url")

    def _read(self, answer: Response, page: int) -> PageBody:
        if self._reader is None:
            assert self._format in ("json", "ndjson", "csv")
            form = self._form
            self._reader = PageReader(
                self._format, self._path, MAX_BYTES, self._on_error, form.encoding if form is not None else None,
                (form.csv if form is not None else None) or CsvFormat(),
            )  # fmt: skip
        try:
            return self._reader.read(answer, page)
        except Unusable as error:
            raise errors.Permanent(f"page {page + 1}: {error}", step=STEP, field="url") from None

    def _leniency(self, answer: Response, found: ProbedSource) -> dict[str, Any]:
        """The setting that reads a page with malformed rows, if it has any."""
        try:
            self._read(answer, 0)
        except errors.Permanent as error:
            found.notes.append(f"{error.message}; so on_malformed: quarantine is set")
            return {"on_malformed": "quarantine"}
        finally:
            self._reader = None
        return {}

    def _dialect(self, body: bytes, content_type: str, found: ProbedSource) -> dict[str, Any]:
        """The settings for a body of CSV. Raises ``Unusable`` for other text."""
        guess = dialects.guess(body[: sources.HEAD_BYTES], whole=len(body) <= sources.HEAD_BYTES)
        if not guess.even and "csv" not in content_type:
            raise Unusable("this is neither JSON nor CSV nor HTML")
        found.notes += guess.notes
        return guess.settings

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
                "the site's robots.txt does not allow this page, so it was not analysed and no collector is proposed"
            )
            return found
        wants = self._parsed(answer)
        found.tables, found.structures = structures.found_tables(wants), structures.found_structures(wants)
        chosen = _chosen(found)
        if chosen is None:
            found.notes.append(
                "nothing repeats in this page: no table and no list was found; content added by scripts is not in it "
                "(find the API that the scripts call and probe that)"
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
                f"robots.txt asks for {delay:g} s between two requests: no second page was fetched or tried"
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
                found.notes.append("the web collector authenticates by headers only; the proposal omits this auth")
        return own

    async def _next_page(
        self, page: Page, answer: Response, chosen: Mapping[str, Any], rules: robots.Robots
    ) -> Verdict:
        verdict, first = Verdict(how="no link to a next page was found"), _rows(page, chosen)
        for number, (selector, address) in enumerate(structures.next_links(page, answer.url)):
            if number >= _LINKS:
                break
            verdict.tried.append(selector)
            verdict.how = "no candidate link leads to more rows of this kind"
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
    """The settings for the table or the structure with the most content."""
    table = max(((t.rows * len(t.columns), t) for t in found.tables if t.rows > 1), default=None, key=lambda f: f[0])
    best = found.structures[0] if found.structures else None
    if table is not None and (best is None or table[0] >= structures.worth_of(best)):
        return {"table": table[1].selector}
    if best is not None:
        return {"css_selectors": best.css_selectors}
    return {"table": found.tables[0].selector} if found.tables else None


def _rows(page: Page, chosen: Mapping[str, Any]) -> list[Any]:
    """The rows that the proposed settings find in a page."""
    if "table" in chosen:
        return [row for node in page.tree.css(chosen["table"]) for row in tables.read(node, page)[1]]
    given = chosen["css_selectors"]
    containers = page.tree.css(given["container"])
    fields = [
        msgspec.convert(v, Field) if isinstance(v, dict) else Field.of(v) for n, v in given.items() if n != "container"
    ]
    return list(zip(*(page.column(containers, f, absolute=True) for f in fields), strict=True))
