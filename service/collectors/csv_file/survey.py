"""Survey of a CSV file: one quick pass over its bytes that finds what a parser would lose silently.

An odd number of quote characters swallows the rest of a file, line ends of CR alone make one line of it, zero
bytes mean another encoding, and a row with too few separators is padded with nulls. So rows and separators
outside of quotes are counted, by Polars' own counter (a vector of bytes at a time; it also counts separators
if they are declared as line ends), on pieces of the file and not on the file: a mapped file would count as
memory. The same pass takes blocks from all over the file, cut at line ends outside of quotes, as the sample that
types are inferred from.

The pass counts and never parses. If a count looks wrong, the strict reader (``strict_reader``) reads the file and
decides: a file in which it finds no fault is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


from service.collectors.csv_file import quoting
from service.collectors.csv_file.dialect import Dialect

_CHUNK = 1024 * 1024
_PIECE = 4 * _CHUNK  # a query costs some time, so each counts many bytes; twice as many fall out of the caches
_BLOCK = 16 * 1024
_LINES = 4  # in a block, on average: those at its ends are cut off
_LEAST = 1024 * 1024
_MOST = 64 * 1024 * 1024  # the sample is held in memory
MAX_COLUMNS = 20_000
"""More are refused: the separator is wrong, or the data does not fit a table."""
MAX_HEADER = 16 * _CHUNK
"""A longer first line is refused: it is not a header."""
MAX_LINE = 512 * 1024 * 1024
"""A longer line is refused: the line ends are wrong, or a quote is open."""
_BOM = b"\xef\xbb\xbf"
_NOWHERE = "\x01"
_GLANCE = 64 * 1024
_FAR = 2 * _CHUNK
_RARE = 4096  # a byte that occurs less often than once in this number of bytes is rare


class Unreadable(Exception):
    """The file is not CSV text. The message is meant for the user."""


@dataclass
class Survey:
    """What the pass found. ``sample`` is CSV text that begins like the file after ``skip_lines``.

    ``lines`` counts line ends outside of quotes (also the header's), ``separators`` the separators outside of quotes;
    ``last`` is the text after the last line end; ``torn``: a quote seems to stay open at the end; ``misquoted``: a
    quote may be inside a field (``quoting``); ``stray_cr``: there are CRs without LF; ``pieces``: places outside of
    quotes, some megabytes from each other; with ``in_lines`` a line begins there.
    """

    size: int = 0
    start: int = 0
    lines: int = 0
    torn: bool = False
    misquoted: bool = False
    separators: int = 0
    zero_at: int | None = None
    stray_cr: bool = False
    eol: bytes = b"\n"
    blank_head: int = 0
    blank_tail: int = 0
    last: bytes = b""
    whole: bool = False
    blocks: list[bytes] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)
    in_lines: bool = False

    @property
    def sample(self) -> bytes:
        return b"".join(self.blocks)

    def empty(self, dialect: Dialect) -> bool:
        """Whether there is only white space."""
        return not self.sample.strip(b" \t\r\n".replace(dialect.separator, b""))

    def misleading(self, dialect: Dialect) -> bool:
        """Whether the parser would take a last row without line end for a comment, and fail."""
        return dialect.comment is not None and self.last.lstrip(dialect.quote or b"").startswith(dialect.comment)

    def header(self, dialect: Dialect) -> int:
        """How many fields the first line of the sample has, if it is one record."""
        first = self.sample[: self.sample.find(self.eol) + 1] or self.sample
        return _occurrences(first, dialect.separator, dialect.quote) + 1

    def rows(self, columns: int, dialect: Dialect) -> int:
        """The number of data rows. Empty lines at the end are not rows, unless the file has one column.

        Empty lines before a header are never rows.
        """
        blank = (self.blank_tail if columns > 1 else 0) + (self.blank_head if dialect.has_header else 0)
        return max(0, self.lines - dialect.has_header - blank)

    def uneven(self, columns: int, dialect: Dialect) -> bool:
        """Whether the number of separators shows that some rows are shorter or longer than the others."""
        return self.separators != (self.rows(columns, dialect) + dialect.has_header) * (columns - 1)


def survey(path: Path, dialect: Dialect, sample_rows: int) -> Survey:
    """Read ``path`` once; ``sample_rows`` is about how many rows the sample holds. Raises ``Unreadable``."""
    found = Survey(size=path.stat().st_size, in_lines=dialect.comment is not None)
    found.eol = _line_end(path, found.size)
    found.start = at = _start(path, dialect.skip_lines, found.eol)
    counter = _Counter(found, dialect)
    places: list[int] | None = None
    size = 0
    counting: Future[None] | None = None
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as other:
        read = _bounded(file, found.size)
        while True:
            file.seek(at)
            piece = _piece(read, found, dialect)
            if not piece:
                break
            if places is None:
                found.blank_head = piece[: len(piece) - len(piece.lstrip(b"\r\n"))].count(found.eol)
                places, size = _sample_places(piece, found, sample_rows, dialect.quote)
            inside = [place - at for place in places if at <= place < at + len(piece)]
            _add_to_sample(piece, inside, size, found, dialect)
            if counting is not None:
                counting.result()
            counting = other.submit(counter.count, piece, at)  # while the next piece is read and cut
            found.pieces.append(at)
            at += len(piece)
        if counting is not None:
            counting.result()
        found.blank_tail = _blank_tail(file.seek, file.read, found)
    return found


def _bounded(file: FileIO, size: int) -> Callable[[int], bytes]:
    """Reads of a file that had ``size`` bytes, which take no more memory than what is left of it.

    An allocator keeps what it gave out once: a worker of small files would grow by megabytes with each of them.
    """
    return lambda wanted: file.read(min(wanted, max(size - file.tell(), 0) + _BLOCK)) or b""


def _piece(read: Callable[[int], bytes], found: Survey, dialect: Dialect) -> bytes:
    """The next piece; it ends outside of quotes, and with a comment prefix also at a line end.

    Quotes in comments do not count, so spaces replace them in the piece.
    """
    piece = read(_PIECE)
    size = len(piece)
    while size == len(piece) and piece:
        piece = _mask_comment_quotes(piece, found, dialect)
        quotes = _quotes(piece, dialect)
        found.torn = quotes % 2 == 1
        if not found.torn and dialect.comment is None:
            break
        end = 0
        if not _one_line(piece, found.eol, dialect.quote if found.torn else None):
            end = cut(piece, found.eol, dialect.quote, quotes % 2, last=True)
        if end:
            found.torn = False
            return piece[:end]
        if size > MAX_LINE:
            raise Unreadable(f"a line is longer than {MAX_LINE >> 20} MiB; is a quote left open?")
        piece += read(size)
        size *= 2
    else:
        piece = _mask_comment_quotes(piece, found, dialect)
        found.torn = bool(piece) and _quotes(piece, dialect) % 2 == 1
    return piece


def _mask_comment_quotes(piece: bytes, found: Survey, dialect: Dialect) -> bytes:
    """``piece`` with spaces for the quotes in its comments."""
    comments = _comments(piece, found.eol, dialect) if dialect.quote is not None else []
    if dialect.quote is None or not comments:
        return piece
    shown = bytearray(piece)
    for begin, end in comments:
        shown[begin:end] = piece[begin:end].replace(dialect.quote, b" ")
    return bytes(shown)


def _comments(piece: bytes, eol: bytes, dialect: Dialect) -> list[tuple[int, int]]:
    """Start and end of each comment in a piece that begins outside of quotes; lines inside a field are not comments."""
    mark = dialect.comment
    if mark is None or mark not in piece:
        return []
    found, at, odd = [], 0, 0
    lines = eol + piece  # the first begins after a line end, too
    begin = lines.find(eol + mark)
    while begin >= 0:
        odd = (odd + _quotes(piece[at:begin], dialect)) % 2
        end = piece.find(eol, begin) + 1 or len(piece)
        if not odd:
            found.append((begin, end))
        at = begin if odd else end
        begin = lines.find(eol + mark, end)
    return found


def _quotes(piece: bytes, dialect: Dialect) -> int:
    """How many quotes there are, also in comments."""
    if dialect.quote is None:
        return 0
    return piece.count(dialect.quote) if len(piece) < _GLANCE else quoting.count_outside(piece, dialect.quote, None)


def _one_line(piece: bytes, eol: bytes, quote: bytes | None) -> bool:
    """Whether a piece with an open quote has no line end: one long field, not to be examined line by line."""
    if quote is None or piece.find(eol, 0, max(0, piece.find(quote))) >= 0:
        return False
    return _ends(piece + quote, eol.decode(), quote) == 1


class _Counter:
    """Counts lines and separators outside of quotes, piece by piece; each piece begins outside of quotes."""

    def __init__(self, found: Survey, dialect: Dialect) -> None:
        self._found, self._dialect = found, dialect
        self._ended_in_cr = False
        self._before = b""

    def count(self, piece: bytes, at: int) -> None:
        found, dialect = self._found, self._dialect
        if found.zero_at is None and b"\0" in piece:
            found.zero_at = at + piece.find(b"\0")
        if found.eol == b"\n" and not found.stray_cr:
            self._look_for_cr(piece)
        last = at + len(piece) == found.size
        comments = _comments(piece, found.eol, dialect)
        if comments:
            ends = [0, *(end for _, end in comments)]
            begins = [*(begin for begin, _ in comments), len(piece)]
            piece = b"".join(piece[end:begin] for end, begin in zip(ends, begins, strict=True))
        if not piece:
            return
        if dialect.quote is not None and not found.misquoted:
            before, self._before = self._before, piece[-1:]
            found.misquoted = quoting.suspicious(piece, dialect.separator, found.eol, dialect.quote, before)
        found.separators += _occurrences(piece, dialect.separator, dialect.quote)
        found.lines += _occurrences(piece, found.eol, dialect.quote)
        found.lines += last and not piece.endswith(found.eol)

    def _look_for_cr(self, piece: bytes) -> None:
        ended, self._ended_in_cr = self._ended_in_cr, piece.endswith(b"\r")
        if ended and not piece.startswith(b"\n"):
            self._found.stray_cr = True
        elif b"\r" in piece and piece.count(b"\r") - self._ended_in_cr > piece.count(b"\r\n"):
            self._found.stray_cr = True  # perhaps inside quotes, where it is harmless


def _occurrences(piece: bytes, what: bytes, quote: bytes | None) -> int:
    """How often the byte ``what`` occurs in ``piece`` outside of quotes.

    Polars' line counter is the fastest, but a thousand times slower than others on lines of megabytes.
    """
    plain = quote is None or quote not in piece
    if plain or piece.count(what, 0, _GLANCE) * _RARE < min(len(piece), _GLANCE):
        return quoting.count_outside(piece, what, None if plain else quote)
    return _ends(piece, what.decode(), quote) - (not piece.endswith(what))


def _ends(piece: bytes, eol: str, quote: bytes | None) -> int:
    """How many lines ``piece`` has, ended by ``eol`` outside of quotes; the last may lack its end."""
    lines = pl.scan_csv(
        piece,
        has_header=False,
        separator=_NOWHERE if eol != _NOWHERE else "\x02",
        eol_char=eol,
        quote_char=quote.decode() if quote is not None else None,
        infer_schema=False,
    )
    return int(lines.select(pl.len()).collect().item())


def _line_end(path: Path, size: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        read, returns = _bounded(file, size), False
        while chunk := read(_CHUNK):
            if b"\n" in chunk:
                return b"\n"
            returns = returns or b"\r" in chunk
    return b"\r" if returns else b"\n"


def line_at(path: Path, place: int, eol: bytes) -> int:
    """The number of the line, from 1, that holds the byte at ``place``."""
    number = 1
    with path.open("rb", buffering=0) as file:
        while place > 0 and (chunk := file.read(min(_CHUNK, place))):
            number += chunk.count(eol)
            place -= len(chunk)
    return number


def _start(path: Path, skip_lines: int, eol: bytes) -> int:
    with path.open("rb") as file:
        head = file.read(len(_BOM))
        at = len(_BOM) if head == _BOM else 0
        if not skip_lines:
            return at
        file.seek(at)
        for line in _lines(file.read, eol):
            at += len(line)
            skip_lines -= 1
            if not skip_lines:
                break
    return at


def _lines(read: Callable[[int], bytes], eol: bytes) -> Iterator[bytes]:
    rest = b""
    while chunk := read(_CHUNK):
        *lines, rest = (rest + chunk).split(eol)
        yield from (line + eol for line in lines)
    if rest:
        yield rest


def _sample_places(head: bytes, found: Survey, rows: int, quote: bytes | None) -> tuple[list[int], int]:
    """The offsets, all over the file, at which the sample is taken, and how many bytes at each."""
    length = max(1, found.size - found.start)
    outside = head[:_CHUNK].split(quote)[::2] if quote is not None else [head[:_CHUNK]]
    lines = sum(part.count(found.eol) for part in outside)  # fewer would fit a block than there are line ends
    line = max(1, min(len(head), _CHUNK) // max(1, lines))  # bytes, on average
    budget = min(_MOST, max(_LEAST, rows * line))
    if budget >= length:
        found.whole = True
        return [], 0
    blocks = max(2, budget // max(_BLOCK, _LINES * line))
    if length > blocks * _FAR:  # a piece begins outside of quotes, so none need to be counted
        blocks = min(blocks, -(-length // _PIECE))
        return [found.start + i * length // blocks // _PIECE * _PIECE for i in range(blocks)], budget // blocks
    size = budget // blocks
    return [found.start + round(i * (length - size) / (blocks - 1)) for i in range(blocks)], size


def _add_to_sample(piece: bytes, places: list[int], size: int, found: Survey, dialect: Dialect) -> None:
    """Add blocks of a piece to the sample, cut at line ends outside of quotes, so that they hold whole lines."""
    if found.whole:
        found.blocks.append(piece)
        return
    at = odd = 0
    for place in places:
        if dialect.comment and found.blocks:
            return  # quotes in comments would mislead the cut
        odd = (odd + _quotes(piece[at:place], dialect)) % 2
        at, block = place, piece[place : place + size]
        end = cut(block, found.eol, dialect.quote, (odd + _quotes(block, dialect)) % 2, last=True)
        begin = cut(block, found.eol, dialect.quote, odd, last=False) if found.blocks else 0
        if not found.blocks:  # the header, however long it is
            end = end or cut(piece, found.eol, dialect.quote, 0, last=False)
        if begin < end:
            found.blocks.append(piece[place + begin : place + end])


def cut(block: bytes, eol: bytes, quote: bytes | None, odd: int, *, last: bool) -> int:
    """The place after the first line end outside of quotes (default: the length), or after the last one (default: 0).

    ``odd``: the search begins inside of quotes, at the block's beginning or (``last``) at its end.
    """
    edge = len(block) if last else 0
    while True:
        if last and odd and quote is not None:  # no line ends inside quotes: go to where the quote was opened
            edge, odd = max(0, block.rfind(quote, 0, edge)), 0
        at = block.rfind(eol, 0, edge) if last else block.find(eol, edge)
        if at < 0:
            return 0 if last else len(block)
        if quote is not None:
            odd = (odd + (block.count(quote, at, edge) if last else block.count(quote, edge, at))) % 2
        if odd == 0:
            return at + 1
        edge = at if last else at + 1


def _blank_tail(seek: Callable[[int], int], read: Callable[[int], bytes], found: Survey) -> int:
    """How many empty lines end the file; they are not rows. Beside LF, a CR is text unless that or nothing follows."""
    tail = min(_BLOCK, found.size - found.start)
    seek(found.size - tail)
    end = read(tail) or b""
    found.last = end.rpartition(found.eol)[2]
    end += b"\n" if found.eol == b"\n" and end.endswith(b"\r") else b""
    end = end.replace(b"\r\n", b"\n") if found.eol == b"\n" else end.replace(b"\r", b"\n")
    return max(0, len(end) - len(end.rstrip(b"\n")) - 1)
