"""Batches of pages on their way into the spool. Pages stay bytes until a few megabytes are parsed together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.collectors.http_api import body_faults, csv_body
from service.collectors.http_api.csv_body import CsvFormat
from service.collectors.http_api.for_each import PARENT, RecordList
from service.collectors.http_api.page_body import PageBody
from service.collectors.records import json_records, number_texts
from service.collectors.records import schema as record_schema
from service.collectors.records.flattened import Flattened
from service.collectors.records.misfits import Misfits
from service.collectors.records.schema import Misfit
from service.collectors.records.spool import Spool
from service.collectors.records.unusable import Unusable
from service.kit import errors, lazy
from service.steps.context import CollectContext
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class _Page:
    number: int
    count: int
    packed: bytes
    listing: RecordList

    @property
    def label(self) -> str:
        parent = f" of {self.listing.label}" if self.listing.label else ""
        return f"page {self.number + 1}{parent}"


class Batches:
    """Parses pages in batches into ``spool``.

    ``added`` are the parent columns for the records of each list, one row per list; ``traced`` adds the parent's key to
    each record (``PARENT``). ``mixed`` describes the columns whose values differ in type within one batch,
    ``repeated`` has the keys that a record repeats, each with a page.
    """

    def __init__(
        self,
        spool: Spool,
        ctx: CollectContext,
        *,
        csv: CsvFormat | None,
        flatten: bool,
        added: pl.DataFrame | None,
        traced: bool,
        schema: Mapping[str, str],
        misfits: Misfits,
    ) -> None:
        self._spool, self._ctx, self._csv, self._flatten = spool, ctx, csv, flatten
        self._added, self._traced, self._schema = added, traced, schema
        self._strict = not misfits.become_null
        self._texts = record_schema.text_columns(schema)
        self._pages: list[_Page] = []
        self._bytes = 0
        self.mixed: dict[str, str] = {}
        self.repeated: dict[str, str] = {}

    async def keep(self, listing: RecordList, number: int, body: PageBody) -> None:
        """Add a page. Raises ``errors.Permanent`` if its records do not form a table."""
        self.repeated |= dict.fromkeys(body.repeated - self.repeated.keys(), f"page {number + 1}")
        if not body.count:
            return
        self._pages.append(_Page(number, body.count, body.packed, listing))
        self._bytes += len(body.packed)
        if self._bytes >= BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Parse and write the pages that wait."""
        if self._pages:
            pages, self._pages, self._bytes = self._pages, [], 0
            await asyncio.to_thread(self._write, pages)

    def restore_texts(self) -> None:
        """Read the values of columns that became text again, as their pages write them. Call it after the last page."""

        def read(text: bytes, texts: Mapping[str, pl.DataType]) -> pl.DataFrame:
            frame, _ = json_records.table(text, flatten=self._flatten, texts={**self._texts, **texts})
            return frame.select(list(texts))

        self.mixed = record_schema.differences(self._spool) | self.mixed
        self._spool.restore_texts(read)

    def _write(self, pages: list[_Page]) -> None:
        where = (
            pages[0].label if len(pages) == 1 else f"{pages[0].label} to {pages[-1].label}".replace(" to page", " to")
        )
        where = where.replace("page", "pages", 1) if len(pages) > 1 else where
        try:
            mixed: dict[str, str] = {}
            self._add(*self._table(pages, mixed), pages, where)
            for name in mixed.keys() - self.mixed.keys():
                self.mixed[name] = self._how(pages, name)
        except Unusable:
            for page in pages:  # find the page that is at fault
                try:
                    self._add(*self._table([page], {}), [page], page.label)
                except Unusable as error:
                    cause = None if isinstance(error, Misfit) else body_faults.cause(page.packed, "records", str(error))
                    text = cause or str(error)
                    field = error.field if isinstance(error, Misfit) else body_faults.setting(text) or "endpoint"
                    raise errors.Permanent(f"{page.label}: {text}", step=self._ctx.step, field=field) from None

    def _how(self, pages: list[_Page], name: str) -> str:
        """How the values of a column differ in type, with the pages."""
        kinds: dict[pl.DataType, str] = {}
        for page in pages:
            mixed: dict[str, str] = {}
            found = self._table([page], mixed)[0].schema.get(name)
            if name in mixed:
                return f"{mixed[name]} on {page.label}"
            if found is not None and found != pl.Null:
                kinds.setdefault(found, page.label)
        return "are " + ", ".join(f"{dtypes.name_of(kind)} on {where}" for kind, where in kinds.items())

    def _table(self, pages: list[_Page], mixed: dict[str, str]) -> tuple[pl.DataFrame, Flattened]:
        if self._csv is None:
            packed, repeated = b"\n".join(p.packed for p in pages), set[str]()
            table = json_records.table(packed, flatten=self._flatten, mixed=mixed, repeated=repeated, texts=self._texts)
            self.repeated |= dict.fromkeys(repeated - self.repeated.keys(), pages[0].label)
            return table
        frames = [csv_body.table(p.packed, self._csv) for p in pages]
        return pl.concat(frames, how="diagonal"), Flattened()

    def _add(self, frame: pl.DataFrame, flattened: Flattened, pages: list[_Page], where: str) -> None:
        if self._strict:
            record_schema.check(frame, self._schema)
        source = b"\n".join(page.packed for page in pages) if self._csv is None else None
        if source is not None and not number_texts.would_change(frame, frame.columns, source):
            source = None
        if self._added is None and not self._traced:
            self._spool.add(frame, flattened, where, source)
            return
        counts = [page.count for page in pages]
        if frame.height != sum(counts):
            raise Unusable(f"{sum(counts)} records became {frame.height} rows")
        extra: list[pl.Series] = []
        if self._added is not None and self._added.width:
            taken = next((n for n in self._added.columns if n in frame.columns), None)
            if taken is not None:
                raise errors.Permanent(
                    f"the records already have a column '{taken}'; give the parent's column another name",
                    step=self._ctx.step, field="for_each.include",
                )  # fmt: skip
            numbers = pl.Series([p.listing.number for p in pages], dtype=pl.UInt32)
            extra += self._added[_repeated(numbers, counts)].get_columns()
        if self._traced:
            extra.append(_repeated(pl.Series(PARENT, [p.listing.key for p in pages], dtype=pl.String), counts))
        self._spool.add(frame.with_columns(extra) if frame.width else pl.DataFrame(extra), flattened, where, source)


def _repeated(values: pl.Series, counts: list[int]) -> pl.Series:
    """Each value repeated for the records of its page."""
    lists = values.to_frame("v").select(pl.col("v").repeat_by(pl.Series(counts, dtype=pl.UInt32)).explode())
    return lists["v"].alias(values.name)
