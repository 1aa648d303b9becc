"""Rows of JSON files: an array, an object that holds one, or one object a line.

Lines are read in batches of a few megabytes into Parquet parts, so memory does not grow with the file. A document
must be in memory as a whole to find its records, so its size is bounded.
"""

from __future__ import annotations

import asyncio
import codecs
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, ClassVar, Literal

import msgspec

from service.collectors.csv_file.settings import LOSSY
from service.collectors.html import markup_kind
from service.collectors.http_api import body_faults
from service.collectors.records import json_records, line_ranges
from service.collectors.records import schema as record_schema
from service.collectors.records.flattened import Flattened
from service.collectors.records.json_records import Document
from service.collectors.records.line_ranges import WHOLE, LineRange
from service.collectors.records.spool import Spool
from service.collectors.records.unusable import Unusable
from service.collectors.source_file import head as heads
from service.collectors.source_file import paths as inputs
from service.collectors.source_file import utf8
from service.collectors.source_file.file_collector import FileCollector, PathColumns
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

MAX_DOCUMENT_BYTES = 512 * 1024 * 1024
"""A larger file must be written with one object a line."""


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
    encoding: Annotated[
        str,
        msgspec.Meta(
            description="Text encoding: utf-8, utf-8-lossy (invalid bytes and lone surrogates become U+FFFD) or any "
            "Python codec."
        ),
    ] = "utf-8"
    flatten: Annotated[bool, msgspec.Meta(description="Nested objects become a_b columns; lists stay lists.")] = True
    columns: Annotated[
        Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="Keep these columns (after flattening), in this order; a column that no record has is null."
        ),
    ] = None
    schema: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Types of columns (after flattening): name to type. A text column has numbers as they are "
            "written, lists and objects as JSON. A value that does not fit: see on_error."
        ),
    ] = {}

    @property
    def samples_head(self) -> bool:
        return self.format == "lines"

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.records_path is not None and self.format == "lines":
            yield Problem("records_path", "each line is a record by itself; leave it out, or set format to document")
        if self.encoding != LOSSY and not utf8.is_text_codec(self.encoding):
            yield Problem("encoding", f"unknown encoding '{self.encoding}'; utf-8, utf-8-lossy or a Python codec")
        yield from record_schema.problems(self.schema, self.columns)

    def declared(self) -> Declared | None:
        return record_schema.declared(self.columns, self.schema)

    async def collect(self, ctx: CollectContext) -> Frame:
        """Read the files into parts and return a scan of them. Raises ``errors.Permanent`` naming file and line."""
        return await asyncio.to_thread(self._collect, ctx)

    def _collect(self, ctx: CollectContext) -> Frame:
        paths = inputs.resolve(self.file_path, ctx)
        if ctx.wanted_rows is not None:
            paths = paths[: heads.MOST_FILES]
        reader = _Reader(self, ctx, self.path_columns(paths, self.schema, ctx))
        texts = record_schema.text_columns(self.schema)
        spool = reader.read(paths, ctx.folder, texts)
        ctx.add_evidence({"files": len(paths), "rows": spool.rows})
        ctx.add_blank_columns(record_schema.empty_columns(spool, self.schema))
        record_schema.warn_of_repeated_keys(reader.repeated, ctx)
        record_schema.warn_of_conflicts(spool, reader.mixed, self.schema, self.columns, ctx)
        if changed := spool.rewritten - texts.keys():  # text follows numbers: they stay as they are written
            for part in spool.parts:
                part.unlink()
            again = ctx.folder / "again"
            again.mkdir()
            spool = reader.read(paths, again, texts | {name: spool.schema[name] for name in changed})
        frame = ctx.frame(
            spool.scan(), expensive=False, row_bytes=spool.row_bytes,
            parts=lambda: [spool.part(place) for place in range(len(spool.parts))],
        )  # fmt: skip
        frame = record_schema.cast_columns(frame, self.schema, ctx, self.misfits(ctx))
        return frame.rows(lambda lf: record_schema.select(lf, self.columns, ctx))

    def explained(self, path: Path, error: Exception, ctx: CollectContext) -> errors.Permanent:
        """The error with the setting that is to blame."""
        text, field, hint = str(error), "file_path", ""
        if json_records.NOT_UTF8 in text:
            field, hint = "encoding", "; set encoding to the encoding of the file, such as latin-1"
        elif json_records.HALF in text:
            field, hint = "encoding", "; set encoding to utf-8-lossy to read it as U+FFFD"
        elif json_records.TRAILING in text:
            field = "records_path" if self.records_path is not None else "format"
            hint = "; leave out records_path" if self.records_path is not None else "; set format to lines"
        elif "records_path" in text:
            field = "records_path"
        elif "set flatten to false" in text:
            field = "flatten"
        elif "is out of range)" in text:
            hint = "; to keep such a number as text, give its column the type string under schema"
        what = _markup(path) if json_records.INVALID in text else None
        if what is not None:
            text = f"the file is {what}, not JSON"
        return errors.Permanent(f"{path.name}: {text}{hint}", step=ctx.step, field=field)

    def head(self, path: Path, rows: int, folder: Path, codec: str) -> Path:
        """A copy of the first lines, or the file itself if it is one document, which must be read as a whole."""
        if self.format == "document" or self.records_path is not None:
            return path
        copy = heads.head(path, max(rows, 2), folder, codec=codec)
        text = utf8.as_utf8(copy, codec, folder, "plain.json")
        with text.open("rb") as file:
            return copy if self.format == "lines" or _in_lines(file) else path

    def in_lines(self, path: Path) -> bool:
        """Whether each line of a file is a record."""
        if self.format != "auto" or self.records_path is not None:
            return self.format == "lines"
        with path.open("rb") as file:
            return _in_lines(file)

    def parts(self, path: Path, most: int | None, lines: LineRange = WHOLE) -> Iterator[_Part]:
        """The records of a file, or of some of its lines, in batches."""
        if self.in_lines(path):
            with path.open("rb") as file:
                for first, batch in line_ranges.batches(file, lines):
                    yield _Part("line", first, batch)
            return
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            raise Unusable(
                f"a document may have {MAX_DOCUMENT_BYTES >> 20} MiB; write one object a line, which is read in pieces"
            )
        document = Document(path.read_bytes())
        where = self.records_path if self.records_path is not None else _records_path(document)
        records = document.records(where)[:most]
        around = frozenset(document.repeated_keys(where))
        for at in range(0, len(records), 50_000):
            yield _Part("record", at, records[at : at + 50_000], around)


