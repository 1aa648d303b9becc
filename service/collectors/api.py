"""Records from a JSON API, page after page.

Pages stay bytes: each is looked at just enough to find and count its records, and they are parsed together in
batches of a few megabytes into Parquet parts (``batches``, ``collectors.records.spool``), so memory does not grow with
the number of pages. Which page comes next, and whether all came, is the business of ``pages``; what is asked for a
parent at a time of ``children``; what came in earlier runs of ``merge``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec

from service.collectors.csv_file import type_inference
from service.collectors.fetching import completeness, headers
from service.collectors.fetching.client_pool import Clients
from service.collectors.fetching.completeness import Completeness, Evidence
from service.collectors.http_api import for_each as children
from service.collectors.http_api import incremental, page_body, pagination, requests
from service.collectors.http_api.authentication import ApiKey, Auth, ClientCredentials, Session
from service.collectors.http_api.for_each import ForEach, RecordList
from service.collectors.http_api.incremental import Incremental, PrimaryKey
from service.collectors.http_api.merge import Accumulation
from service.collectors.http_api.page_batches import Batches
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.page_walk import FetchedPage, Pages
from service.collectors.http_api.pagination import Kind, Short
from service.collectors.http_api.requests import Asking
from service.collectors.records import schema as record_schema
from service.collectors.records.json_records import Unusable
from service.collectors.records.spool import Spool
from service.kit import errors
from service.kit.errors import Problem
from service.network import request
from service.network.request import Response
from service.network.retry import Retry
from service.steps.collector import Collector, Declared, Parent
from service.steps.context import CollectContext
from service.steps.frame import Frame

_ACCEPT = {
    "json": "application/json, */*;q=0.5",
    "ndjson": "application/x-ndjson, application/jsonl, */*;q=0.5",
    "csv": "text/csv, */*;q=0.5",
}
_NO_CONTENT = 204
Scalar = str | int | float | bool


class ApiCollector(Collector, frozen=True, kw_only=True, tag="api"):
    """Rows from an HTTP API that answers JSON: the records of every page, nested objects as ``a_b`` columns."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "api",
        "endpoint": "https://api.example.com/v1/orders",
        "headers": {"X-Client": "penstock"},
        "params": {"status": "paid"},
        "auth": {"type": "bearer", "token": "${SHOP_TOKEN}"},
        "records_path": "data.items",
        "pagination": {"type": "page", "page_param": "page", "size_param": "per_page", "size": 100},
        "schema": {"id": "int64", "created_at": "datetime[UTC]"},
    }

    endpoint: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=4096,
            description="URL, http or https; with for_each also relative to the parent's.",
        ),
    ]
    method: Annotated[Literal["GET", "POST"], msgspec.Meta(description="How the endpoint is asked.")] = "GET"
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to the endpoint's own origin only.")] = {}
    params: Annotated[
        dict[str, Scalar | list[Scalar]], msgspec.Meta(description="Query parameters; a list repeats its name.")
    ] = {}
    body: Annotated[
        dict[str, Any] | list[Any] | None, msgspec.Meta(description="JSON body of a POST; pages stay in the query.")
    ] = None
    compress_body: Annotated[bool, msgspec.Meta(description="Send the body with Content-Encoding: gzip.")] = False
    auth: Annotated[
        Auth | None,
        msgspec.Meta(description="bearer, basic, api_key (in a header or the query) or oauth2_client_credentials."),
    ] = None
    records_path: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="Where the records are, e.g. 'data.items'; '$': the answer itself; by default found at the top."
        ),
    ] = None
    pagination: Annotated[
        Kind | Short, msgspec.Meta(description="none, page, offset, cursor, next_url or link_header.")
    ] = "none"
    for_each: Annotated[
        ForEach | None, msgspec.Meta(description="One list of records for each row of another collector.")
    ] = None
    incremental: Annotated[
        Incremental | None,
        msgspec.Meta(
            description="Ask only for what is new since the newest version; a version has the records of all runs."
        ),
    ] = None
    primary_key: PrimaryKey = None
    concurrency: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        msgspec.Meta(
            description="Pages fetched at once, where their addresses are known ahead (page, offset), or parents with "
            "for_each; meanwhile all runs together have no more requests to the host on their way. By default 1 (8 of "
            "all runs together)."
        ),
    ] = None
    requests_per_second: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=1000)] | None,
        msgspec.Meta(description="To this host, at most, by all runs."),
    ] = None
    response_format: Annotated[
        Literal["json", "ndjson", "csv"], msgspec.Meta(description="What a page is: JSON, one object a line, or CSV.")
    ] = "json"
    completeness: Annotated[
        Completeness, msgspec.Meta(description="Fewer records than the source's total: a warning, or an error.")
    ] = "warn"
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600, description="For one attempt, body included.")] = 30.0
    retry: Annotated[Retry, msgspec.Meta(description="When and how often to try again.")] = Retry()
    flatten: Annotated[bool, msgspec.Meta(description="Nested objects become a_b columns; lists stay lists.")] = True
    columns: Annotated[
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Keep these columns (after flattening), in this order; one that never comes is null."),
    ] = None
    schema: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Types of columns (after flattening): name to type. A value that does not fit fails with its "
            "page; a single value becomes a list of one where a list is named."
        ),
    ] = {}

    def spelled_out(self) -> Self:
        return msgspec.structs.replace(self, pagination=pagination.of(self.pagination))

    def problems(self) -> Iterable[Problem]:
        if "${" not in self.endpoint and (self.for_each is None or "://" in self.endpoint):
            wrong = request.fault(
                self.endpoint if self.for_each is None else children.PLACEHOLDER.sub("x", self.endpoint)
            )
            if wrong is not None:
                yield Problem("endpoint", wrong)
        if self.for_each is not None:
            yield from self.for_each.problems(self.endpoint, self.params)
        if self.incremental is not None:
            yield from self.incremental.problems(self.params)
        elif self.primary_key is not None:
            yield Problem(
                "primary_key", "tells records of several runs apart, with incremental; within one, use drop_duplicates"
            )
        if self.body is not None and self.method == "GET":
            yield Problem("body", "a GET has no body; set method to POST, or use params")
        if self.compress_body and self.body is None:
            yield Problem("compress_body", "there is no body")
        yield from headers.problems(self.headers)
        if isinstance(self.auth, ApiKey) and self.auth.location == "header":
            yield from (Problem("auth.name", p.message) for p in headers.problems({self.auth.name: ""}))
        if isinstance(self.auth, ClientCredentials):
            yield from self.auth.problems()
        kind = pagination.of(self.pagination)
        if isinstance(kind, pagination.PageNumber | pagination.Cursor) and kind.size_param and not kind.size:
            yield Problem("pagination.size", "is required where size_param is given")
        if self.response_format != "json":
            if self.records_path is not None:
                yield Problem("records_path", f"there is none in {self.response_format}; each line is a record")
            if isinstance(kind, pagination.Cursor | pagination.NextUrl) or kind.total_path is not None:
                yield Problem(
                    "pagination", f"looks into the answer, which only json allows, not {self.response_format}"
                )
        if (self.concurrency or 1) > 1 and kind.ahead(1, 1) is None and self.for_each is None:
            yield Problem("concurrency", "pages are known ahead only with the paginations page and offset")
        yield from record_schema.problems(self.schema, self.columns)

    def declared(self) -> Declared | None:
        return record_schema.declared(self.kept, self.schema)

    def parent(self) -> Parent | None:
        given = self.for_each
        if given is None:
            return None
        return Parent(given.collector, given.columns, "for_each.collector", given.keep_parents)

    def address(self) -> str | None:
        return self.endpoint

    @property
    def kept(self) -> list[str] | None:
        """All columns that are kept, those of the parent among them."""
        if self.columns is None or self.for_each is None:
            return self.columns
        return [*self.columns, *(n for n in self.for_each.taken.values() if n not in self.columns)]

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        kind = {k: v for k, v in msgspec.to_builtins(pagination.of(self.pagination)).items() if v is not None}
        auth = msgspec.to_builtins(self.auth).get("type") if self.auth is not None else None
        above = {} if self.for_each is None else {"for_each": self.for_each.collector}
        since = {} if self.incremental is None else {"incremental": self.incremental.param}
        return {"kind": "http", "method": self.method, "url": self.endpoint.split("?", 1)[0], "pagination": kind,
                "auth": auth, "concurrency": self.concurrency or 1, **above, **since}  # fmt: skip

    async def collect(self, ctx: CollectContext) -> Frame:
        """Fetch every page, and answer a scan of what was spooled.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        return await _Collecting(self, ctx).collect()


_DEPENDS = (
    "endpoint", "method", "params", "body", "records_path", "response_format", "flatten", "for_each", "incremental",
    "primary_key",
)  # fmt: skip
"""The settings that say which records there are, and what they look like."""


class _Collecting:
    """One collection going on."""

    def __init__(self, settings: ApiCollector, ctx: CollectContext) -> None:
        self._settings, self._ctx = settings, ctx
        self._kind = pagination.of(settings.pagination)
        self._path = settings.records_path
        self._found = settings.records_path is not None
        self._pages = self._rows = 0
        self._sum = completeness.EvidenceTotal(ctx, settings.completeness)
        self._memory: Accumulation | None = None
        if settings.incremental is not None:
            asked = {name: getattr(settings, name) for name in _DEPENDS}
            asked["incremental"] = msgspec.structs.replace(settings.incremental, lookback=0.0)
            if settings.for_each is not None:
                asked["for_each"] = msgspec.structs.replace(settings.for_each, on_missing="fail", keep_parents=False)
            key = incremental.keys(settings.incremental.primary_key, settings.primary_key)
            theirs = settings.for_each.taken.values() if settings.for_each is not None else ()
            self._memory = Accumulation(settings.incremental, key, asked, ctx, tuple(theirs))

    async def collect(self) -> Frame:
        settings, ctx, memory = self._settings, self._ctx, self._memory
        listings, added = await asyncio.to_thread(
            children.listings, settings.for_each, settings.endpoint, settings.params, ctx
        )
        spool = memory.spool() if memory is not None else Spool(ctx.folder)
        batches = Batches(
            spool, ctx, csv=settings.response_format == "csv", flatten=settings.flatten, added=added,
            traced=memory is not None, schema=settings.schema,
        )  # fmt: skip
        clients = Clients(
            ctx, limit=settings.concurrency, timeout_seconds=settings.timeout_seconds, retry=settings.retry,
            interval=1 / settings.requests_per_second if settings.requests_per_second else 0.0, field="endpoint",
        )  # fmt: skip
        kind = settings.response_format
        async with clients, self._counting(clients):
            walk = self._walk(Asking(
                clients, Session(settings.auth, ctx, clients.fetch), settings.method, _ACCEPT[kind],
                _headers(settings, ctx),
                requests.content(ctx.fill_all(settings.body), compressed=settings.compress_body),
                None if kind == "csv" else lambda body: page_body.whole(body, kind),
            ))  # fmt: skip
            at_once = (settings.concurrency or 1) if settings.for_each is not None else 1
            async with aclosing(children.in_order(listings, at_once, walk)) as every:
                async for listing, page in every:
                    await batches.keep(listing, page.number, page.body)
                    self._notice(listing, page, len(listings))
                    if ctx.wanted_rows is not None and self._rows >= ctx.wanted_rows:
                        break
            await batches.flush()
        self._sum.finish(several=settings.for_each is not None)
        ctx.progress(1.0, f"{self._sum.evidence.rows} records")
        if memory is not None:
            spool = await asyncio.to_thread(memory.finish, spool, self._sum.cut)
        return self._frame(spool, batches)

    @asynccontextmanager
    async def _counting(self, clients: Clients) -> AsyncIterator[None]:
        """What it cost is known afterwards, whatever came of it."""
        try:
            yield
        except errors.StepError:
            clients.count(self._sum.evidence)
            self._sum.failed()
            raise
        clients.count(self._sum.evidence)

    def _walk(self, asked: Asking) -> Callable[[RecordList], AsyncGenerator[FetchedPage, None]]:
        settings, memory = self._settings, self._memory

        async def walk(listing: RecordList) -> AsyncGenerator[FetchedPage, None]:
            evidence, extra = Evidence(stop_reason="sampled"), list[tuple[str, str]]()
            if memory is not None and settings.incremental is not None:
                start = memory.start(listing.key)
                extra = [(settings.incremental.param, str(start))] if start is not None else []
            fetch = asked.fetch(listing, extra)
            ahead = (settings.concurrency or 1) if settings.for_each is None else 1
            pages = Pages(self._kind, self._ctx, evidence, fetch, self._read, ahead)
            try:
                async with aclosing(pages.all()) as every:
                    async for page in every:
                        yield page
            except errors.Permanent as error:
                evidence.stop_reason = completeness.FAILED
                missing = not evidence.pages and error.details.get("status") in (404, 410)
                if not missing or settings.for_each is None or settings.for_each.on_missing == "fail":
                    raise
                evidence.stop_reason = "missing"
            finally:
                self._sum.add(evidence, listing.key, listing.said)

        return walk

    def _read(self, answer: Response, page: int) -> PageBody:
        kind = self._settings.response_format
        if answer.status == _NO_CONTENT:
            return PageBody(0, b"")
        content = page_body.utf8(answer.body, answer.headers.get("content-type", ""))
        try:
            if kind == "ndjson":
                return page_body.ndjson(content)
            if kind == "csv":
                return page_body.csv(content, answer.headers.get("content-type", ""))
            body, self._path = page_body.json(content, self._path, found=self._found)
            self._found = self._found or body.count > 0  # nothing says which of several empty arrays it is
            return body
        except Unusable as error:
            said = answer.headers.get("content-type", "")
            hint = f" (content type {said})" if said and kind not in said else ""
            field = "records_path" if kind == "json" else "response_format"
            raise self._permanent(f"page {page + 1}: {error}{hint}", field=field) from None

    def _notice(self, listing: RecordList, page: FetchedPage, lists: int) -> None:
        self._pages, self._rows = self._pages + 1, self._rows + page.body.count
        self._ctx.collected(page.body.count)
        if listing.number is not None:
            share = listing.number / lists
        else:
            share = self._rows / page.total if page.total else 1 - 1 / (2 + page.number)
        self._ctx.progress(min(share, 0.99), f"{self._rows} records from {self._pages} pages")

    def _frame(self, spool: Spool, batches: Batches) -> Frame:
        settings, ctx = self._settings, self._ctx
        present = [name for name in spool.schema if name != children.PARENT]
        if spool.rows and not present:
            raise self._permanent(f"the {spool.rows} records have no fields at all")
        ctx.add_blank_columns(record_schema.empty_columns(spool, settings.schema))
        record_schema.warn_of_conflicts(spool, batches.mixed, settings.schema, settings.kept, ctx)
        lf = spool.scan().select(present)
        if settings.response_format == "csv":
            lf = type_inference.infer_and_cast(lf, [spool.part(i) for i in range(len(spool.parts))], settings.schema)
        lf = record_schema.cast_columns(lf, settings.schema, ctx)
        lf = record_schema.select(lf, settings.kept, ctx)
        return ctx.frame(lf, expensive=False, row_bytes=spool.row_bytes)

    def _permanent(self, text: str, field: str = "endpoint") -> errors.Permanent:
        shown = self._settings.endpoint.split("?", 1)[0]
        return errors.Permanent(f"{shown}: {text}", step=self._ctx.step, field=field)


def _headers(settings: ApiCollector, ctx: CollectContext) -> dict[str, str]:
    encoding = {"content-encoding": "gzip"} if settings.compress_body else {}
    return {**ctx.fill_all(settings.headers), **encoding}
