"""The dialect of a CSV file, guessed from its first lines: encoding, separator, quote, header …

``chardet`` detects the encoding of files that are not UTF-8, and ``clevercsv`` the separator and the quote character
(of 1407 files none was wrong; ``csv.Sniffer`` missed 80). The header detection is written here, because that of the
libraries misses one file in five. The cells of a header are distinct words that do not look like the values below.

The libraries are imported on demand: loading them costs a child process 0.2 s.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_LOOK = 16 * 1024
_ROWS = 200
_PREAMBLE = 20
_SEPARATORS = [",", ";", "\t", "|"]
_VALUE = re.compile(
    r"[+-]?[\d.,:/\s%$€£TZ+-]*\d[\d.,:/\s%$€£TZ+-]*(e[+-]?\d+)?|true|false|yes|no|y|n|nan|na|n/a|null|none|-", re.I
)
_NUMBER = re.compile(r"[+-]?[\d.,\s%$€£]*\d[\d.,\s%$€£]*(e[+-]?\d+)?|nan|true|false|\d{4}-\d\d-\d\d.*", re.I)
_YEAR = re.compile(r"(1[89]|20|21)\d\d")
_NAME = re.compile(r"[^\W\d][\w .()/%#:-]{0,60}")
_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.I)
_POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.I)
_UNICODE = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8"),
)  # fmt: skip

_WESTERN = frozenset("äöüßÄÖÜéèêëàâáãåæçîïíìñóòôõøœúùûÉÈÊÀÁÂÃÇÑÓÔÕÅÆØŒÍÎÚ“”„‘’–—…•€£°§«»®©²³½º´¿¡")
_ODD = re.compile(r"[^\x00-\x7f]{3}|[a-z][£§«»³²½º¿¡][a-z]")

_DECLARED = re.compile(r'"?sep=([^"\n])"?\n', re.IGNORECASE)
"""The line that Excel writes above a table and does not show."""
_SURE = 1.0
_RAGGED = {
    "on_malformed": "some rows lack fields at their end, which become null (on_malformed: pad)",
    "trailing_delimiter": "rows end with a separator (trailing_delimiter)",
}


@dataclass
class Guess:
    """Settings of a csv collector that differ from its defaults, and notes on them for a person."""

    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    even: bool = False
    """Whether there are several columns and every sampled row has the same number of fields."""


def guess(head: bytes, *, whole: bool) -> Guess:
    """Guess the dialect of a file that begins with ``head``; ``whole``: ``head`` is the whole file."""
    found = Guess()
    text = _text(head, found, whole)
    lines = text[:_LOOK] if len(text) > _LOOK else text
    if not whole or len(text) > _LOOK:
        lines = lines[: lines.rfind("\n") + 1] or lines
    lines = lines.replace("\r\n", "\n").replace("\r", "\n")
    declared = _DECLARED.match(lines)
    lines = lines[declared.end() :] if declared is not None else lines
    separator, quote = _dialect(lines, found, declared[1] if declared is not None else None)
    rows = _rows(lines, separator, quote)
    ragged = _raggedness([row for row in rows if row and not row[0].startswith("#")])
    skip, comment = _preamble(lines, rows)
    if ragged:
        found.settings |= ragged
        found.notes += [_RAGGED[setting] for setting in ragged]
        skip = 0
    if comment:
        found.settings["comment_prefix"] = comment
    if skip:
        found.settings["skip_rows"] = skip
        found.notes.append(f"the first {skip} lines differ from the others and are skipped (skip_rows)")
    if declared is not None:
        found.settings["skip_rows"] = skip + 1
        found.notes.append("the first line names the separator and is skipped (skip_rows)")
    names = _commented_names(rows[skip:], separator)
    comment = "#" if names else comment
    rows = [row for row in rows[skip:] if not (comment and row and row[0].startswith(comment))]
    rows = [row for row in rows if row]
    found.even = len({len(row) for row in rows}) == 1 and len(rows[0]) > 1
    if names:
        found.settings |= {"comment_prefix": "#", "has_header": False, "column_names": names}
        found.notes.append("the last comment before the rows names the columns (column_names)")
        if min(map(len, rows)) < len(names):
            found.settings["on_malformed"] = "pad"
            found.notes.append(_RAGGED["on_malformed"])
    elif rows and not has_header(rows):
        found.settings["has_header"] = False
        found.notes.append("the first row looks like data, not like names; give the names in column_names")
    if separator != "," and _decimal_comma(rows):
        found.settings["decimal_comma"] = True
    return found


def _raggedness(rows: list[list[str]]) -> dict[str, Any]:
    """The setting for rows that are shorter or longer than the names above them, if they are so in a regular way.

    ``rows`` are without comments. A title above a table is narrower than it, and names are distinct words.
    """
    if len(rows) < 2 or len(rows[0]) < 2 or not _are_names([cell for cell in rows[0] if cell] or [""]):
        return {}
    width, widths = len(rows[0]), {len(row) for row in rows[1:]}
    closed = all(not row[-1] for row in rows[1:] if len(row) == max(widths))
    if closed and ((widths <= {width, width + 1} and width + 1 in widths) or (widths == {width} and not rows[0][-1])):
        return {"trailing_delimiter": True}
    titled = len(widths) == 1 and _header_score(rows[1:]) >= _SURE
    if all(rows[0]) and min(widths) < width == max((width, *widths)) and not titled:
        return {"on_malformed": "pad"}
    return {}


def _commented_names(rows: list[list[str]], separator: str) -> list[str]:
    """The names of the columns if the last comment above the first row has them and the row itself does not."""
    first = next((i for i, row in enumerate(rows) if row and not row[0].startswith("#")), 0)
    if not first or not rows[first - 1]:
        return []
    body = [row for row in rows[first:] if row and not row[0].startswith("#")]
    cells = [rows[first - 1][0].lstrip("#"), *rows[first - 1][1:]]
    names = [cell.strip() for cell in cells if cell.strip()]
    prose = separator == "," and any(cell.startswith(" ") for cell in cells[1:])
    fits = len(names) == max(map(len, body)) > 1 and _are_names(names)
    return names if fits and _header_score(body) < (0 if prose else _SURE) else []


def _are_names(cells: list[str]) -> bool:
    """Whether the cells can be names: distinct, and none is a number."""
    return len(set(cells)) == len(cells) and not any(_NUMBER.fullmatch(c.strip()) or not c.strip() for c in cells)


def _text(head: bytes, found: Guess, whole: bool) -> str:
    name = next((name for mark, name in _UNICODE if head.startswith(mark)), "utf-8")
    if name != "utf-8":
        found.settings["encoding"] = name
        return codecs.getincrementaldecoder(name)("replace").decode(head)
    try:
        return codecs.getincrementaldecoder("utf-8-sig")("strict").decode(head, final=whole)
    except UnicodeDecodeError:
        pass
    if _is_western(head):
        name = "cp1252"
    else:
        import chardet

        name = chardet.detect(head, encoding_era=chardet.EncodingEra.MODERN_WEB)["encoding"] or "cp1252"
    try:
        name = codecs.lookup(name).name
        text = codecs.getincrementaldecoder(name)("strict").decode(head, final=whole)
    except (LookupError, UnicodeDecodeError):
        found.settings["encoding"] = "utf-8-lossy"
        found.notes.append("no encoding fits all its bytes; bytes that are not UTF-8 become U+FFFD")
        return head.decode("utf-8", "replace")
    found.settings["encoding"] = name
    found.notes.append(f"it is not UTF-8; its letters suggest {name} (encoding); check the samples")
    return text


def _is_western(head: bytes) -> bool:
    """Whether ``head`` reads as Windows-1252 with single accented letters inside words, as in western Europe.

    A detector guesses wrongly if a file holds only a few names.
    """
    try:
        text = head.decode("cp1252")
    except UnicodeDecodeError:
        return False
    foreign = set(text) - _WESTERN
    return text.isascii() or not (any(c > "\x7f" for c in foreign) or _ODD.search(text) or {"õ", "û"} <= set(text))


def _dialect(lines: str, found: Guess, declared: str | None) -> tuple[str, str | None]:
    """The separator (``declared`` if the file has that) and the quote character; the settings get unusual ones."""
    import clevercsv

    usable = "\n".join(line for line in lines.split("\n") if not line.startswith("#")) or lines
    detected = clevercsv.Detector().detect(usable, delimiters=[declared] if declared else _SEPARATORS)
    separator = declared or (detected.delimiter if detected is not None else "") or ","
    quote = (detected.quotechar if detected is not None else "") or '"'
    if detected is not None and detected.escapechar:
        found.notes.append(
            f"'{detected.escapechar}' seems to escape quotes or separators inside fields; it is read as text"
        )
    if separator != ",":
        found.settings["separator"] = separator
    if quote != '"':
        found.settings["quote_char"] = quote
    return separator, quote


def _rows(lines: str, separator: str, quote: str | None) -> list[list[str]]:
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=separator, quotechar=quote)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) >= _ROWS:
                break
    except csv.Error:
        pass  # the rows before the error are enough for a guess
    return rows


def _preamble(lines: str, rows: list[list[str]]) -> tuple[int, str | None]:
    """The number of lines before the table, and the prefix of comments."""
    widths = Counter(len(row) for row in rows if row and not row[0].startswith("#"))
    usual = widths.most_common(1)[0][0] if widths else 0
    comment = "#" if any(row and row[0].startswith("#") and len(row) != usual for row in rows) else None
    if usual > 1:
        before: list[list[str]] = []  # rows before the table, without comments
        for number, row in enumerate(rows[: _PREAMBLE + 1]):
            if comment and row and row[0].startswith(comment):
                continue
            if len(row) == usual:
                return (
                    number if 0 < len(before) < widths[usual] and _one_line_each(rows[:number], lines) else 0
                ), comment
            before += [row] if row else []
    return 0, comment


def _one_line_each(rows: list[list[str]], lines: str) -> bool:
    """Whether each row before the table is one line of the file: ``skip_rows`` counts lines."""
    return not any("\n" in cell for row in rows for cell in row) and len(lines.split("\n")) > len(rows)


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns."""
    return _header_score(rows) > 0


