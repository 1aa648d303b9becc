"""The body of a page by ``response_format``: its records, which stay bytes until many pages are parsed together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message

import msgspec

from service.collectors.csv_file.strict_reader import CsvRecord
from service.collectors.http_api import answer_errors, body_faults, no_records
from service.collectors.records import json_records
from service.collectors.records.json_records import Document
from service.collectors.records.unusable import Unusable
from service.collectors.source_file import utf8 as utf8_text
from service.kit.excerpts import excerpt
from service.network import compression

LOSSY = "utf-8-lossy"


@dataclass(frozen=True)
class PageBody:
    """The number of records of a page, the records as one object per line (csv: the text), and the JSON document.

    ``keyless``: the page has nothing at the path of the records, which is read as no records. ``rejected`` are the
    malformed rows that are left out, ``padded`` the rows that were too short (csv). ``repeated`` are the keys that the
    objects around the records repeat.
    """

    count: int
    packed: bytes
    document: Document | None = None
    keyless: bool = False
    rejected: tuple[CsvRecord, ...] = ()
    padded: tuple[CsvRecord, ...] = ()
    repeated: frozenset[str] = frozenset()

    @property
    def sent(self) -> int:
        """The number of records that the source sent, with those that are left out."""
        return self.count + len(self.rejected)


def unpacked(body: bytes, limit: int) -> bytes:
    """``body`` decompressed if its bytes are gzip, bzip2 or Zstandard, whatever the headers say.

    Raises ``Unusable``.
    """
    packing = utf8_text.compression(body)
    if packing is None:
        return body
    try:
        return compression.unpacked(body, packing, limit)
    except (compression.TooMuch, compression.BrokenEncoding) as error:
        raise Unusable(str(error)) from None


def utf8(body: bytes, content_type: str, encoding: str | None = None) -> bytes:
    """``body`` in UTF-8: by its byte order mark, ``encoding``, or the charset of its content type, else unchanged.

    Raises ``Unusable`` for bytes that are not valid in ``encoding``.
    """
    marked = utf8_text.bom_encoding(body)
    if marked is not None:
        try:
            return body.decode(marked).encode()
        except UnicodeDecodeError:
            return body
    if encoding == LOSSY:
        return body_faults.without_lone_surrogates(body.decode("utf-8", "replace").encode())
    if encoding is not None:
        try:
            return body.decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise Unusable(
                f"it is not valid {encoding} ({error.reason} at byte {error.start}); check encoding"
            ) from None
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
            return body  # the reader reports what is wrong
    return body


def whole(body: bytes, kind: str) -> bool:
    """Whether a body without a declared length is complete: truncated JSON does not parse."""
    text = utf8(body, "").rstrip()
    if kind == "ndjson":
        text = text.rpartition(b"\n")[2]
    if not text.startswith((b"{", b"[")):
        return bool(text) or kind == "ndjson"  # not JSON: the reader reports it
    try:
        msgspec.json.decode(text, type=list[msgspec.Raw] if text.startswith(b"[") else dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class JsonPages:
    """Reads the pages of one collection from JSON. ``path`` is that of the records; None: they are found by themselves.

    ``on_error`` gets the error that an answer with status 200 reports, and may raise.
    """

    def __init__(self, path: str | None, on_error: Callable[[str, int], None]) -> None:
        self.path, self._on_error = path, on_error
        self._known = path is not None
        self._array: bool | None = None

    def read(self, body: bytes, page: int) -> PageBody:
        """Read page ``page`` (from 0). Raises ``Unusable``, and the errors of ``on_error``."""
        try:
            document = Document(body)
        except Unusable as error:
            cause = body_faults.cause(body)
            raise Unusable(cause) if cause else error from None
        reported = answer_errors.reported(document, self.path if self._known else None)
        if reported is not None:
            self._on_error(reported, page)
        if self._array and document.is_object:
            if document.keys:
                raise Unusable("the answer is an object, and the pages before are arrays")
            return PageBody(0, b"", document, keyless=True)
        path = self.path if self._known and self._array is not True else None
        if (
            path is not None
            and self._is_missing(document)
            and (self._array is False or no_records.is_empty(document, path))
        ):
            return PageBody(0, b"", document, keyless=True)
        where = self.path if self._known else document.path()
        items = document.records(where)
        self.path, self._known = where, self._known or bool(items)  # of several empty arrays any could be the right one
        if self._array is None and (items or page == 0):
            self._array = where is None
        repeated = frozenset(document.repeated_keys(where))
        return PageBody(len(items), json_records.lines(items), document, repeated=repeated)

    def _is_missing(self, document: Document) -> bool:
        """Whether nothing is at the path of the records, as on the last pages of some sources."""
        return self.path != json_records.WHOLE and document.is_object and document.at(str(self.path)) is None


def ndjson(body: bytes, on_error: Callable[[str, int], None], page: int) -> PageBody:
    """Read one object per line. Raises ``Unusable`` naming the line, and the errors of ``on_error``."""
    lines = [line.strip() for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    for number, line in enumerate(lines, 1):
        if line and not line.startswith(b"{"):
            wrong = body_faults.cause(body, "ndjson")
            begins = f"line {number} is not an object; it begins with {excerpt(line, 40)!r}"
            raise Unusable(f"{begins}; {wrong}" if wrong else begins)
        try:
            if line:
                msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            wrong = body_faults.cause(body, "ndjson")
            raise Unusable(f"line {number} is not valid JSON ({wrong or error})") from None
    full = [line for line in lines if line]
    if len(full) == 1:
        reported = answer_errors.reported(Document(full[0]), json_records.WHOLE)
        if reported is not None:
            on_error(reported, page)
    return PageBody(len(full), b"\n".join(full))
