"""Records from a JSON API, page after page.

Pages stay bytes: each is looked at just enough to find and count its records, and they are parsed together in
batches of a few megabytes into Parquet parts (``steps.records``, ``steps.spool``), so memory does not grow with
the number of pages. Which page comes next, and whether all came, is the business of ``pages``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from service.collectors import columns, completeness, formats, headers, pagination
from service.collectors.authentication import ApiKey, Auth, ClientCredentials, Given, Session
from service.collectors.completeness import Completeness, Evidence
from service.collectors.csv import CsvCollector
from service.collectors.formats import Body
from service.collectors.pages import Pages
from service.collectors.pagination import Kind, Next, Short
from service.kit import errors
from service.kit.errors import Problem
from service.steps import http, records
from service.steps.collector import Collector, Declared
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.http import Answer, Client, Request, Tally
from service.steps.polars_frame import PolarsFrame
from service.steps.records import Unusable
from service.steps.retry import Retry
from service.steps.spool import Spool

BATCH_BYTES = 4 * 1024 * 1024
_ACCEPT = {
    "json": "application/json, */*;q=0.5",
    "ndjson": "application/x-ndjson, application/jsonl, */*;q=0.5",
    "csv": "text/csv, */*;q=0.5",
}
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

    endpoint: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, description="URL, http or https.")]
    method: Annotated[Literal["GET", "POST"], msgspec.Meta(description="How the endpoint is asked.")] = "GET"
    headers: Annotated[dict[str, str], msgspec.Meta(description="Sent to the endpoint's own origin only.")] = {}
    params: Annotated[
        dict[str, Scalar | list[Scalar]], msgspec.Meta(description="Query parameters; a list repeats its name.")
    ] = {}
    body: Annotated[
        dict[str, Any] | list[Any] | None, msgspec.Meta(description="JSON body of a POST; pages stay in the query.")
    ] = None
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
    concurrency: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        msgspec.Meta(
            description="Pages fetched at once, where their addresses are known ahead (page, offset); meanwhile all "
            "runs together have no more requests to the host on their way. By default 1 (8 of all runs together)."
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
        dict[str, str], msgspec.Meta(description="Types of columns (after flattening): name to type.")
    ] = {}

    def problems(self) -> Iterable[Problem]:
        if "${" not in self.endpoint:
            wrong = http.fault(self.endpoint)
            if wrong is not None:
                yield Problem("endpoint", wrong)
        if self.body is not None and self.method == "GET":
            yield Problem("body", "a GET has no body; set method to POST, or use params")
        yield from headers.problems(self.headers)
        if isinstance(self.auth, ApiKey) and self.auth.location == "header":
            yield from (Problem("auth.name", p.message) for p in headers.problems({self.auth.name: ""}))
        if isinstance(self.auth, ClientCredentials):
            yield from self.auth.problems()
        kind = pagination.of(self.pagination)
        if isinstance(kind, pagination.Page | pagination.Cursor) and kind.size_param and not kind.size:
            yield Problem("pagination.size", "is required where size_param is given")
        if self.response_format != "json":
            if self.records_path is not None:
                yield Problem("records_path", f"there is none in {self.response_format}; each line is a record")
            if isinstance(kind, pagination.Cursor | pagination.NextUrl) or kind.total_path is not None:
                yield Problem(
                    "pagination", f"looks into the answer, which only json allows, not {self.response_format}"
                )
        if (self.concurrency or 1) > 1 and kind.ahead(1, 1) is None:
            yield Problem("concurrency", "pages are known ahead only with the paginations page and offset")
        yield from columns.problems(self.schema, self.columns)

    def declared(self) -> Declared | None:
        return columns.declared(self.columns, self.schema)

    def outlook(self, ctx: Context) -> dict[str, Any]:
        kind = {k: v for k, v in msgspec.to_builtins(pagination.of(self.pagination)).items() if v is not None}
        auth = msgspec.to_builtins(self.auth).get("type") if self.auth is not None else None
        return {"kind": "http", "method": self.method, "url": self.endpoint.split("?", 1)[0], "pagination": kind,
                "auth": auth, "concurrency": self.concurrency or 1}  # fmt: skip

    async def collect(self, ctx: Context) -> Frame:
        """Fetch every page, and answer a scan of what was spooled.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        return await _Collecting(self, ctx).collect()


