"""A CSV file record by record, slowly and exactly: what is wrong with it and where, and a copy without that.

This is read only where a count looked wrong (``survey``) or the parser gave up. A record is kept as it was written,
so a copy differs from the file in what was left out and in nothing else.
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

from service.collectors.csv_file.survey import MAX_LINE, Dialect

_MOST_LINES = 2_000_000  # of one record; they are held, and tens of millions would not fit
NO_UTF8 = "is no UTF-8"
_UNDECODED = re.compile("[\udc80-\udcff]")  # what ``surrogateescape`` makes of a byte
_REREAD = 50  # times the file's size that may be read again after open quotes


@dataclass(frozen=True)
class CsvRecord:
    """One record: its first line's number (from 1), how it was written, and what is wrong with it."""

    line: int
    text: str
    fields: int
    fault: str | None = None

    @property
    def blank(self) -> bool:
        """Whether it is an empty line, which is no row where there are several columns."""
        return not self.text.strip("\r\n")


class Unmendable(Exception):
    """So many quotes stay open that nothing is sure. The message is meant for the user."""


def misfit(path: Path, dialect: Dialect, eol: bytes) -> str | None:
    """The first malformed place of the file, with its line, or None where it is well."""
    try:
        for record in records(path, dialect, eol):
            if record.fault is not None:
                return f"line {record.line}: {record.fault}"
    except Unmendable as error:
        return str(error)
    return None


def mend(path: Path, dialect: Dialect, eol: bytes, target: Path, drop: Callable[[CsvRecord], None]) -> bool:
    """Copy the records that are well to ``target``, without what precedes them, comments, and empty lines.

    ``drop`` is given the others. Answers whether anything but comments was left out, or a last line end was missing.
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
                if record.text.endswith(end):
                    continue
            changed = True
    return changed


def records(path: Path, dialect: Dialect, eol: bytes) -> Iterator[CsvRecord]:
    """Every record of the file after ``skip_lines`` and without comments. Raises ``Unmendable``."""
    csv.field_size_limit(MAX_LINE)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=eol.decode()) as file:
        yield from _Reading(file, dialect, path.stat().st_size).records()


def records_of(text: str, dialect: Dialect, eol: bytes) -> Iterator[CsvRecord]:
    """Every record of a text in memory. Raises ``Unmendable``."""
    csv.field_size_limit(MAX_LINE)
    yield from _Reading(io.StringIO(text, newline=eol.decode()), dialect, len(text)).records()


def fields(text: str, dialect: Dialect) -> list[str] | str:
    """The fields of one record, or what is wrong with it."""
    reading = _Reading(io.StringIO(text, newline=""), replace(dialect, skip_lines=0, comment=None), len(text))
    reader = reading.reader()
    try:
        row = next(reader)
        more = next(reader, None)
    except StopIteration:
        return "it is empty"
    except csv.Error as error:
        return _explained(str(error))
    return reading.stray(text) or ("it is several rows" if more is not None else row)


class _Reading:
    """Lines that can be given back: after an open quote the next line is read again, as a record of its own."""

    def __init__(self, file: TextIO, dialect: Dialect, size: int) -> None:
        self._file, self._dialect, self._size = file, dialect, size
        self._number = 0
        self._back: deque[tuple[int, str]] = deque()
        self._taken: list[tuple[int, str]] = []
        self._reread = 0
        separator, self._quote = dialect.separator.decode(), dialect.quote.decode() if dialect.quote else None
        self._comment = dialect.comment.decode() if dialect.comment else None
        self._separator = separator
        if self._quote is not None:
            q, s = re.escape(self._quote), re.escape(separator)
            one = rf"(?:{q}(?:[^{q}]++|{q}{q})*+{q}|[^{q}{s}]*+)"
            self._shape = re.compile(rf"{one}(?:{s}{one})*+", re.DOTALL)

    def reader(self) -> Iterator[list[str]]:
        """The fields of each record."""
        return csv.reader(
            self, delimiter=self._separator, quotechar=self._quote,
            quoting=csv.QUOTE_MINIMAL if self._quote else csv.QUOTE_NONE, strict=True,
        )  # fmt: skip

    def records(self) -> Iterator[CsvRecord]:
        expected = 0
        reader = self.reader()
        while True:
            self._taken = []
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._open(_explained(str(error)))
                continue
            text = "".join(line for _, line in self._taken)
            line = self._taken[0][0]
            fault = self.stray(text) or self._undecoded(text)
            if fault is None and row and expected and len(row) != expected:
                fault = f"{len(row)} field{'s' if len(row) != 1 else ''} where {expected} are expected"
            if fault is None:
                expected = expected or len(row)
            yield CsvRecord(line, text, len(row) if expected != 1 else 1, fault)

    def __iter__(self) -> _Reading:
        return self

    def __next__(self) -> str:
        """The next line that counts. It may come after the end, where lines were given back."""
        while True:
            if self._back:
                number, line = self._back.popleft()
            else:
                line = self._file.readline()
                if not line:
                    raise StopIteration
                self._number = number = self._number + 1
                if number <= self._dialect.skip_lines:
                    continue
            if self._comment is None or self._taken or not line.startswith(self._comment):
                self._taken.append((number, line))
                if len(self._taken) > _MOST_LINES:
                    text = f"a quoted field begins here and does not end within {_MOST_LINES} lines"
                    raise Unmendable(f"line {self._taken[0][0]}: {text}")
                return line

    def _open(self, fault: str) -> CsvRecord:
        """The first line of what could not be read is at fault; the others are read again."""
        (number, line), *others = self._taken
        self._back.extendleft(reversed(others))
        self._reread += sum(len(text) for _, text in others)
        if self._reread > _REREAD * self._size:
            raise Unmendable(f"line {number}: {fault}; too many quotes stay open to go on")
        return CsvRecord(number, line, 0, fault)

    def stray(self, text: str) -> str | None:
        """Whether a quote stands where none may."""
        if self._quote is None or self._quote not in text or self._shape.fullmatch(text.rstrip("\r\n")):
            return None
        return "a quote inside a field that is not quoted"

    def _undecoded(self, text: str) -> str | None:
        """Whether there are bytes that are no text."""
        found = None if self._dialect.lossy or text.isascii() else _UNDECODED.search(text)
        if found is None:
            return None
        byte = f"0x{ord(found[0]) - 0xDC00:02X}"
        return f"the byte {byte} {NO_UTF8}; set encoding to what the file is in (cp1252, say), or to utf-8-lossy"


def _explained(text: str) -> str:
    if "unexpected end" in text or "field larger" in text:
        return "a quoted field begins here and does not end"
    if "expected after" in text:
        return "text follows the end of a quoted field; a quote inside quotes is written twice"
    if "new-line character" in text:
        return "a carriage return inside a field that is not quoted; the file mixes line ends"
    return text
