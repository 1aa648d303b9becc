"""Rows from CSV files, lazily: a survey of the bytes, types from a sample, and a scan.

Each file is surveyed in one quick pass (``survey``), so that nothing is lost silently; whoever executes the plan parses
it, once. Types come from rows sampled all over the files (``type_inference``); text columns, ambiguous ones included,
are scanned as text. Polars gets checked local paths only and expands no globs.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from service.collectors.csv_file import malformed_replay
from service.collectors.csv_file.scan import CsvReader
from service.collectors.csv_file.settings import LOSSY, CsvSettings
from service.collectors.records import schema
from service.collectors.source_file import head, utf8
from service.collectors.source_file import paths as inputs
from service.kit import errors, lazy
from service.steps.collector import Declared
from service.steps.context import CollectContext
from service.steps.frame import Frame

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


class CsvCollector(CsvSettings, frozen=True, kw_only=True, tag="csv"):
    """Rows of one or several CSV files; files with differing columns unite by name."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "csv",
        "file_path": "orders/2026-*.csv",
        "separator": ";",
        "null_values": ["n/a", "-"],
        "schema": {"price": "decimal(12,2)"},
    }

    @property
    def samples_head(self) -> bool:
        return True

    async def collect(self, ctx: CollectContext) -> Frame:
        """Survey the files and return a scan of them.

        Raises ``errors.Permanent`` naming file and line, or the setting to blame.
        """
        return await asyncio.to_thread(self._collect, ctx)

    def again(self, kept: Path, ctx: CollectContext) -> pl.LazyFrame:
        """The quarantined malformed rows that the current settings can read; see ``malformed_replay``."""
        return malformed_replay.read(kept, self, ctx)

    def declared(self) -> Declared | None:
        return schema.declared(self.columns or self.column_names, self.schema, text=not self.infer_rows)

    def _collect(self, ctx: CollectContext) -> Frame:
        paths = inputs.resolve(self.file_path, ctx)
        if ctx.wanted_rows is None:
            return self.read(paths, ctx, ctx.collected)
        originals = paths[: head.MOST_FILES]
        paths = [self._head(path, ctx.wanted_rows, n, ctx) for n, path in enumerate(originals)]
        return self.read(paths, ctx, ctx.collected, originals)

    def _head(self, path: Path, rows: int, number: int, ctx: CollectContext) -> Path:
        records = self.skip_rows + self.has_header + rows
        codec = "utf-8" if self.encoding == LOSSY else codecs.lookup(self.encoding).name
        folder = ctx.folder / f"head-{number:05d}"
        try:
            return head.head(
                path, records, folder, codec=codec, quote=self.quote_char or "", comment=self.comment_prefix or ""
            )
        except utf8.Unreadable as error:
            raise errors.Permanent(f"{path.name}: {error}", step=ctx.step, field="file_path") from None

    def read(
        self,
        paths: list[Path],
        ctx: CollectContext,
        collected: Callable[[int], None] = lambda rows: None,
        originals: list[Path] | None = None,
    ) -> Frame:
        """A scan of ``paths`` instead of ``file_path``; ``collected`` is called with the row count of each file.

        ``originals`` are the files that ``paths`` are copies of, if they are.
        """
        added = self.path_columns(originals or paths, self.schema, ctx)
        added = added.for_copies(dict(zip(paths, originals or paths, strict=True)))
        ctx.count_bytes(0, sum(path.stat().st_size for path in paths))
        reading = CsvReader(self, ctx, max(200, self.infer_rows // len(paths)), added)
        sources = []
        for number, path in enumerate(paths):
            source = reading.source(path, number)
            if source is None:
                ctx.warn("empty_file", f"{path.name} is empty", file=path.name)
            else:
                sources.append(source)
                collected(source.rows)
            ctx.count_bytes(path.stat().st_size)
            ctx.progress((number + 1) / len(paths), f"{number + 1} of {len(paths)} files")
        if not sources:
            raise reading.error(paths[0], "the file is empty; there is not even a header")
        types = reading.types(sources)
        reading.finish(sources, types)
        width = sum(s.path.stat().st_size for s in sources) // max(1, sum(s.rows for s in sources))
        misfits = self.misfits(ctx)
        scans = reading.scans(sources, types, misfits)
        frame = ctx.frame(
            reading.united(scans),
            explain=lambda e: reading.on_error(e, sources),
            row_bytes=width,
            parts=lambda: reading.parts(sources, types, misfits),
        )
        return frame.convert(ctx.step, reading.conversions(types, misfits))