class _Collecting:
    """One collection going on."""

    def __init__(self, settings: ApiCollector, ctx: Context) -> None:
        self._settings, self._ctx = settings, ctx
        self._kind = pagination.of(settings.pagination)
        self._endpoint = ctx.fill(settings.endpoint)
        self._spool = Spool(ctx.folder)
        self._mixed: dict[str, str] = {}
        self._files: list[Path] = []
        self._batch: list[tuple[int, bytes]] = []
        self._bytes = 0
        self._path = settings.records_path
        self._found = settings.records_path is not None
        self._evidence = Evidence()
        self._clients: asyncio.Queue[Client] = asyncio.Queue()
        self._session = Session(settings.auth, ctx, self._borrowed)

    async def collect(self) -> Frame:
        settings, ctx, evidence = self._settings, self._ctx, self._evidence
        tally = Tally()
        interval = 1 / settings.requests_per_second if settings.requests_per_second else 0.0
        async with AsyncExitStack() as stack:
            concurrency = settings.concurrency or 1
            for _ in range(concurrency):
                client = Client(
                    ctx, timeout_seconds=settings.timeout_seconds, retry=settings.retry, field="endpoint",
                    interval=interval, at_once=settings.concurrency, tally=tally,
                )  # fmt: skip
                self._clients.put_nowait(await stack.enter_async_context(client))
            pages = Pages(self._kind, ctx, evidence, self._fetch, self._read, concurrency)
            async with aclosing(pages.all()) as every:
                async for page in every:
                    await self._keep(page.number, page.body)
        await self._flush()
        evidence.requests, evidence.retries, evidence.bytes = tally.requests, tally.retries, tally.bytes
        completeness.settle(evidence, ctx, settings.completeness, "completeness")
        ctx.progress(1.0, f"{evidence.rows} records")
        if settings.response_format == "csv":
            return await asyncio.to_thread(self._csv)
        if evidence.rows and not self._spool.schema:
            raise self._permanent(f"the {evidence.rows} records have no fields at all")
        columns.warn_of_conflicts(self._spool, self._mixed, settings.schema, ctx)
        lf = columns.typed(self._spool.scan(), settings.schema, ctx)
        lf = columns.select(lf, settings.columns, ctx)
        return PolarsFrame(lf, ctx.folder, dear=False, row_bytes=self._spool.row_bytes)

    async def _borrowed(self, request: Request) -> Answer:
        client = await self._clients.get()
        try:
            return await client.fetch(request)
        finally:
            self._clients.put_nowait(client)

    async def _fetch(self, step: Next) -> Answer:
        given = await self._session.given()
        try:
            return await self._borrowed(self._request(step, given))
        except errors.Permanent as error:
            if error.details.get("status") != 401 or not await self._session.refused(given):
                raise
        return await self._borrowed(self._request(step, await self._session.given()))

    def _request(self, step: Next, given: Given) -> Request:
        settings, ctx = self._settings, self._ctx
        params = () if step.url is not None else (*_pairs(ctx.fill_all(settings.params)), *step.params.items())
        content = msgspec.json.encode(ctx.fill_all(settings.body)) if settings.body is not None else None
        return Request(
            url=step.url or self._endpoint,
            method=settings.method,
            accept=_ACCEPT[settings.response_format],
            params=params,
            headers={**ctx.fill_all(settings.headers), **given.headers},
            auth_params=given.params,
            content=content,
            home=self._endpoint,
        )

    def _read(self, answer: Answer, page: int) -> Body:
        kind = self._settings.response_format
        try:
            if kind == "ndjson":
                return formats.ndjson(answer.body)
            if kind == "csv":
                return formats.csv(answer.body)
            body, self._path = formats.json(answer.body, self._path, found=self._found)
            self._found = self._found or body.count > 0  # nothing says which of several empty arrays it is
            return body
        except Unusable as error:
            said = answer.headers.get("content-type", "")
            hint = f" (content type {said})" if said and kind not in said else ""
            field = "records_path" if kind == "json" else "response_format"
            raise self._permanent(f"page {page + 1}: {error}{hint}", field=field) from None

    async def _keep(self, page: int, body: Body) -> None:
        if not body.count:
            return
        self._ctx.collected(body.count)
        self._batch.append((page, body.packed))
        self._bytes += len(body.packed)
        rows, total = self._evidence.rows, self._evidence.declared_total
        share = rows / total if total else 1 - 1 / (2 + page)
        self._ctx.progress(min(share, 0.99), f"{rows} records from {page + 1} pages")
        if self._bytes >= BATCH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        if not self._batch:
            return
        batch, self._batch, self._bytes = self._batch, [], 0
        await asyncio.to_thread(self._write, batch)

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        if self._settings.response_format == "csv":
            for page, packed in batch:
                path = self._ctx.folder / f"page-{page + 1:06d}.csv"
                path.write_bytes(packed)
                self._files.append(path)
            return
        flatten = self._settings.flatten
        try:
            mixed: set[str] = set()
            where = f"page {batch[0][0] + 1}" if len(batch) == 1 else f"pages {batch[0][0] + 1} to {batch[-1][0] + 1}"
            joined = b"\n".join(packed for _, packed in batch)
            self._spool.add(*records.table(joined, flatten=flatten, mixed=mixed), label=where)
            for name in mixed:
                self._mixed.setdefault(name, where)
        except Unusable:
            for page, packed in batch:  # which page was it?
                try:
                    self._spool.add(*records.table(packed, flatten=flatten))
                except Unusable as error:
                    raise self._permanent(f"page {page + 1}: {error}") from None

    def _csv(self) -> Frame:
        """The pages as CSV files: surveyed, typed and united like any others."""
        if not self._files:
            lf = columns.typed(self._spool.scan(), self._settings.schema, self._ctx)
            return PolarsFrame(columns.select(lf, self._settings.columns, self._ctx), self._ctx.folder)
        given = CsvCollector(file_path="*.csv", schema=self._settings.schema, columns=self._settings.columns)
        return given.read(self._files, self._ctx)

    def _permanent(self, text: str, field: str = "endpoint") -> errors.Permanent:
        shown = self._settings.endpoint.split("?", 1)[0]
        return errors.Permanent(f"{shown}: {text}", step=self._ctx.step, field=field)


def _pairs(params: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in params.items():
        for item in value if isinstance(value, list) else [value]:
            yield name, str(item).lower() if isinstance(item, bool) else str(item)