class _Reader:
    """Reads the records of files into parts, once or again. ``mixed`` and ``repeated`` are found on the way."""

    def __init__(self, settings: JsonCollector, ctx: CollectContext, added: PathColumns) -> None:
        self.mixed: dict[str, str] = {}
        self.repeated: dict[str, str] = {}
        self._settings, self._ctx, self._added = settings, ctx, added
        self._reported = False
        self._bytes = 0  # of all files, as texts

    def read(self, paths: Sequence[Path], folder: Path, texts: Mapping[str, pl.DataType]) -> Spool:
        """All records as parts in ``folder``; see ``json_records.table`` for ``texts``. Only the first call reports."""
        ctx, spool = self._ctx, Spool(folder)
        self._bytes = sum(path.stat().st_size for path in paths)
        for number, path in enumerate(paths):
            before = spool.rows
            self._read_file(path, number, folder, texts, spool)
            if self._reported:
                continue
            if spool.rows == before:
                ctx.warn("empty_file", f"{path.name} holds no records", file=path.name)
            ctx.progress((number + 1) / len(paths), f"{spool.rows} records from {number + 1} of {len(paths)} files")
        self._reported = True
        return spool

    def _read_file(
        self, original: Path, number: int, folder: Path, texts: Mapping[str, pl.DataType], spool: Spool
    ) -> None:
        settings, wanted, path = self._settings, self._ctx.wanted_rows, original
        try:
            codec = "utf-8" if settings.encoding == LOSSY else codecs.lookup(settings.encoding).name
            if wanted is not None:
                path = settings.head(path, wanted, folder / f"head-{number:05d}", codec)
            text = utf8.as_utf8(path, codec, folder, f"plain-{number:05d}.json")
            if settings.encoding == LOSSY:
                text = _lossy(text, folder / f"lossy-{number:05d}.json")
            self._bytes += text.stat().st_size - original.stat().st_size
            if self._ctx.spread is not None and wanted is None and settings.in_lines(text):
                work = _Work(settings, text, original, self._added, texts, folder)
                for parts in self._ctx.spread(work, line_ranges.divided(text), list[_Read]):
                    self._adopt(parts, original, spool)
                return
            for part in settings.parts(text, wanted):
                where, mixed, again = f"{path.name} from {part.unit} {part.first}", dict[str, str](), set[str]()
                rows, flattened = part.table(settings.flatten, mixed, again, texts)
                self._added.refuse_clash(original, rows.columns, self._ctx.step)
                spool.add(rows.with_columns(self._added.values(original, rows.columns)), flattened, where)
                self._note(rows.height, sum(map(len, part.items)) + len(part.items), where, mixed, again)
        except (Unusable, utf8.Unreadable) as error:
            raise settings.explained(path, error, self._ctx) from None

    def _note(self, rows: int, size: int, where: str, mixed: Mapping[str, str], repeated: Iterable[str]) -> None:
        if not self._reported:
            self._ctx.collected(rows)
            self._ctx.count_bytes(size, self._bytes)
        self.mixed = {name: f"{how} on {where}" for name, how in mixed.items()} | self.mixed
        self.repeated = dict.fromkeys(repeated, where) | self.repeated

    def _adopt(self, parts: Sequence[_Read], original: Path, spool: Spool) -> None:
        """Take the parts of a range that was read elsewhere. Raises ``Unusable``."""
        for part in parts:
            if part.error:
                raise Unusable(part.error)
            self._added.refuse_clash(original, part.columns, self._ctx.step)
            if part.path is not None:
                spool.adopt(Path(part.path), part.where)
            self._note(part.rows, part.size, part.where, part.mixed, part.repeated)


