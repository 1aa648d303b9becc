"""What makes CSV text suspicious whoever sends it, a file or an API: another separator, zero bytes."""

from __future__ import annotations

import re

from service.kit.excerpts import excerpt

_SEPARATORS = (b";", b"\t", b"|", b",")
_QUOTED = re.compile(rb'"[^"]*"')
_SAMPLE = 65_536
_LINES = 50


def separator_line(first: str) -> str | None:
    """What is wrong if the header begins with ``first``: the line in which Excel names the separator; or None."""
    if not first.lower().startswith("sep="):
        return None
    return f"the first line, '{first[:20]}', names the separator and not the columns; set skip_rows to 1, and separator"


def other_separator(text: bytes, separator: str) -> str | None:
    """A character that seems to separate the fields, since all first lines have it as often; or None."""
    lines = _first_lines(text)
    best, most = None, lines[0].count(separator.encode()) if lines else 0
    for mark in _SEPARATORS:
        counts = {line.count(mark) for line in lines}
        if mark != separator.encode() and len(counts) == 1 and max(counts) > most:
            best, most = mark.decode(), max(counts)
    return best


def one_column(text: bytes, separator: str, hint: str = "name it in column_names") -> str | None:
    """What is wrong if text of one column seems to have more, by another separator; or None. ``hint``: if it is one."""
    other = other_separator(text, separator)
    if other is None:
        return None
    header, shown = _first_lines(text)[0], other.replace("\t", "\\t")
    return (
        f"its one column is '{excerpt(header, 60)}', and each row has '{shown}' too; set separator to '{shown}' (or "
        f"{hint}, if it is one column)"
    )


def zero_byte(line: int, at: int) -> str:
    """What is wrong with text that has a zero byte in ``line``, ``at`` this place."""
    return f"line {line}: a zero byte (at {at}); is it UTF-16? Then set encoding"


def _first_lines(text: bytes) -> list[bytes]:
    """The first whole lines that are not empty, without quoted fields."""
    lines = _QUOTED.sub(b"", text[:_SAMPLE]).splitlines()
    whole = lines[:-1] if len(text) > _SAMPLE and len(lines) > 1 else lines
    return [line for line in whole[:_LINES] if line.strip(b" ")]
