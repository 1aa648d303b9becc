"""A survey of a CSV file: one quick pass over its bytes, for what a parser would lose without a word.

An odd number of quote characters swallows the rest of a file, line ends of CR alone make one line of it, zero
bytes mean another encoding. On the way blocks are taken from all over the file, cut at line ends outside of
quotes: types are inferred from them, and not from the first rows alone.

The pass counts and never parses; where a count looks wrong, ``misfit`` reads the file slowly and exactly with
the standard library, and names the line. It has the last word: a file in which it finds nothing is well.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 256 * 1024
_BLOCK = 16 * 1024
_LEAST = 1024 * 1024
_MOST = 64 * 1024 * 1024  # the sample is held in memory
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Dialect:
    """How the file is written; single bytes."""

    separator: bytes = b","
    quote: bytes | None = b'"'
    comment: bytes | None = None
    skip_lines: int = 0
    has_header: bool = True


@dataclass
class Survey:
    """What the pass saw. ``sample`` is CSV text that begins like the file after ``skip_lines``."""

    size: int = 0
    start: int = 0
    quotes: int = 0
    separators: int | None = 0
    zero_at: int | None = None
    eol: bytes = b"\n"
    blank_tail: int = 0
    whole: bool = False
    blocks: list[bytes] = field(default_factory=list)

    @property
    def sample(self) -> bytes:
        return b"".join(self.blocks)

    @property
    def empty(self) -> bool:
        return not self.sample.strip(b" \t\r\n")

    @property
    def torn(self) -> bool:
        """Whether a quote seems to stay open at the end."""
        return self.quotes % 2 == 1

    def uneven(self, rows: int, columns: int, dialect: Dialect) -> bool:
        """Whether the number of separators says that some rows are shorter or longer. Known without quotes only."""
        if self.separators is None or self.quotes or dialect.comment:
            return False
        return self.separators != (rows + dialect.has_header) * (columns - 1)


def survey(path: Path, dialect: Dialect, sample_rows: int) -> Survey:
    """Read ``path`` once; ``sample_rows`` is about how many rows the sample is to hold."""
    found = Survey(size=path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        head = file.read(_CHUNK)
        found.eol = _line_end(head, path)
        found.start = _start(head, dialect.skip_lines, found.eol)
        file.seek(found.start)
        wanted = _wanted(head[found.start :], found, sample_rows)
        buffer = bytearray(_CHUNK)
        index = 0
        while size := file.readinto(buffer):
            _look(buffer, size, index, found, dialect, wanted)
            index += 1
        found.blank_tail = _blank_tail(file, found)
    return found


def _line_end(head: bytes, path: Path) -> bytes:
    if b"\n" in head or b"\r" not in head:
        return b"\n"
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            if b"\n" in chunk:
                return b"\n"
    return b"\r"


def _start(head: bytes, skip_lines: int, eol: bytes) -> int:
    at = len(_BOM) if head.startswith(_BOM) else 0
    for _ in range(skip_lines):
        found = head.find(eol, at)
        if found < 0:
            return len(head)
        at = found + 1
    return at


def _wanted(head: bytes, found: Survey, rows: int) -> dict[int, int]:
    """Which chunks give how many bytes to the sample: the first its beginning, others all over the file."""
    length = max(1, found.size - found.start)
    lines = max(1, head.count(found.eol))
    budget = min(_MOST, max(_LEAST, rows * max(1, len(head) // lines)))
    chunks = -(-length // _CHUNK)
    if budget >= length:
        found.whole = True
        return dict.fromkeys(range(chunks), _CHUNK)
    blocks = min(chunks, max(2, budget // _BLOCK))
    size = min(_CHUNK, budget // blocks)
    return {round(i * (chunks - 1) / max(1, blocks - 1)): size for i in range(blocks)}


def _look(buffer: bytearray, size: int, index: int, found: Survey, dialect: Dialect, wanted: dict[int, int]) -> None:
    if size < len(buffer):
        buffer = buffer[:size]
    if found.zero_at is None and b"\0" in buffer:
        found.zero_at = found.start + index * _CHUNK + buffer.find(b"\0")
    if index in wanted:
        _take(bytes(buffer[: wanted[index]]), index, found, dialect)
    if dialect.quote is not None:
        found.quotes += buffer.count(dialect.quote)
    if found.quotes:
        found.separators = None  # some of them may be inside quotes
    elif found.separators is not None:
        found.separators += buffer.count(dialect.separator)


def _take(block: bytes, index: int, found: Survey, dialect: Dialect) -> None:
    """Add a block to the sample, cut at line ends outside of quotes."""
    if found.whole:
        found.blocks.append(block)
        return
    odd = found.quotes % 2
    begin = 0 if index == 0 else _cut(block, found.eol, dialect.quote, odd, last=False)
    end = _cut(block, found.eol, dialect.quote, odd, last=True)
    if begin < end and not (dialect.comment and index):  # quotes in comments would mislead the cut
        found.blocks.append(block[begin:end])


def _cut(block: bytes, eol: bytes, quote: bytes | None, odd: int, *, last: bool) -> int:
    """The place after the first (or last) line end outside of quotes; the whole length where there is none."""
    at = block.rfind(eol) if last else block.find(eol)
    while at >= 0:
        if quote is None or (odd + block.count(quote, 0, at)) % 2 == 0:
            return at + 1
        at = block.rfind(eol, 0, at) if last else block.find(eol, at + 1)
    return 0 if last else len(block)


def _blank_tail(file: io.RawIOBase, found: Survey) -> int:
    """How many empty lines end the file: they are no rows."""
    tail = min(_BLOCK, found.size - found.start)
    file.seek(-tail, io.SEEK_END)
    end = (file.read(tail) or b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return max(0, len(end) - len(end.rstrip(b"\n")) - 1)


def misfit(path: Path, dialect: Dialect, eol: bytes) -> str | None:
    """The first malformed place of the file, with its line, or None where it is well. Reads it slowly."""
    quote = dialect.quote.decode() if dialect.quote else None
    at = [0]
    began = expected = 0
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=eol.decode()) as file:
        reader = csv.reader(
            _lines(file, dialect, at),
            delimiter=dialect.separator.decode(),
            quotechar=quote,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            strict=True,
        )
        try:
            for row in reader:
                if row and expected and len(row) != expected:
                    return f"line {began + 1}: {len(row)} fields where {expected} are expected"
                expected = expected or len(row)
                began = at[0]
        except csv.Error as error:
            return f"line {began + 1}: {_explained(str(error))}"
    return None


def _lines(file: Iterable[str], dialect: Dialect, at: list[int]) -> Iterator[str]:
    """The lines that count; ``at[0]`` is the number of the last one given out."""
    comment = dialect.comment.decode() if dialect.comment else None
    for number, line in enumerate(file, 1):
        if number > dialect.skip_lines and not (comment and line.startswith(comment)):
            at[0] = number
            yield line


def _explained(text: str) -> str:
    if "unexpected end" in text or "field larger" in text:
        return "a quoted field begins here and does not end"
    if "expected after" in text:
        return "text follows the end of a quoted field; a quote inside quotes is written twice"
    return text
