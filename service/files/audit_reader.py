"""Reading the audit log, newest events first, a page at a time.

A page reads a bounded number of bytes: a filter that fits little has several short pages instead of a long wait.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

from service.files import audit_file

MOST_BYTES = 16 << 20
"""That one page reads."""
_BLOCK = 64 * 1024
_POSITION = re.compile(r"(\d{4}-\d{2}-\d{2}):(\d{1,15})")


class Position(NamedTuple):
    """Where a page ended: everything older is before this byte of the file of this day, or in older files."""

    day: date
    offset: int

    def __str__(self) -> str:
        return f"{self.day.isoformat()}:{self.offset}"

    @classmethod
    def of(cls, text: str) -> Position:
        """The position in a text. Raises ``ValueError``."""
        found = _POSITION.fullmatch(text)
        if found is None:
            raise ValueError("not a position")
        return cls(date.fromisoformat(found[1]), int(found[2]))


class Page(NamedTuple):
    """Lines without their ends, newest first, and where the next page begins; None after the oldest line."""

    lines: list[bytes]
    next: Position | None


def read(
    folder: Path, wanted: Callable[[bytes], bool], *, limit: int, first: date | None = None, last: date | None = None,
    before: Position | None = None,
) -> Page:  # fmt: skip
    """At most ``limit`` lines that are ``wanted``, of the days from ``first`` to ``last``. Raises ``OSError``."""
    found: list[bytes] = []
    left = MOST_BYTES
    for day in reversed(audit_file.days(folder)):
        if (last is not None and day > last) or (before is not None and day > before.day):
            continue
        if first is not None and day < first:
            break
        most = before.offset if before is not None and day == before.day else None
        for offset, line in _backwards(audit_file.path(folder, day), most):
            if len(found) == limit or left <= 0:
                return Page(found, Position(day, offset + len(line) + 1))
            left -= len(line) + 1
            if wanted(line):
                found.append(line)
    return Page(found, None)


def _backwards(file: Path, most: int | None) -> Iterator[tuple[int, bytes]]:
    """The whole lines before the byte ``most``, the last first, each with the offset of its first byte."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # it was dropped meanwhile
        return
    try:
        size = os.fstat(handle).st_size
        at = size if most is None else min(size, most)
        block, stop = b"", 0  # the bytes of the file from ``at`` on, of which those before ``stop`` are whole lines
        while at or stop:
            cut = block.rfind(b"\n", 0, max(0, stop - 1))
            if stop and (cut >= 0 or not at):
                yield at + cut + 1, block[cut + 1 : stop - 1]
                stop = cut + 1
            elif not at or len(block) > 2 * audit_file.MOST_BYTES:  # nobody wrote so long a line
                return
            else:
                step = min(_BLOCK, at)
                at -= step
                block = os.pread(handle, step, at) + (block[:stop] if stop else block)
                stop = len(block) if stop else block.rfind(b"\n") + 1
    finally:
        os.close(handle)
