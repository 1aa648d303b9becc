"""Sources: what a look at one source brought together, and the look at a file.

The first bytes say what a source is (``kind``). Of a file the beginning is copied, decompressed, into the job's own
folder: that is what is guessed from and what the proposal is tried on; only a JSON document must be read whole.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.lib as pa

from service.collectors.http_api.pagination import Kind
from service.collectors.records.json_records import Document, Unusable
from service.collectors.source_file import utf8
from service.kit import errors
from service.probing import clues, dialects
from service.probing.finding import HtmlTable, Structure
from service.probing.trials import Verdict
from service.steps.context import CollectContext

STEP = "probe"
HEAD_BYTES = 4 * 1024 * 1024
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_PARQUET = b"PAR1"
_SPACE = b" \t\r\n\xef\xbb\xbf"
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|table|div)\b", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass
class ProbedSource:
    """What was found. ``collector`` is the proposal, ``trial`` the settings that make a short run of it.

    ``head`` is the copy that the trial reads; ``lenient`` are settings that may be added where the trial fails;
    ``tried`` False: the source wants to be asked so slowly that there is no time for a trial.
    """

    format: str
    collector: dict[str, Any] | None = None
    trial: dict[str, Any] = field(default_factory=dict)
    lenient: dict[str, Any] = field(default_factory=dict)
    head: Path | None = None
    tried: bool = True
    records_path: str | None = None
    pagination: Verdict | None = None
    tables: list[HtmlTable] = field(default_factory=list)
    structures: list[Structure] = field(default_factory=list)
    robots: tuple[bool, float] | None = None
    requests: int = 0
    notes: list[str] = field(default_factory=list)


def kind(head: bytes, content_type: str = "") -> str:
    """``json``, ``ndjson``, ``csv``, ``parquet`` or ``html``. Raises ``Unusable`` for anything else."""
    if head.startswith(_PARQUET):
        return "parquet"
    what = utf8.file_kind(head)
    if what is not None:
        raise Unusable(f"this is {what}; json, ndjson, csv, parquet and html are read")
    marked = utf8.bom_encoding(head)
    begin = head if marked is None else codecs.getincrementaldecoder(marked)("replace").decode(head[:65536]).encode()
    begin = begin.lstrip(_SPACE)
    if not begin:
        raise Unusable("there is nothing in it")
    if begin.startswith(b"<"):
        if _HTML.search(begin[:4096]) or "html" in content_type:
            return "html"
        raise Unusable("this is XML; json, ndjson, csv, parquet and html are read")
    if begin[:1] in b"{[":
        first, _, rest = begin.partition(b"\n")
        lines = first.strip().startswith(b"{") and rest.lstrip().startswith(b"{") and first.strip().endswith(b"}")
        return "ndjson" if lines or "ndjson" in content_type or "jsonl" in content_type else "json"
    if "html" in content_type:
        return "html"
    if marked is None and _CONTROL.search(head[:65536]):
        raise Unusable("this is no text; json, ndjson, csv, parquet and html are read")
    return "csv"


def written(kind: Kind) -> dict[str, Any]:
    """A pagination as it stands in a configuration, without what was not set."""
    given = {k: v for k, v in msgspec.to_builtins(kind).items() if v is not None}
    if "limit" not in given:
        given.pop("limit_param", None)
    return given


def wrong(text: str, field: str) -> errors.Permanent:
    """The error of a source that cannot be proposed."""
    return errors.Permanent(text, step=STEP, field=field)


def local(file_path: str, ctx: CollectContext) -> ProbedSource:
    """A look at a file. Raises ``errors.Permanent``."""
    files = ctx.files.resolve(ctx.fill(file_path), STEP, "file_path")
    path = files[0]
    try:
        found = _file(path, file_path, ctx)
    except (Unusable, utf8.Unreadable) as error:
        raise wrong(f"{path.name}: {error}", "file_path") from None
    if len(files) > 1:
        found.notes.append(f"{len(files)} files match; {path.name} was looked at")
    return found


def _file(path: Path, said: str, ctx: CollectContext) -> ProbedSource:
    head, whole = _head(path, HEAD_BYTES)
    format = kind(head)
    collector: dict[str, Any] = {"type": "json" if format == "ndjson" else format, "file_path": said}
    found = ProbedSource(format, collector, trial={"file_path": str(path)})
    if format == "html":
        raise Unusable("this is a page of HTML; the web collector fetches pages from their addresses, so give a url")
    if format == "json":
        if not whole:
            head, whole = _head(path, MAX_DOCUMENT_BYTES)
        if not whole:
            raise Unusable(f"a JSON document of more than {MAX_DOCUMENT_BYTES >> 20} MiB is not looked into")
        found.records_path, others = clues.records_path(Document(head))
        if found.records_path is not None:
            collector["records_path"] = found.records_path
        mention(found, others)
    if format in ("csv", "ndjson"):
        found.head = ctx.folder / "head" / path.name.removesuffix(".gz").removesuffix(".zst")  # errors name it
        found.head.parent.mkdir()
        found.head.write_bytes(head if whole else _cut(head))
        found.trial = {"file_path": str(found.head)}
    if format == "csv":
        guess = dialects.guess(head, whole=whole)
        collector |= guess.settings
        found.notes += guess.notes
        found.lenient = {"on_malformed": "quarantine"}
    return found


def mention(found: ProbedSource, others: list[str]) -> None:
    """Say where else records could be."""
    if others:
        found.notes.append(f"there are other arrays of objects too: {', '.join(others[:8])}")


def _head(path: Path, most: int) -> tuple[bytes, bool]:
    """The decompressed beginning, and whether that is all of it. Raises ``utf8.Unreadable``."""
    with path.open("rb") as file:
        packing = utf8.compression(file.read(8))
    try:
        with pa.input_stream(str(path), compression=packing) as stream:
            head = bytes(stream.read(most + 1))
    except (OSError, pa.ArrowException) as error:
        raise utf8.Unreadable(f"it cannot be read: {error}") from None
    return head[:most], len(head) <= most


def _cut(head: bytes) -> bytes:
    """Whole lines only, in whatever width their characters have."""
    if head.startswith(_MARKS):
        text = head[: len(head) // 4 * 4].decode("utf-16", "replace")
        return text[: text.rfind("\n") + 1].encode("utf-16")
    end = head.rfind(b"\n") if b"\n" in head else head.rfind(b"\r")
    return head[: end + 1] or head