def _header_score(rows: list[list[str]]) -> float:
    """How much the first row looks like names of columns: more than 0 if it does, ``_SURE`` if that is certain."""
    first, body = rows[0], rows[1:]
    filled = [cell.strip() for cell in first if cell.strip()]
    years = [cell for cell in filled if _YEAR.fullmatch(cell)]
    words = [cell for cell in filled if not _NUMBER.fullmatch(cell)]
    if len(filled) < len(first) - 1:
        return -1.0
    if len(words) < len(filled) and (not words or len(words) + len(years) < len(filled) or years != sorted(years)):
        return -1.0
    score = (0.0 if body else 1.0) - (len(set(filled)) < len(filled))  # header names rarely repeat
    for index, name in enumerate(first):
        values = [row[index] for row in body if index < len(row) and row[index].strip()]
        if not values or not name.strip():
            continue
        alike = any(map(str.isdigit, name)) and _VALUE.fullmatch(name.strip()) and not _YEAR.fullmatch(name.strip())
        if not alike and sum(_VALUE.fullmatch(v.strip()) is not None for v in values) >= 0.9 * len(values):
            score += 2.0  # a word above numbers and dates
        elif name in values:
            score -= 2.0
        elif _NAME.fullmatch(name.strip()):
            score += 0.25
        lengths = {len(v) for v in values}
        if len(lengths) == 1 and len(name) not in lengths and len(values) > 2:
            score += 1.0
    return score


def _decimal_comma(rows: list[list[str]]) -> bool:
    cells = [cell.strip() for row in rows[1:] for cell in row]
    return any(map(_COMMA.fullmatch, cells)) and not any(map(_POINT.fullmatch, cells))
