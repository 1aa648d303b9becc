"""What a page's body holds, by ``response_format``: records that stay bytes until many pages are parsed together."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING

import msgspec

from service.collectors.csv_file import strict_reader
from service.collectors.csv_file.survey import Dialect
from service.collectors.records import column_names, json_records
from service.collectors.records.json_records import Document, Unusable
from service.collectors.source_file import utf8 as utf8_text
from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_MARKUP = (b"<", b"{", b"[")
_FIELD = re.compile(rb'"[^"]*"')


@dataclass(frozen=True)
class PageBody:
    """The records of one page, one object a line (for csv: the text as it came), and the document around them."""

    count: int
    packed: bytes
    document: Document | None = None


def utf8(body: bytes, content_type: str) -> bytes:
    """``body`` in UTF-8, where its byte order mark or its content type say another encoding. Else as it is."""
    marked = utf8_text.bom_encoding(body)
    if marked is not None:
        try:
            return body.decode(marked).encode()
        except UnicodeDecodeError:
            return body
    if "charset" not in content_type.lower():
        return body
    header = Message()
    header["content-type"] = content_type
    declared = header.get_content_charset("utf-8")
    try:
        body.decode()
    except UnicodeDecodeError:
        try:
            return body.decode(declared).encode()
        except (LookupError, UnicodeDecodeError):
            return body  # whoever reads it says what is wrong
    return body


def whole(body: bytes, kind: str) -> bool:
    """Whether a body whose length nothing says is all there: JSON that was cut is none any more."""
    text = utf8(body, "").rstrip()
    if kind == "ndjson":
        text = text.rpartition(b"\n")[2]
    if not text.startswith((b"{", b"[")):
        return bool(text) or kind == "ndjson"  # something else altogether, and none the shorter for it
    try:
        msgspec.json.decode(text, type=list[msgspec.Raw] if text.startswith(b"[") else dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def json(body: bytes, path: str | None, *, found: bool) -> tuple[PageBody, str | None]:
    """A JSON document, and where its records are (looked for unless ``found``). Raises ``Unusable``."""
    document = Document(body)
    where = path if found else document.path()
    items = document.records(where)
    return PageBody(len(items), json_records.lines(items), document), where


def ndjson(body: bytes) -> PageBody:
    """One object a line. Raises ``Unusable`` naming the line."""
    lines = [line.strip() for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    for number, line in enumerate(lines, 1):
        if line and not line.startswith(b"{"):
            raise Unusable(f"line {number} is no object; it begins with {line[:40].decode('utf-8', 'replace')!r}")
        try:
            if line:
                msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unusable(f"line {number} is not valid JSON ({error})") from None
    full = [line for line in lines if line]
    return PageBody(len(full), b"\n".join(full))


def csv(body: bytes, content_type: str = "") -> PageBody:
    """CSV text with a header, as text that a parser loses nothing of. Raises ``Unusable`` naming the line."""
    if not body.strip():
        return PageBody(0, b"")
    if body.lstrip()[:1] in _MARKUP and "csv" not in content_type.lower():
        shown = body.lstrip()[:60].decode("utf-8", "replace")
        raise Unusable(f"this is not CSV; it begins with {shown!r}")
    body = _whole(body.removeprefix(codecs.BOM_UTF8))
    try:
        rows = table(body).height
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        _exactly(body, b"\n")
        raise Unusable(f"this is not CSV that can be read ({str(error).splitlines()[0]})") from None
    return PageBody(rows, body)


def _whole(body: bytes) -> bytes:
    """The text with LF line ends and without empty lines. Raises ``Unusable`` for rows that are short, long or torn."""
    eol = b"\n" if b"\n" in body or b"\r" not in body else b"\r"
    bare = _FIELD.sub(b"", body).replace(b"\r\n", b"\n").strip(b"\n")
    lines, fields = bare.count(b"\n") + 1, bare.partition(b"\n")[0].count(b",") + 1
    odd = b'"' in bare or b"\r" in bare or (fields > 1 and b"\n\n" in bare)
    if not odd and bare.count(b",") == lines * (fields - 1):  # a parser says itself where one is longer
        return body
    return _exactly(body, eol)


def _exactly(body: bytes, eol: bytes) -> bytes:
    """The same, read record by record."""
    kept: list[str] = []
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Unusable(
            f"it is not valid UTF-8 ({error.reason} at byte {error.start}), and declares no charset"
        ) from None
    try:
        for record in strict_reader.records_of(text, Dialect(), eol):
            if record.fault is not None:
                raise Unusable(f"line {record.line}: {record.fault}")
            if record.fields:
                kept.append(record.text.rstrip("\r\n"))
    except strict_reader.Unmendable as error:
        raise Unusable(str(error)) from None
    return "\n".join(kept).encode()


def table(body: bytes) -> pl.DataFrame:
    """The rows of CSV text with a header, all of them text."""
    frame = pl.read_csv(io.BytesIO(body), infer_schema=False)
    first = pl.read_csv(io.BytesIO(body), has_header=False, n_rows=1, infer_schema=False).row(0)
    frame.columns = column_names.unique([cell or "" for cell in first])[0]
    return frame
