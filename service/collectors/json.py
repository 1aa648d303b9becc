"""Rows of JSON files: an array, an object that holds one, or one object a line.

Lines are read in batches of a few megabytes into Parquet parts, so memory does not grow with the file. A document
must be in memory as a whole to find its records, so its size is bounded.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, ClassVar, Literal

import msgspec

from service.collectors.records import json_records
from service.collectors.records import schema as record_schema
from service.collectors.records.json_records import Document, Unusable
from service.collectors.records.spool import Spool
from service.collectors.source_file import head as heads
from service.collectors.source_file import paths as inputs
from service.collectors.source_file import utf8
from service.collectors.source_file.file_collector import FileCollector
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.kit.excerpts import excerpt
from service.steps.collector import Declared
from service.steps.context import CollectContext
from service.steps.frame import Frame

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

BATCH_BYTES = 8 * 1024 * 1024
MAX_DOCUMENT_BYTES = 512 * 1024 * 1024
"""A larger file must be written with one object a line."""
MAX_LINE_BYTES = 64 * 1024 * 1024


class JsonCollector(FileCollector, frozen=True, kw_only=True, tag="json"):
    """Rows of one or several JSON files: the records of each, nested objects as ``a_b`` columns."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "type": "json",
        "file_path": "exports/orders-*.json",
        "records_path": "data.items",
        "schema": {"created_at": "datetime[UTC]"},
    }

    format: Annotated[
        Literal["auto", "document", "lines"],
        msgspec.Meta(description="One document, or one object a line; detected from the file by default."),
    ] = "auto"
    records_path: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="Path of the records in a document, e.g. 'data.items'; by default found at the top level."
        ),
    ] = None
    encoding: Annotated[str, msgspec.Meta(description="Text encoding: utf-8 or any Python codec.")] = "utf-8"
    flatten: Annotated[bool, msgspec.Meta(description="Nested objects become a_b columns; lists stay lists.")] = True
    columns: Annotated[
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="Keep these columns (after flattening), in this order; a column that no record has is null."
        ),
    ] = None
    schema: Annotated[
        dict[str, str], msgspec.Meta(description="Types of columns (after flattening): name to type.")
    ] = {}

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.records_path is not None and self.format == "lines":
            yield Problem("records_path", "each line is a record by itself; leave it out, or set format to document")
        if not utf8.is_text_codec(self.encoding):
            yield Problem("encoding", f"unknown encoding '{self.encoding}'; utf-8 or a Python codec")
        yield from record_schema.problems(self.schema, self.columns)

    def declared(self) -> Declared | None:
        return record_schema.declared(self.columns, self.schema)

    async def collect(self, ctx: CollectContext) -> Frame:
        """Read the files into parts and return a scan of them. Raises ``errors.Permanent`` naming file and line."""
        return await asyncio.to_thread(self._collect, ctx)

    def _collect(self, ctx: CollectContext) -> Frame:
        paths = inputs.resolve(self.file_path, ctx)
        spool, mixed, repeated = Spool(ctx.folder), dict[str, str](), dict[str, str]()
        if ctx.wanted_rows is not None:
            paths = paths[: heads.MOST_FILES]
        added = self.path_columns(paths, self.schema, ctx)
        for number, path in enumerate(paths):
            original = path
            before = spool.rows
            try:
                codec = codecs.lookup(self.encoding).name
                if ctx.wanted_rows is not None:
                    path = self._head(path, ctx.wanted_rows, ctx.folder / f"head-{number:05d}", codec)
                text = utf8.as_utf8(path, codec, ctx.folder, f"plain-{number:05d}.json")
                for part in self._parts(text, ctx.wanted_rows):
                    where, found, again = f"{path.name} from {part.unit} {part.first}", set[str](), set[str]()
                    rows, parents = part.table(self.flatten, found, again)
                    added.refuse_clash(original, rows.columns, ctx.step)
                    spool.add(rows.with_columns(added.values(original, rows.columns)), parents, where)
                    mixed = dict.fromkeys(found, f"differ in kind on {where}") | mixed
                    repeated = dict.fromkeys(again, where) | repeated
            except (Unusable, utf8.Unreadable) as error:
                raise self._explained(path, error, ctx) from None
            if spool.rows == before:
                ctx.warn("empty_file", f"{path.name} holds no records", file=path.name)
            ctx.collected(spool.rows - before)
            ctx.progress((number + 1) / len(paths), f"{spool.rows} records from {number + 1} of {len(paths)} files")
        ctx.add_evidence({"files": len(paths), "rows": spool.rows})
        ctx.add_blank_columns(record_schema.empty_columns(spool, self.schema))
        record_schema.warn_of_repeated_keys(repeated, ctx)
        record_schema.warn_of_conflicts(spool, mixed, self.schema, self.columns, ctx)
        lf = record_schema.cast_columns(spool.scan(), self.schema, ctx)
        lf = record_schema.select(lf, self.columns, ctx)
        return ctx.frame(lf, expensive=False, row_bytes=spool.row_bytes)

    def _explained(self, path: Path, error: Exception, ctx: CollectContext) -> errors.Permanent:
        """The error with the setting that is to blame."""
        text, field, hint = str(error), "file_path", ""
        if json_records.NOT_UTF8 in text:
            field, hint = "encoding", "; set encoding to the encoding of the file, such as latin-1"
        elif json_records.TRAILING in text:
            field = "records_path" if self.records_path is not None else "format"
            hint = "; leave out records_path" if self.records_path is not None else "; set format to lines"
        elif "records_path" in text:
            field = "records_path"
        return errors.Permanent(f"{path.name}: {text}{hint}", step=ctx.step, field=field)

    def _head(self, path: Path, rows: int, folder: Path, codec: str) -> Path:
        """A copy of the first lines, or the file itself if it is one document, which must be read as a whole."""
        if self.format == "document" or self.records_path is not None:
            return path
        copy = heads.head(path, max(rows, 2), folder, codec=codec)
        text = utf8.as_utf8(copy, codec, folder, "plain.json")
        with text.open("rb") as file:
            return copy if self.format == "lines" or _in_lines(file) else path

    def _parts(self, path: Path, most: int | None) -> Iterator[_Part]:
        """The records of a file, in batches."""
        with path.open("rb") as file:
            if self.format == "lines" or (self.format == "auto" and self.records_path is None and _in_lines(file)):
                for first, batch in _batches(file):
                    yield _Part("line", first, batch)
                return
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise Unusable(
                f"a document may have {MAX_DOCUMENT_BYTES >> 20} MiB; write one object a line, which is read in pieces"
            )
        document = Document(path.read_bytes())
        where = self.records_path if self.records_path is not None else _records_path(document)
        records = document.records(where)[:most]
        for at in range(0, len(records), 50_000):
            yield _Part("record", at, records[at : at + 50_000])


