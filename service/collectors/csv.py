"""Rows from CSV files, lazily: a survey of the bytes, types from a sample, and a scan.

Each file is read once quickly (``survey``) so that nothing is lost without a word, and parsed once, later, by whoever
executes the plan. Types come from rows all over the files (``inference``); text columns, ambiguous ones included,
are scanned as text. Polars is handed checked local paths only and expands nothing.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import polars as pl

from service.collectors import columns, heads, inputs, plain, rereading
from service.collectors.inputs import FilePath
from service.collectors.reading import LOSSY, Reading
from service.collectors.survey import Dialect
from service.kit import errors
from service.kit.errors import Problem
from service.steps import dtypes, parsing
from service.steps.collector import Collector, Declared
from service.steps.context import Context
from service.steps.frame import Frame
from service.steps.polars_frame import PolarsFrame

Character = Annotated[str, msgspec.Meta(min_length=1, max_length=1, pattern=r"^[\x01-\x7f]$")]
Column = Annotated[str, msgspec.Meta(min_length=1)]


class CsvCollector(Collector, frozen=True, kw_only=True, tag="csv"):
    """Rows of one or several CSV files; files with differing columns unite by name."""

    local: ClassVar[bool] = True
    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "csv",
        "file_path": "orders/2026-*.csv",
        "separator": ";",
        "null_values": ["n/a", "-"],
        "schema": {"price": "decimal(12,2)"},
    }

    file_path: FilePath
    separator: Annotated[Character, msgspec.Meta(description="Between fields.")] = ","
    quote_char: Annotated[Character | None, msgspec.Meta(description="Around fields; null: there are no quotes.")] = '"'
    encoding: Annotated[
        str, msgspec.Meta(description="utf-8, utf-8-lossy (bad bytes become U+FFFD) or any Python codec.")
    ] = "utf-8"
    has_header: Annotated[bool, msgspec.Meta(description="The first row names the columns.")] = True
    column_names: Annotated[
        Annotated[list[Column], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Names of all columns, instead of the header's."),
    ] = None
    skip_rows: Annotated[int, msgspec.Meta(ge=0, le=10_000, description="Lines before the header to pass over.")] = 0
    comment_prefix: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=5)] | None,
        msgspec.Meta(description="Lines that begin with it are passed over."),
    ] = None
    null_values: Annotated[list[str], msgspec.Meta(description="Texts that mean missing, beside the empty field.")] = []
    columns: Annotated[
        Annotated[list[Column], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Keep these columns, in this order."),
    ] = None
    schema: Annotated[dict[str, str], msgspec.Meta(description="Types of columns; the others are inferred.")] = {}
    infer_rows: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="About how many rows, from all over the file, types are inferred from; 0: text."
        ),
    ] = 10_000
    try_parse_dates: Annotated[bool, msgspec.Meta(description="Infer ISO dates and times too.")] = False
    decimal_comma: Annotated[bool, msgspec.Meta(description="Decimals are written 1,5.")] = False
    on_malformed: Annotated[
        Literal["fail", "skip", "quarantine"],
        msgspec.Meta(
            description="A row of the wrong shape fails the run, or is left out and counted, or kept aside too."
        ),
    ] = "fail"

    def problems(self) -> Iterable[Problem]:
        yield from inputs.problems(self.file_path)
        if self.separator == self.quote_char:
            yield Problem("quote_char", "is the separator too")
        if self.separator in "\r\n":
            yield Problem("separator", "a line end cannot separate fields")
        if self.decimal_comma and self.separator == ",":
            yield Problem("decimal_comma", "needs another separator than ','")
        if self.encoding != LOSSY and not plain.is_text_codec(self.encoding):
            yield Problem("encoding", f"unknown encoding '{self.encoding}'; utf-8, utf-8-lossy or a Python codec")
        for setting in ("column_names", "columns"):
            given = getattr(self, setting) or []
            twice = next((n for n in given if given.count(n) > 1), None)
            if twice is not None:
                yield Problem(setting, f"names '{twice}' twice")
        for column, text in self.schema.items():
            try:
                parsing.tolerantly(pl.col(column), dtypes.parse(text))
            except ValueError as error:
                yield Problem(f"schema.{column}", str(error))

    @property
    def dialect(self) -> Dialect:
        """How the files are written."""
        return Dialect(
            separator=self.separator.encode(),
            quote=self.quote_char.encode() if self.quote_char else None,
            comment=self.comment_prefix.encode() if self.comment_prefix else None,
            skip_lines=self.skip_rows,
            has_header=self.has_header,
        )

    async def collect(self, ctx: Context) -> Frame:
        """Survey the files, and answer a scan of them.

        Raises ``errors.Permanent`` naming file and line, or the setting to blame.
        """
        return await asyncio.to_thread(self._collect, ctx)

    def again(self, kept: Path, ctx: Context) -> pl.LazyFrame:
        """Malformed rows, where the settings can make rows of them by now; see ``rereading``."""
        return rereading.read(kept, self, ctx)

    def declared(self) -> Declared | None:
        return columns.declared(self.columns or self.column_names, self.schema, text=not self.infer_rows)

    def outlook(self, ctx: Context) -> dict[str, Any]:
        return inputs.outlook(self.file_path, ctx)

    def _collect(self, ctx: Context) -> Frame:
        paths = inputs.resolved(self.file_path, ctx)
        if ctx.wanted_rows is not None:
            paths = [self._head(path, ctx.wanted_rows, n, ctx) for n, path in enumerate(paths[: heads.MOST_FILES])]
        return self.read(paths, ctx, ctx.collected)

    def _head(self, path: Path, rows: int, number: int, ctx: Context) -> Path:
        records = self.skip_rows + self.has_header + rows
        codec = "utf-8" if self.encoding == LOSSY else codecs.lookup(self.encoding).name
        folder = ctx.folder / f"head-{number:05d}"
        try:
            return heads.head(
                path, records, folder, codec=codec, quote=self.quote_char or "", comment=self.comment_prefix or ""
            )
        except plain.Unreadable as error:
            raise errors.Permanent(f"{path.name}: {error}", step=ctx.step, field="file_path") from None

    def read(self, paths: list[Path], ctx: Context, collected: Callable[[int], None] = lambda rows: None) -> Frame:
        """A scan of ``paths``, whatever ``file_path`` says; ``collected`` is told the rows of each."""
        reading = Reading(self, ctx, max(200, self.infer_rows // len(paths)))
        sources = []
        for number, path in enumerate(paths):
            source = reading.source(path, number)
            if source is not None:
                sources.append(source)
                collected(source.rows)
            ctx.progress((number + 1) / len(paths), f"{number + 1} of {len(paths)} files")
        if not sources:
            raise reading.error(paths[0], "the file is empty; there is not even a header")
        types = reading.types(sources)
        reading.settle(sources, types)
        width = sum(s.path.stat().st_size for s in sources) // max(1, sum(s.rows for s in sources))
        united = reading.united(sources, types)
        return PolarsFrame(united, ctx.folder, explain=lambda e: reading.explained(e, sources), row_bytes=width)
