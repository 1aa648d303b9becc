"""The api collector: records of an HTTP API, page after page.

Pages stay bytes: each one is decoded just enough to find and count its records. Batches of a few megabytes are parsed
together into Parquet parts (``http_api.page_batches``, ``records.spool``), so memory does not grow with the number of
pages. ``http_api.page_walk`` decides which page comes next and whether all pages came, ``http_api.for_each`` makes one
list of requests per parent row, and ``http_api.merge`` adds the records of earlier runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from service.collectors.csv_file import checked_columns, malformed_replay
from service.collectors.csv_file.malformed_rows import Padded, Rejects, Shape
from service.collectors.fetching import completeness
from service.collectors.fetching.client_pool import Clients
from service.collectors.fetching.completeness import Evidence
from service.collectors.http_api import body_faults, csv_body, incremental, page_body, pagination
from service.collectors.http_api import for_each as children
from service.collectors.http_api.authentication import Session
from service.collectors.http_api.csv_body import CsvFormat
from service.collectors.http_api.for_each import RecordList
from service.collectors.http_api.merge import Accumulation
from service.collectors.http_api.page_batches import Batches
from service.collectors.http_api.page_body import PageBody
from service.collectors.http_api.page_reader import PageReader
from service.collectors.http_api.page_walk import FetchedPage, Pages
from service.collectors.http_api.requests import Requests
from service.collectors.http_api.settings import ApiSettings
from service.collectors.records import schema as record_schema
from service.collectors.records.spool import Spool
from service.collectors.records.unusable import Unusable
from service.kit import errors, placeholders
from service.network.request import Response
from service.steps.collector import Declared, Parent
from service.steps.context import CollectContext
from service.steps.frame import Frame
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl

_ACCEPT = {
    "json": "application/json, */*;q=0.5",
    "ndjson": "application/x-ndjson, application/jsonl, */*;q=0.5",
    "csv": "text/csv, */*;q=0.5",
}


class ApiCollector(ApiSettings, frozen=True, kw_only=True, tag="api"):
    """Rows from an HTTP API: the records of every page, with nested objects as ``a_b`` columns."""

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

    def declared(self) -> Declared | None:
        return record_schema.declared(self.kept_columns, self.schema)

    def parent(self) -> Parent | None:
        given = self.for_each
        if given is None:
            return None
        return Parent(given.collector, given.columns, "for_each.collector", given.keep_parents)

    def address(self) -> str | None:
        return self.endpoint

    def again(self, kept: Path, ctx: CollectContext) -> pl.LazyFrame | None:
        """The quarantined malformed rows of CSV that the current settings can read; see ``malformed_replay``."""
        return malformed_replay.read(kept, self, ctx) if self.response_format == "csv" else None

    @property
    def kept_columns(self) -> list[str] | None:
        """All columns to keep, those of the parent included."""
        if self.columns is None or self.for_each is None:
            return self.columns
        return [*self.columns, *(n for n in self.for_each.taken.values() if n not in self.columns)]

    def outlook(self, ctx: CollectContext) -> dict[str, Any]:
        kind = pagination.settings_of(pagination.of(self.pagination))
        auth = msgspec.to_builtins(self.auth).get("type") if self.auth is not None else None
        above = {} if self.for_each is None else {"for_each": self.for_each.collector}
        since = {} if self.incremental is None else {"incremental": self.incremental.param}
        return {"kind": "http", "method": self.method, "url": self.endpoint.split("?", 1)[0], "pagination": kind,
                "auth": auth, "concurrency": self.concurrency or 1, **above, **since}  # fmt: skip

    async def collect(self, ctx: CollectContext) -> Frame:
        """Fetch every page and return a frame over the spooled rows.

        Raises ``errors.Transient`` or ``errors.Permanent``.
        """
        return await _Collection(self, ctx).collect()


_DEPENDS = (
    "endpoint", "method", "params", "body", "records_path", "response_format", "flatten", "for_each", "incremental",
    "primary_key",
)  # fmt: skip
"""The settings that determine which records there are and their form."""


class _Collection:
    """One collection in progress."""

    def __init__(self, settings: ApiCollector, ctx: CollectContext) -> None:
        self._settings, self._ctx = settings, ctx
        self._kind = pagination.of(settings.pagination)
        self._answer_errors: list[str] = []
        self._reader = PageReader(
            settings.response_format, settings.records_path, ctx.network.max_response_bytes, self._on_answer_error,
            settings.encoding, settings.csv or CsvFormat(),
        )  # fmt: skip
        self._pages = self._rows = 0
        self._sum = completeness.EvidenceTotal(ctx, settings.completeness)
        self._label = placeholders.mask(settings.endpoint.split("?", 1)[0], list(ctx.secrets.values()))
        self._rejects = Rejects(ctx, keep=settings.on_malformed == "quarantine")
        self._rejects.begin(self._label)
        self._padded = Padded(ctx, self._label)
        self._columns: dict[str, list[str]] = {}
        self._memory: Accumulation | None = None
        if settings.incremental is not None:
            asked = {name: getattr(settings, name) for name in _DEPENDS}
            asked |= settings.text_settings
            asked["incremental"] = msgspec.structs.replace(settings.incremental, lookback=0.0).settings
            if settings.for_each is not None:
                asked["for_each"] = msgspec.structs.replace(settings.for_each, on_missing="fail", keep_parents=False)
            key = incremental.keys(settings.incremental.primary_key, settings.primary_key)
            theirs = settings.for_each.taken.values() if settings.for_each is not None else ()
            self._memory = Accumulation(settings.incremental, key, asked, ctx, tuple(theirs))

    async def collect(self) -> Frame:
        settings, ctx, memory = self._settings, self._ctx, self._memory
        listings, added = await asyncio.to_thread(
            children.record_lists, settings.for_each, settings.endpoint, settings.params, ctx
        )
        spool = memory.spool() if memory is not None else Spool(ctx.folder)
        batches = Batches(
            spool, ctx, csv=settings.csv, flatten=settings.flatten, added=added,
            traced=memory is not None, schema=settings.schema, misfits=settings.misfits(ctx),
        )  # fmt: skip
        clients = Clients(
            ctx, limit=settings.concurrency, timeout_seconds=settings.timeout_seconds, retry=settings.retry,
            interval=1 / settings.requests_per_second if settings.requests_per_second else 0.0, field="endpoint",
        )  # fmt: skip
        kind = settings.response_format
        async with clients, self._counting(clients):
            walk = self._walk(Requests(
                clients, Session(settings.auth, ctx, clients.fetch), settings.method, _ACCEPT[kind],
                _headers(settings, ctx),
                ctx.fill_all(settings.body), settings.compress_body,
                None if kind == "csv" else lambda body: page_body.whole(body, kind),
            ))  # fmt: skip
            at_once = (settings.concurrency or 1) if settings.for_each is not None else 1
            async with aclosing(children.in_order(listings, at_once, walk)) as every:
                async for listing, page in every:
                    await batches.keep(listing, page.number, page.body)
                    self._keep_malformed(listing, page)
                    self._notice(listing, page, len(listings))
                    if ctx.wanted_rows is not None and self._rows >= ctx.wanted_rows:
                        break
            await batches.flush()
        await asyncio.to_thread(batches.restore_texts)
        self._sum.finish(several=settings.for_each is not None)
        if self._answer_errors:
            number = len(self._answer_errors)
            text = f"{number} answers report an error, the first one: {self._answer_errors[0]}"
            ctx.warn("answer_errors", text, answers=number)
        ctx.progress(1.0, f"{self._sum.evidence.rows} records")
        if memory is not None:
            spool = await asyncio.to_thread(memory.finish, spool, self._sum.cut)
        return self._frame(spool, batches)

    @asynccontextmanager
    async def _counting(self, clients: Clients) -> AsyncIterator[None]:
        """Keep the counts of requests and bytes, whatever the outcome."""
        try:
            yield
        except errors.StepError:
            clients.count(self._sum.evidence)
            self._sum.failed()
            raise
        clients.count(self._sum.evidence)

    def _walk(self, requests_: Requests) -> Callable[[RecordList], AsyncGenerator[FetchedPage, None]]:
        settings, memory = self._settings, self._memory

        async def walk(listing: RecordList) -> AsyncGenerator[FetchedPage, None]:
            evidence, since = Evidence(stop_reason="sampled"), None
            if memory is not None and settings.incremental is not None:
                since = settings.incremental.request(memory.start(listing.key))
            fetch = requests_.fetch(listing, since)
            ahead = (settings.concurrency or 1) if settings.for_each is None else 1
            pages = Pages(
                self._kind, self._ctx, evidence, fetch, self._read, ahead,
                path=lambda: self._reader.records_path, posted=settings.method == "POST",
            )  # fmt: skip
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
                self._sum.add(evidence, listing.key, listing.label)

        return walk

    def _read(self, answer: Response, page: int) -> PageBody:
        try:
            return self._reader.read(answer, page)
        except Unusable as error:
            kind, declared = self._settings.response_format, answer.headers.get("content-type", "")
            hint = f" (content type {declared})" if declared and kind not in declared else ""
            field = "records_path" if kind == "json" else "response_format"
            field = body_faults.setting(str(error)) or field
            raise self._permanent(f"page {page + 1}: {error}{hint}", field=field) from None

    def _on_answer_error(self, error: str, page: int) -> None:
        """An answer with status 200 reports an error. Raises ``errors.Permanent`` unless it is only to be counted."""
        text = placeholders.mask(error, list(self._ctx.secrets.values()))
        if self._settings.answer_errors == "fail":
            raise self._permanent(f"page {page + 1}: the answer reports an error: {text}", field="answer_errors")
        self._answer_errors.append(text)

    def _keep_malformed(self, listing: RecordList, page: FetchedPage) -> None:
        """Count the rows of a page of CSV that were left out or padded."""
        body, part = page.body, f"page {page.number + 1}{f' of {listing.label}' if listing.label else ''}"
        if body.rejected:
            self._rejects.add(body.rejected, part)
            self._columns[part] = csv_body.table(body.packed, self._settings.csv or CsvFormat()).columns
        for record in body.padded:
            self._padded.append(record, part)

    def _notice(self, listing: RecordList, page: FetchedPage, lists: int) -> None:
        self._pages, self._rows = self._pages + 1, self._rows + page.body.count
        self._ctx.collected(page.body.count)
        if listing.number is not None:
            share = listing.number / lists
        elif page.total:
            share = self._rows / page.total
        else:
            return  # nobody knows how many there will be
        self._ctx.progress(min(share, 0.99), f"{self._rows} records from {self._pages} pages")

    def _frame(self, spool: Spool, batches: Batches) -> Frame:
        settings, ctx = self._settings, self._ctx
        present = [name for name in spool.schema if name != children.PARENT]
        if spool.rows and not present:
            raise self._permanent(f"the {spool.rows} records have no fields at all")
        ctx.add_blank_columns(record_schema.empty_columns(spool, settings.schema))
        record_schema.warn_of_repeated_keys(batches.repeated, ctx)
        record_schema.warn_of_conflicts(spool, batches.mixed, settings.schema, settings.kept_columns, ctx)
        lf = spool.scan().select(present)
        if settings.response_format == "csv":
            parts = [spool.part(i) for i in range(len(spool.parts))]
            lf = checked_columns.infer_and_cast(lf, parts, settings.schema, decimal_comma=settings.decimal_comma)
        frame = ctx.frame(lf, expensive=False, row_bytes=spool.row_bytes)
        frame = record_schema.cast_columns(frame, settings.schema, ctx, settings.misfits(ctx))
        if self._columns:
            types = {name: dtypes.name_of(dtype) for name, dtype in frame.schema.items()}
            self._rejects.end()
            self._rejects.close(Shape(self._columns, types))
        self._padded.warn()
        return frame.rows(lambda lf: record_schema.select(lf, settings.kept_columns, ctx))

    def _permanent(self, text: str, field: str = "endpoint") -> errors.Permanent:
        shown = self._settings.endpoint.split("?", 1)[0]
        return errors.Permanent(f"{shown}: {text}", step=self._ctx.step, field=field)


def _headers(settings: ApiCollector, ctx: CollectContext) -> dict[str, str]:
    encoding = {"content-encoding": "gzip"} if settings.compress_body else {}
    return {**ctx.fill_all(settings.headers), **encoding}