class _Read(msgspec.Struct, frozen=True):
    """A batch that was read into the file ``path`` (None without rows), or why it could not be."""

    where: str = ""
    path: str | None = None
    rows: int = 0
    size: int = 0
    columns: list[str] = []
    mixed: dict[str, str] = {}
    repeated: frozenset[str] = frozenset()
    error: str = ""


@dataclass(frozen=True)
class _Work:
    """Reads a range of the lines in ``path``, as executors do; parts go to a folder in ``folder``."""

    settings: JsonCollector
    path: Path
    original: Path
    added: PathColumns
    texts: Mapping[str, pl.DataType]
    folder: Path

    def __call__(self, lines: LineRange) -> list[_Read]:
        own = self.folder / f"lines-{uuid.uuid4().hex}"  # of this attempt
        own.mkdir()
        spool, found = Spool(own), list[_Read]()
        try:
            for part in self.settings.parts(self.path, None, lines):
                where, mixed, again = f"{self.original.name} from line {part.first}", dict[str, str](), set[str]()
                rows, flattened = part.table(self.settings.flatten, mixed, again, self.texts)
                spool.add(rows.with_columns(self.added.values(self.original, rows.columns)), flattened, where)
                path = str(spool.parts[-1]) if rows.height else None
                size = sum(map(len, part.items)) + len(part.items)
                found.append(_Read(where, path, rows.height, size, rows.columns, mixed, frozenset(again)))
        except Unusable as error:
            return [*found, _Read(error=str(error))]
        return found


@dataclass(frozen=True)
class _Part:
    """A batch of records as they are written in the file, and the number of the first; blank lines are not records."""

    unit: Literal["line", "record"]
    first: int
    items: list[bytes]
    around: frozenset[str] = frozenset()
    """The keys that the objects around the records repeat."""

    def table(
        self, flatten: bool, mixed: dict[str, str], repeated: set[str], texts: Mapping[str, pl.DataType]
    ) -> tuple[pl.DataFrame, Flattened]:
        """See ``json_records.table``. Raises ``Unusable`` naming the invalid record."""
        repeated |= self.around
        full = [item for item in self.items if item and not item.isspace()]
        if not full:
            return pl.DataFrame(), Flattened()
        try:
            if any(not item.lstrip().startswith(b"{") for item in full):
                raise Unusable("a record is not an object")
            packed = b"\n".join(full) if self.unit == "line" else json_records.lines(full)
            return json_records.table(packed, flatten=flatten, mixed=mixed, repeated=repeated, texts=texts)
        except Unusable:
            for number, item in enumerate(self.items, self.first):
                if item and not item.isspace():
                    _decode(item, f"{self.unit} {number}")
            raise


def _lossy(path: Path, target: Path) -> Path:
    """A copy in which bytes that are not UTF-8, and lone surrogates, are U+FFFD; cut at line ends, as nothing spans
    them."""
    with path.open("rb") as file, target.open("wb") as out:
        rest = b""
        while chunk := file.read(line_ranges.BATCH_BYTES):
            whole, end, rest = (rest + chunk).rpartition(b"\n")
            out.write(body_faults.without_lone_surrogates((whole + end).decode("utf-8", "replace").encode()))
        out.write(body_faults.without_lone_surrogates(rest.decode("utf-8", "replace").encode()))
    return target


def _markup(path: Path) -> str | None:
    """What a file of markup is, in words."""
    with path.open("rb") as file:
        return markup_kind.describe(file.read(65_536))


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
    head = file.read(line_ranges.MAX_LINE_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
    file.seek(0)
    line, _, rest = head.partition(b"\n")
    if not line.startswith(b"{") or not rest.strip():
        return False
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
