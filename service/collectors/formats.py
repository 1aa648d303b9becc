"""What a page's body holds, by ``response_format``: records that stay bytes until many pages are parsed together."""

from __future__ import annotations

import io
from dataclasses import dataclass
from email.message import Message

import msgspec
import polars as pl

from service.steps import records
from service.steps.records import Document, Unusable


@dataclass(frozen=True)
class Body:
    """The records of one page, one object a line (for csv: the text as it came), and the document around them."""

    count: int
    packed: bytes
    document: Document | None = None


def utf8(body: bytes, content_type: str) -> bytes:
    """``body`` in UTF-8, where it is in the encoding that its content type declares instead. Else as it is."""
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


def json(body: bytes, path: str | None, *, found: bool) -> tuple[Body, str | None]:
    """A JSON document, and where its records are (looked for unless ``found``). Raises ``Unusable``."""
    document = Document(body)
    where = path if found else document.path()
    items = document.records(where)
    return Body(len(items), records.lines(items), document), where


def ndjson(body: bytes) -> Body:
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
    return Body(len(full), b"\n".join(full))


def csv(body: bytes) -> Body:
    """CSV text with a header. Raises ``Unusable``."""
    if not body.strip():
        return Body(0, b"")
    try:
        rows = table(body).height
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise Unusable(f"this is not CSV that can be read ({str(error).splitlines()[0]})") from None
    return Body(rows, body)


def table(body: bytes) -> pl.DataFrame:
    """The rows of CSV text with a header, all of them text."""
    frame = pl.read_csv(io.BytesIO(body), infer_schema=False)
    if any('"' in name for name in frame.columns):  # names come as they are written, other fields without quotes
        first = pl.read_csv(io.BytesIO(body), has_header=False, n_rows=1, infer_schema=False).row(0)
        names = [read if '"' in name else name for name, read in zip(frame.columns, first, strict=True)]
        frame.columns = names if len(set(names)) == len(names) else frame.columns
    return frame