@dataclass(frozen=True)
class _Part:
    """A batch of records as they are written in the file, and the number of the first; blank lines are not records."""

    unit: Literal["line", "record"]
    first: int
    items: list[bytes]

    def table(self, flatten: bool, mixed: set[str], repeated: set[str]) -> tuple[pl.DataFrame, set[str]]:
        """See ``json_records.table``. Raises ``Unusable`` naming the invalid record."""
        full = [item for item in self.items if item and not item.isspace()]
        if not full:
            return pl.DataFrame(), set()
        try:
            if any(not item.lstrip().startswith(b"{") for item in full):
                raise Unusable("a record is not an object")
            packed = b"\n".join(full) if self.unit == "line" else json_records.lines(full)
            return json_records.table(packed, flatten=flatten, mixed=mixed, repeated=repeated)
        except Unusable:
            for number, item in enumerate(self.items, self.first):
                if item and not item.isspace():
                    _decode(item, f"{self.unit} {number}")
            raise


def _decode(item: bytes, where: str) -> None:
    try:
        msgspec.json.decode(item, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        cause = json_records.cause(error, item)
        raise Unusable(f"{where}: not a JSON object ({cause}); it begins with {excerpt(item, 60)!r}") from None


def _records_path(document: Document) -> str | None:
    if document.is_object and not document.arrays():
        return None  # one record
    return document.path()


def _in_lines(file: BinaryIO) -> bool:
    """Whether the first line is a complete object and another line follows."""
    head = file.read(MAX_LINE_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
    file.seek(0)
    line, _, rest = head.partition(b"\n")
    if not line.startswith(b"{") or not rest.strip():
        return False
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _batches(file: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Lines in batches of a few megabytes, each with the number of its first line."""
    number, rest = 1, b""
    while True:
        chunk = file.read(BATCH_BYTES)
        if number == 1:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop() if chunk else b""
        if lines:
            yield number, lines
            number += len(lines)
        if not chunk:
            return
        if len(rest) > MAX_LINE_BYTES:
            raise Unusable(f"line {number}: longer than {MAX_LINE_BYTES >> 20} MiB")
