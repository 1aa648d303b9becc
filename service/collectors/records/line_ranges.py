"""Ranges of a file of lines, which can be read beside each other, and the batches in which all lines are read.

A range begins where a batch of the whole file begins, so that batches, and what is inferred from each, are the same.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from service.collectors.records.unusable import Unusable

BATCH_BYTES = 8 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024 * 1024
BATCHES = 4
"""Batches in a range."""


@dataclass(frozen=True)
class LineRange:
    """The bytes from ``begin`` to ``end``, whose first line has the number ``first``."""

    begin: int = 0
    end: int | None = None
    first: int = 1


WHOLE = LineRange()


def divided(path: Path) -> list[LineRange]:
    """The ranges of a file, in order; one of a small file."""
    found: list[LineRange] = []
    at = cut = lines = begin = 0
    first = 1
    with path.open("rb", buffering=0) as file:
        for batch in itertools.count(1):
            chunk = _read(file, BATCH_BYTES)
            if not chunk:
                break
            last = chunk.rfind(b"\n")
            cut, lines, at = at + last + 1 if last >= 0 else cut, lines + chunk.count(b"\n"), at + len(chunk)
            if batch % BATCHES == 0 and cut > begin:
                found.append(LineRange(begin, cut, first))
                begin, first = cut, lines + 1
    return [*found, LineRange(begin, at, first)] if begin < at or not found else found


def batches(file: BinaryIO, lines: LineRange = WHOLE) -> Iterator[tuple[int, list[bytes]]]:
    """Lines in batches of a few megabytes, each with the number of its first line. Raises ``Unusable``."""
    number, rest, at = lines.first, b"", lines.begin
    file.seek(at)
    while True:
        wanted = BATCH_BYTES - at % BATCH_BYTES
        chunk = _read(file, wanted if lines.end is None else min(wanted, lines.end - at))
        at += len(chunk)
        if number == 1:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        full = (rest + chunk).split(b"\n")
        rest = full.pop() if chunk else b""
        if full:
            yield number, full
            number += len(full)
        if not chunk:
            return
        if len(rest) > MAX_LINE_BYTES:
            raise Unusable(f"line {number}: longer than {MAX_LINE_BYTES >> 20} MiB")


def _read(file: BinaryIO, size: int) -> bytes:
    """The next bytes, at most ``size``."""
    return file.read(size) or b""
