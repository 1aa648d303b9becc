"""Byte ranges of a CSV file that begin and end with a record, so that they can be parsed beside each other.

The survey knows places outside of quotes; the first line end outside of quotes after such a place ends a record. A
range is read into memory where it is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.collectors.csv_file.survey import Survey, cut
from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
    import polars.io.plugins as plugins
else:
    pl = lazy.module("polars")
    plugins = lazy.module("polars.io.plugins")

SIZE = 32 << 20
"""Bytes of a range. An executor holds it, and several times as much of its values."""
_ROWS = 50_000
_GLANCE = 64 << 10
_MOST_BLANK = 4096
"""Lines at the end of a file; of more the survey does not know exactly how many there are."""


def divided(path: Path, found: Survey, quote: bytes | None, columns: int) -> list[tuple[int, int]]:
    """Where the ranges of about ``SIZE`` bytes begin and end; none if the file is not divisible, or too small.

    A range never begins with an empty line: the parser takes its columns from the first one.
    """
    if found.torn or found.size < 2 * SIZE or found.blank_tail > _MOST_BLANK:
        return []
    starts, least = [0], found.start + SIZE
    with path.open("rb", buffering=0) as file:
        end = found.size - (_blank(file, found) if columns > 1 else 0)
        for place in found.pieces:
            if place < least:
                continue
            file.seek(place)
            at = place + _record_start(file.read, found, quote)
            if at >= end:
                break
            starts.append(at)
            least = at + SIZE
    return list(zip(starts, [*starts[1:], end], strict=True)) if len(starts) > 1 else []


def _record_start(read: Callable[[int], bytes], found: Survey, quote: bytes | None) -> int:
    """How far the next record is that ``read`` comes to from one of the ``pieces``; empty lines are passed."""
    text = read(_GLANCE)
    while True:
        at = 0 if found.in_lines else cut(text, found.eol, quote, 0, last=False)
        while text[at : at + 1] in (b"\n", b"\r"):
            at += 1
        if at < len(text):
            return at
        more = read(len(text))
        if not more:
            return len(text)
        text += more


def _blank(file: Any, found: Survey) -> int:
    """How many bytes the empty lines take that end the file, which are not rows."""
    wanted = min(found.size, 2 * _MOST_BLANK + 2)
    file.seek(found.size - wanted)
    tail = file.read(wanted)
    text = tail.rstrip(b"\r\n")
    ended = tail[len(text) :]
    return len(ended) - len(ended[: ended.find(found.eol) + 1]) if found.blank_tail else 0


def scans(
    path: Path, ranges: Sequence[tuple[int, int]], names: Sequence[str], options: dict[str, Any]
) -> list[pl.LazyFrame]:
    """A scan of each range as text; ``options`` are those of ``scan_csv`` for the whole file."""
    schema = pl.Schema(dict.fromkeys(names, pl.String()))
    later = options | {"has_header": False, "skip_lines": 0}
    return [
        plugins.register_io_source(_Range(path, begin, end, schema, later if begin else options), schema=schema)
        for begin, end in ranges
    ]


@dataclass(frozen=True)
class _Range:
    """A source of the rows in a range, which can be sent to another process."""

    path: Path
    begin: int
    end: int
    schema: pl.Schema
    options: dict[str, Any]

    def __call__(
        self, wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.begin)
            text = file.read(self.end - self.begin)
        lf = pl.scan_csv(text, schema=self.schema, n_rows=rows, **self.options)
        lf = lf if wanted is None else lf.select(wanted)
        lf = lf if predicate is None else lf.filter(predicate)
        yield from lf.collect_batches(chunk_size=_ROWS, engine="streaming")
