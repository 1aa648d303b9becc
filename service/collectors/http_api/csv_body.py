"""CSV pages of an API: every row is read as the csv collector reads files, or the page is refused with the line."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.collectors.csv_file import quoting, strict_reader, suspicions
from service.collectors.csv_file.dialect import Dialect
from service.collectors.csv_file.settings import OnMalformed
from service.collectors.csv_file.strict_reader import CsvRecord
from service.collectors.http_api import body_faults
from service.collectors.http_api.page_body import PageBody
from service.collectors.records import column_names
from service.collectors.records.unusable import Unusable
from service.kit import lazy
from service.kit.excerpts import excerpt
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_MARKUP = (b"<", b"{", b"[")
_FIELD = re.compile(rb'"[^"]*"')


@dataclass(frozen=True)
class CsvFormat:
    """How the pages are written: the dialect, the texts that mean missing, the names of the columns instead of the
    header's, and the columns whose numbers have a decimal comma. ``assumed``: the separator is a default.
    ``on_malformed``: what becomes of rows of the wrong shape."""

    dialect: Dialect = field(default_factory=Dialect)
    null_values: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()
    decimal_comma: bool = False
    schema: Mapping[str, str] = field(default_factory=dict)
    assumed: bool = True
    on_malformed: OnMalformed = "fail"

    @property
    def lenient(self) -> bool:
        """Whether malformed rows are left out."""
        return self.on_malformed in ("skip", "quarantine")

    @property
    def plain(self) -> bool:
        """Whether pages have commas, quotes and a header, without comments or other lines before it."""
        return self.dialect == Dialect()


def read(body: bytes, given: CsvFormat, content_type: str = "") -> PageBody:
    """Read CSV text; ``packed`` is text that a lenient parser reads exactly. Raises ``Unusable`` naming the line."""
    if not body.strip():
        return PageBody(0, b"")
    if body.lstrip()[:1] in _MARKUP and "csv" not in content_type.lower():
        raise Unusable(f"this is not CSV; it begins with {excerpt(body.lstrip(), 60)!r}")
    zero = body.find(b"\0")
    if zero >= 0:
        raise Unusable(suspicions.zero_byte(body.count(b"\n", 0, zero) + 1, zero))
    text = _whole(body.removeprefix(codecs.BOM_UTF8), given)
    try:
        rows = table(text.body, given).height
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        again = _exactly(text.body, b"\n", given)
        if text.rejected or not again.rejected:
            raise Unusable(f"this is not CSV that can be read ({str(error).splitlines()[0]})") from None
        text, rows = again, table(again.body, given).height
    return PageBody(rows, text.body, rejected=tuple(text.rejected), padded=tuple(text.padded))


@dataclass(frozen=True)
class _Text:
    """The text of a page that a lenient parser reads exactly, and the rows that were left out or padded."""

    body: bytes
    rejected: list[CsvRecord] = field(default_factory=list)
    padded: list[CsvRecord] = field(default_factory=list)


def _whole(body: bytes, given: CsvFormat) -> _Text:
    """The text with LF line ends and without empty lines. Raises ``Unusable`` for rows that are short, long or torn,
    unless they are left out."""
    eol = b"\n" if b"\n" in body or b"\r" not in body else b"\r"
    if not given.plain:
        return _exactly(body, eol, given)
    every = _FIELD.sub(b"", body).replace(b"\r\n", b"\n")
    bare = every.strip(b"\n")
    lines, header = bare.count(b"\n") + 1, bare.partition(b"\n")[0]
    fields = header.count(b",") + 1
    if given.assumed and fields == 1 and not given.column_names:
        wrong = suspicions.one_column(body, ",", "set separator to ','")
        if wrong is not None:
            raise Unusable(wrong)
    odd = (
        quoting.suspicious(body, b",", eol, b'"')
        or b'"' in bare
        or b"\r" in bare
        or (fields > 1 and (b"\n\n" in every or every.startswith(b"\n")))
    )
    if not odd and bare.count(b",") == lines * (fields - 1):  # the parser itself reports a row that is longer
        return _Text(body)
    return _exactly(body, eol, given)


def _exactly(body: bytes, eol: bytes, given: CsvFormat) -> _Text:
    """The same, read record by record."""
    kept: list[str] = []
    rejected, padded = list[CsvRecord](), list[CsvRecord]()
    try:
        text = body.decode("utf-8", "surrogateescape" if given.lenient else "strict")
    except UnicodeDecodeError:
        raise Unusable(str(body_faults.cause(body, "csv"))) from None
    try:
        for record in strict_reader.records_of(text, given.dialect, eol):
            if record.fault is not None:
                if not given.lenient or record.header:
                    raise Unusable(f"line {record.line}: {record.fault}{_hint(record, body, given)}")
                rejected.append(record)
            elif record.fields:
                kept.append(record.text.rstrip("\r\n"))
                if record.padded:
                    padded.append(record)
    except strict_reader.Unmendable as error:
        raise Unusable(str(error)) from None
    return _Text("\n".join(kept).encode(), rejected, padded)


def _hint(record: CsvRecord, body: bytes, given: CsvFormat) -> str:
    """Another separator that every row seems to have, or another setting that reads the row."""
    separator = given.dialect.separator.decode()
    other = suspicions.other_separator(body, separator) if given.assumed else None
    if other is not None:
        shown = other.replace("\t", "\\t")
        return f"; the rows seem to be separated by '{shown}' (separator)"
    return strict_reader.setting_for(record, separator)


def table(body: bytes, given: CsvFormat) -> pl.DataFrame:
    """The rows of CSV text, every column as text. Raises ``Unusable`` if ``column_names`` do not fit."""
    dialect = given.dialect
    quote = dialect.quote.decode() if dialect.quote is not None else None
    separator = dialect.separator.decode()
    frame = pl.read_csv(
        io.BytesIO(body), has_header=dialect.has_header, separator=separator, quote_char=quote, infer_schema=False,
        null_values=list(given.null_values) or None,
    )  # fmt: skip
    declared = suspicions.separator_line(frame.columns[0]) if dialect.has_header else None
    if declared is not None:
        raise Unusable(declared)
    if given.column_names:
        if len(given.column_names) != frame.width:
            raise Unusable(f"it has {frame.width} columns, and column_names has {len(given.column_names)}")
        frame.columns = list(given.column_names)
    elif dialect.has_header:
        first = pl.read_csv(
            io.BytesIO(body), has_header=False, n_rows=1, separator=separator, quote_char=quote, infer_schema=False
        ).row(0)
        frame.columns = column_names.unique([cell or "" for cell in first])[0]
    if not given.decimal_comma:
        return frame
    wanted = [n for n, text in given.schema.items() if n in frame.columns and _is_fraction(text)]
    return frame.with_columns(pl.col(wanted).str.replace(",", ".", literal=True))


def _is_fraction(text: str) -> bool:
    dtype = dtypes.parse(text)
    return dtype.is_float() or dtype.is_decimal()
