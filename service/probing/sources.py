"""The result of probing one source, and the probe of a file.

The first bytes determine the format of a source (``kind``). The beginning of a file is copied, decompressed, into the
job's folder: guesses and the trial of the proposal use that copy. Only a JSON document is read whole.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow.lib as pa

from service.collectors.http_api import pagination
from service.collectors.http_api.pagination import Kind
from service.collectors.records.json_records import Document
from service.collectors.records.unusable import Unusable
from service.collectors.source_file import utf8
from service.kit import errors
from service.probing import clues, dialects
from service.probing.finding import HtmlTable, Structure
from service.probing.trials import Verdict
from service.steps.context import CollectContext

STEP = "probe"
SourceFormat = Literal["json", "ndjson", "csv", "parquet", "html"]
HEAD_BYTES = 4 * 1024 * 1024
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_PARQUET = b"PAR1"
_SPACE = b" \t\r\n\xef\xbb\xbf"
_HTML = re.compile(rb"<(!doctype\s+html|html|head|body|table|div)\b", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass
class ProbedSource:
    """The result of a probe. ``collector`` is the proposal, ``trial`` holds settings that shorten its trial run.

    ``head`` is the copy that the trial reads; ``lenient`` are settings to add if the trial fails; ``tried`` is False if
    the source asks for such long intervals that there is no time for a trial.
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


def kind(head: bytes, content_type: str = "") -> SourceFormat:
    """``json``, ``ndjson``, ``csv``, ``parquet`` or ``html``. Raises ``Unusable`` for anything else."""
    if head.startswith(_PARQUET):
        return "parquet"
    what = utf8.file_kind(head)
    if what is not None:
        hint = "; unpack it, or save the sheet as CSV" if "spreadsheet" in what else ""
        raise Unusable(f"this is {what}; json, ndjson, csv, parquet and html are read{hint}")
    marked = utf8.bom_encoding(head)
    begin = head if marked is None else codecs.getincrementaldecoder(marked)("replace").decode(head[:65536]).encode()
    begin = begin.lstrip(_SPACE)
    if not begin:
        raise Unusable("it is empty")
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
        raise Unusable("this is not text; json, ndjson, csv, parquet and html are read")
    return "csv"


def written(kind: Kind) -> dict[str, Any]:
    """A pagination as a configuration, without settings that are null or unused."""
    given = pagination.settings_of(kind)
    if "limit" not in given:
        given.pop("limit_param", None)
    return given


def wrong(text: str, field: str) -> errors.Permanent:
    """The error for a source without a proposal."""
    return errors.Permanent(text, step=STEP, field=field)


def local(file_path: str, ctx: CollectContext) -> ProbedSource:
    """Probe a file. Raises ``errors.Permanent``."""
    files = ctx.files.resolve(ctx.fill(file_path), STEP, "file_path")
    path = files[0]
    try:
        found = _file(path, file_path, ctx)
    except (Unusable, utf8.Unreadable) as error:
        raise wrong(f"{path.name}: {error}", "file_path") from None
    if len(files) > 1:
        found.notes.append(f"{len(files)} files match; {path.name} was probed")
    return found


def _file(path: Path, file_path: str, ctx: CollectContext) -> ProbedSource:
    head, whole = _head(path, HEAD_BYTES)
    format = kind(head)
    collector: dict[str, Any] = {"type": "json" if format == "ndjson" else format, "file_path": file_path}
    found = ProbedSource(format, collector, trial={"file_path": str(path)})
    if format == "html":
        raise Unusable("this is an HTML page; the web collector fetches pages by URL, so give a url")
    if format == "json":
        if not whole:
            head, whole = _head(path, MAX_DOCUMENT_BYTES)
        if not whole:
            raise Unusable(f"a JSON document of more than {MAX_DOCUMENT_BYTES >> 20} MiB is not probed")
        found.records_path, others = clues.records_path(Document(head))
        if found.records_path is not None:
            collector["records_path"] = found.records_path
        mention(found, others)
    if format in ("csv", "ndjson"):
        found.head = (
            ctx.folder / "head" / path.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".bz2")
        )  # errors show this name
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
    """Add a note on other arrays that could be the records."""
    if others:
        found.notes.append(f"there are other arrays of objects too: {', '.join(others[:8])}")


def _head(path: Path, most: int) -> tuple[bytes, bool]:
    """The decompressed beginning, and whether it is the whole file. Raises ``utf8.Unreadable``."""
    with path.open("rb") as file:
        packing = utf8.compression(file.read(8))
    try:
        with pa.input_stream(str(path), compression=packing) as stream:
            head = bytes(stream.read(most + 1))
    except (OSError, pa.ArrowException) as error:
        raise utf8.Unreadable(f"it cannot be read: {error}") from None
    return head[:most], len(head) <= most


def _cut(head: bytes) -> bytes:
    """The whole lines of ``head``, also in UTF-16."""
    if head.startswith(_MARKS):
        text = head[: len(head) // 4 * 4].decode("utf-16", "replace")
        return text[: text.rfind("\n") + 1].encode("utf-16")
    end = head.rfind(b"\n") if b"\n" in head else head.rfind(b"\r")
    return head[: end + 1] or head
