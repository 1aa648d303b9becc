"""Records from a JSON API, page after page.

Pages stay bytes: each is looked at just enough to find and count its records, and they are parsed together in
batches of a few megabytes into Parquet parts (``steps.records``, ``steps.spool``), so memory does not grow with
the number of pages. One client with one connection fetches them in order.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import httpx
import msgspec

from service.collectors import columns, headers, pagination
from service.collectors.authentication import ApiKey, Auth, Given
from service.collectors.pagination import Kind, Next, Page, Seen, Short
from service.kit import errors
from service.kit.errors import Problem
from service.steps import http, records
from service.steps.collector import Collector
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.http import Answer, Client, Request
from service.steps.polars_frame import PolarsFrame
from service.steps.records import Document, Unusable
from service.steps.retry import Retry
from service.steps.spool import Spool

BATCH_BYTES = 4 * 1024 * 1024
_REMEMBERED = 1000  # pages back that a repetition is noticed
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
    auth: Annotated[Auth | None, msgspec.Meta(description="bearer, basic, or api_key in a header or the query.")] = None
    records_path: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Where the records are, e.g. 'data.items'; by default found at the top."),
    ] = None
    pagination: Annotated[Kind | Short, msgspec.Meta(description="none, page, offset or link_header.")] = "none"
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600, description="For one attempt, body included.")] = 30.0
    retry: Annotated[Retry, msgspec.Meta(description="When and how often to try again.")] = Retry()
    flatten: Annotated[bool, msgspec.Meta(description="Nested objects become a_b columns; lists stay lists.")] = True
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
        if isinstance(self.pagination, Page) and self.pagination.size_param and not self.pagination.size:
            yield Problem("pagination.size", "is required where size_param is given")
        yield from columns.problems(self.schema)

    async def collect(self, ctx: Context) -> Frame:
        """Fetch every page, and answer a scan of what was spooled.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        async with Client(ctx, timeout_seconds=self.timeout_seconds, retry=self.retry, field="endpoint") as client:
            return await _Pages(self, ctx, client).collect()


class _Pages:
    """One collection going on."""

    def __init__(self, settings: ApiCollector, ctx: Context, client: Client) -> None:
        self._settings, self._ctx, self._client = settings, ctx, client
        self._kind = pagination.of(settings.pagination)
        self._endpoint = ctx.fill(settings.endpoint)
        self._spool = Spool(ctx.folder)
        self._batch: list[tuple[int, bytes]] = []
        self._bytes = 0
        self._path = settings.records_path
        self._found = settings.records_path is not None
        self._collected = 0
        self._total: int | None = None

    async def collect(self) -> Frame:
        given = self._settings.auth.given(self._ctx) if self._settings.auth is not None else Given()
        seen_pages: deque[bytes] = deque(maxlen=_REMEMBERED)
        step: Next | None = self._kind.first()
        page = 0
        while step is not None and (self._kind.max_pages is None or page < self._kind.max_pages):
            answer = await self._client.fetch(self._request(step, given))
            found, document = self._records(answer, page)
            packed = records.lines(found)
            mark = _digest(packed if found else (step.url or "").encode())
            if (found or step.url) and mark in seen_pages:
                self._ctx.warn("page_repeated", f"page {page + 1} repeats an earlier one; collecting ends there")
                break
            if not found and not isinstance(self._kind, pagination.LinkHeader):
                break
            seen_pages.append(mark)
            await self._keep(page, packed, len(found))
            step = self._kind.after(self._seen(page, len(found), document, answer))
            page += 1
        await self._flush()
        if self._total is not None and self._collected != self._total and self._kind.max_pages is None:
            self._ctx.warn(
                "total_differs", f"the source says it has {self._total} records and gave {self._collected}",
                total=self._total, collected=self._collected,
            )  # fmt: skip
        if self._collected and not self._spool.schema:
            raise self._permanent(f"the {self._collected} records have no fields at all")
        self._ctx.progress(1.0, f"{self._collected} records")
        return PolarsFrame(
            columns.typed(self._spool.scan(), self._settings.schema, self._ctx), self._ctx.folder, dear=False
        )

    def _request(self, step: Next, given: Given) -> Request:
        settings, ctx = self._settings, self._ctx
        params = () if step.url is not None else (*_pairs(ctx.fill_all(settings.params)), *step.params.items())
        content = msgspec.json.encode(ctx.fill_all(settings.body)) if settings.body is not None else None
        return Request(
            url=step.url or self._endpoint,
            method=settings.method,
            accept="application/json, */*;q=0.5",
            params=params,
            headers={**ctx.fill_all(settings.headers), **given.headers},
            auth_params=given.params,
            content=content,
            home=self._endpoint,
        )

    def _records(self, answer: Answer, page: int) -> tuple[list[msgspec.Raw], Document]:
        try:
            document = Document(answer.body)
            if not self._found:
                self._path, self._found = document.path(), True
            return document.records(self._path), document
        except Unusable as error:
            kind = answer.headers.get("content-type", "")
            hint = f" (content type {kind})" if kind and "json" not in kind else ""
            raise self._permanent(f"page {page + 1}: {error}{hint}", field="records_path") from None

    def _seen(self, page: int, count: int, document: Document, answer: Answer) -> Seen:
        if self._kind.counts is not None:
            total = document.number(self._kind.counts)
            if total is None and self._total is None:
                self._ctx.warn("no_total", f"page {page + 1} has no number at '{self._kind.counts}' (total_path)")
            self._total = total if total is not None else self._total
        link = answer.next_url if isinstance(self._kind, pagination.LinkHeader) else None
        if link is not None and httpx.URL(link) == httpx.URL(answer.url):
            link = None
        return Seen(page, count, self._collected, self._total, link)

    async def _keep(self, page: int, packed: bytes, count: int) -> None:
        if not count:
            return
        self._collected += count
        self._ctx.collected(count)
        self._batch.append((page, packed))
        self._bytes += len(packed)
        share = self._collected / self._total if self._total else 1 - 1 / (2 + page)
        self._ctx.progress(min(share, 0.99), f"{self._collected} records from {page + 1} pages")
        if self._bytes >= BATCH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        if not self._batch:
            return
        batch, self._batch, self._bytes = self._batch, [], 0
        await asyncio.to_thread(self._write, batch)

    def _write(self, batch: list[tuple[int, bytes]]) -> None:
        flatten = self._settings.flatten
        try:
            self._spool.add(*records.table(b"\n".join(packed for _, packed in batch), flatten=flatten))
        except Unusable:
            for page, packed in batch:  # which page was it?
                try:
                    self._spool.add(*records.table(packed, flatten=flatten))
                except Unusable as error:
                    raise self._permanent(f"page {page + 1}: {error}") from None

    def _permanent(self, text: str, field: str = "endpoint") -> errors.Permanent:
        shown = self._settings.endpoint.split("?", 1)[0]
        return errors.Permanent(f"{shown}: {text}", step=self._ctx.step, field=field)


def _digest(what: bytes) -> bytes:
    return hashlib.blake2b(what, digest_size=16).digest()


def _pairs(params: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in params.items():
        for item in value if isinstance(value, list) else [value]:
            yield name, str(item).lower() if isinstance(item, bool) else str(item)
