"""The strict CSV reader: reads a file record by record, names each fault and its line, and copies the valid records.

It is used only if a count looks wrong (``survey``) or the parser fails. A record stays as it is written, so a copy
differs from the file only in the records that were left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from service.collectors.csv_file.dialect import Dialect
from service.collectors.csv_file.quoting import AFTER_END, Quotes
from service.collectors.csv_file.survey import MAX_LINE

_MOST_LINES = 2_000_000  # of one record, which is held in memory
NOT_UTF8 = "is not UTF-8"
_UNDECODED = re.compile("[\udc80-\udcff]")  # how ``surrogateescape`` represents an invalid byte
_COUNTS = re.compile(r"(\d+) fields? where (\d+)")
_REREAD = 50  # at most this many times the file's size is read again after open quotes


@dataclass(frozen=True)
class CsvRecord:
    """One record: the number of its first line (from 1), its text, its number of fields, and its fault, if any.

    The text has ``padded`` separators more, or a trailing separator less (``trimmed``), than the file, if the dialect
    says so.
    """

    line: int
    text: str
    fields: int
    fault: str | None = None
    padded: int = 0
    trimmed: bool = False
    header: bool = False
    """Whether it comes where the header is expected; a malformed header is not a row to leave out."""

    @property
    def blank(self) -> bool:
        """Whether it is an empty line, which is not a row in a file of several columns."""
        return not self.text.strip("\r\n")


def setting_for(record: CsvRecord, separator: str) -> str:
    """The setting with which a malformed row may be read, as a part of a message, or ''."""
    if "quote" in (record.fault or ""):
        return "; if quotes are plain text, set quote_char to null"
    counts = _COUNTS.match(record.fault or "")
    if counts is None:
        return ""
    fields, expected = int(counts[1]), int(counts[2])
    if fields < expected:
        return "; if fields at the end may be left out, set on_malformed to pad"
    if fields == expected + 1 and record.text.rstrip("\r\n").endswith(separator):
        return "; if rows end with a separator, set trailing_delimiter to true"
    return ""


class Unmendable(Exception):
    """Too many quotes stay open to tell records apart. The message is meant for the user."""


def first_fault(path: Path, dialect: Dialect, eol: bytes) -> str | None:
    """The first fault of the file, with its line, or None if it is valid."""
    try:
        for record in records(path, dialect, eol):
            if record.fault is not None:
                return f"line {record.line}: {record.fault}"
    except Unmendable as error:
        return str(error)
    return None


def mend(
    path: Path,
    dialect: Dialect,
    eol: bytes,
    target: Path,
    drop: Callable[[CsvRecord], None],
    padded: Callable[[CsvRecord], None] = lambda record: None,
) -> bool:
    """Copy the valid records to ``target``, without skipped lines, comments and empty lines.

    ``drop`` is called with the others, ``padded`` with those that were too short. Returns whether anything except
    comments was left out, or a line end or separator added.
    Raises ``Unmendable``.
    """
    changed = False
    end = eol.decode()
    with target.open("w", encoding="utf-8", errors="surrogateescape", newline="") as out:
        for record in records(path, dialect, eol):
            if record.fault is not None:
                drop(record)
            elif not record.blank or record.fields:
                out.write(record.text if record.text.endswith(end) else record.text + end)
                if record.padded:
                    padded(record)
                elif record.text.endswith(end) and not record.trimmed:
                    continue
            changed = True
    return changed


def records(path: Path, dialect: Dialect, eol: bytes) -> Iterator[CsvRecord]:
    """Every record of the file after ``skip_lines`` and without comments. Raises ``Unmendable``."""
    csv.field_size_limit(MAX_LINE)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=eol.decode()) as file:
        yield from _RecordReader(file, dialect, path.stat().st_size).records()


def records_of(text: str, dialect: Dialect, eol: bytes) -> Iterator[CsvRecord]:
    """Every record of a text in memory. Raises ``Unmendable``."""
    csv.field_size_limit(MAX_LINE)
    yield from _RecordReader(io.StringIO(text, newline=eol.decode()), dialect, len(text)).records()


def fields(text: str, dialect: Dialect) -> list[str] | str:
    """The fields of one record, or its fault."""
    reading = _RecordReader(io.StringIO(text, newline=""), replace(dialect, skip_lines=0, comment=None), len(text))
    reader = reading.reader()
    try:
        row = next(reader)
        more = next(reader, None)
    except StopIteration:
        return "it is empty"
    except csv.Error as error:
        return _explain(str(error))
    return reading.misquoted(text) or ("it is several rows" if more is not None else row)


class _RecordReader:
    """Splits lines into records. After an open quote the next line is read again, as a new record."""

    def __init__(self, file: TextIO, dialect: Dialect, size: int) -> None:
        self._file, self._dialect, self._size = file, dialect, size
        self._number = 0
        self._returned: deque[tuple[int, str]] = deque()
        self._lines: list[tuple[int, str]] = []
        self._reread = 0
        separator, self._quote = dialect.separator.decode(), dialect.quote.decode() if dialect.quote else None
        self._comment = dialect.comment.decode() if dialect.comment else None
        self._separator = separator
        self._quotes = Quotes(separator, self._quote)

    def reader(self) -> Iterator[list[str]]:
        """The fields of each record."""
        return csv.reader(
            self, delimiter=self._separator, quotechar=self._quote,
            quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE, strict=True,
        )  # fmt: skip

    def records(self) -> Iterator[CsvRecord]:
        expected = self._dialect.columns
        reader = self.reader()
        while True:
            self._lines = []
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._unclosed(_explain(str(error)), header=not expected and self._dialect.has_header)
                continue
            text = "".join(line for _, line in self._lines)
            line = self._lines[0][0]
            fault = self.misquoted(text) or self._undecodable(text)
            padded, trimmed = 0, False
            if fault is None and row:
                text, row, trimmed = self._trim(text, row, expected)
                text, row, padded = self._pad(text, row, expected)
            if fault is None and row and expected and len(row) != expected:
                fault = f"{len(row)} field{'s' if len(row) != 1 else ''} where {expected} are expected"
            header = not expected and self._dialect.has_header
            if fault is None:
                expected = expected or len(row)
            yield CsvRecord(line, text, len(row) if expected != 1 else 1, fault, padded, trimmed, header)

    def _trim(self, text: str, row: list[str], expected: int) -> tuple[str, list[str], bool]:
        """A record without the separator that ends it, if it has one field more than the header."""
        body = text.rstrip("\r\n")
        over = len(row) == expected + 1 if expected else len(row) > 1
        if not self._dialect.trailing_delimiter or not over or row[-1] or not body.endswith(self._separator):
            return text, row, False
        return body[:-1] + text[len(body) :], row[:-1], True

    def _pad(self, text: str, row: list[str], expected: int) -> tuple[str, list[str], int]:
        """A record with as many fields as the header, of which the missing ones are empty."""
        missing = expected - len(row)
        if not self._dialect.pad or missing <= 0:
            return text, row, 0
        body = text.rstrip("\r\n")
        return body + self._separator * missing + text[len(body) :], row + [""] * missing, missing

    def __iter__(self) -> _RecordReader:
        return self

    def __next__(self) -> str:
        """The next line that is not skipped or a comment; returned lines come first."""
        while True:
            if self._returned:
                number, line = self._returned.popleft()
            else:
                line = self._file.readline()
                if not line:
                    raise StopIteration
                self._number = number = self._number + 1
                if number <= self._dialect.skip_lines:
                    continue
            if self._comment is None or self._lines or not line.startswith(self._comment):
                self._lines.append((number, line))
                if len(self._lines) > _MOST_LINES:
                    text = f"a quoted field begins here and does not end within {_MOST_LINES} lines"
                    raise Unmendable(f"line {self._lines[0][0]}: {text}")
                return line

    def _unclosed(self, fault: str, *, header: bool) -> CsvRecord:
        """The first line of an unreadable record is at fault; its other lines are read again."""
        (number, line), *others = self._lines
        self._returned.extendleft(reversed(others))
        self._reread += sum(len(text) for _, text in others)
        if self._reread > _REREAD * self._size:
            raise Unmendable(f"line {number}: {fault}; too many quotes stay open to go on")
        return CsvRecord(number, line, 0, fault, header=header)

    def misquoted(self, text: str) -> str | None:
        """The fault of a record with a quote where none is allowed, or None."""
        return self._quotes.fault(text)

    def _undecodable(self, text: str) -> str | None:
        """The fault of a record with bytes that are not text, or None."""
        found = None if self._dialect.lossy or text.isascii() else _UNDECODED.search(text)
        if found is None:
            return None
        byte = f"0x{ord(found[0]) - 0xDC00:02X}"
        return (
            f"the byte {byte} {NOT_UTF8}; set encoding to the encoding of the file (such as cp1252), or to utf-8-lossy"
        )


def _explain(text: str) -> str:
    if "unexpected end" in text or "field larger" in text:
        return "a quoted field begins here and does not end"
    if "expected after" in text:
        return AFTER_END
    if "new-line character" in text:
        return "a carriage return inside a field that is not quoted; the file mixes line ends"
    return text
