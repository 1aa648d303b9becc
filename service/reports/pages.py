"""Runs, versions and their differences as pages: one template each, in the frame and style of all reports.

A page loads nothing else, and its style is for itself only, so that a notebook shows it among other things, light or
dark. Texts of the data are escaped, and cut: a page has a bounded size, whatever the data are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

MOST_COLUMNS = 100
MOST_ROWS = 20
_LONGEST = 80
_NOTES = 20
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")

JsonObject = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """A value as it is shown; ``before`` is what it was, where it changed."""

    text: str
    number: bool = False
    before: str | None = None


@dataclass(frozen=True)
class Rows:
    """A table of the page; ``left_out`` says what it does not show."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    left_out: str = ""


def run(found: JsonObject) -> str:
    """The page of a run, from its JSON form."""
    error = found["error"]
    return _render(
        "run.html",
        run=found,
        figures=[
            ("rows stored", _text(found["rows_stored"])),
            ("rows collected", _text(found["rows_collected"])),
            ("rows rejected", _text(found["rows_rejected"])),
            ("version", _text(found["version"])),
            ("duration", _duration(found["duration"])),
            ("most memory", _size(found["peak_memory_bytes"])),
        ],
        errors=[f"{error['code']}: {error['message']}"] if error else [],
        held=_messages(found["held_because"]),
        warnings=[f"{warning['step']}: {warning['message']}" for warning in found["warnings"][:_NOTES]],
        steps=_rows(
            ("step", "rows in", "rows out", "read", "written", "duration"),
            [
                [
                    Cell(_text(step["step"])),
                    _cell(step["rows_in"]),
                    _cell(step["rows_out"]),
                    Cell(_size(step["bytes_read"]), number=True),
                    Cell(_size(step["bytes_written"]), number=True),
                    Cell(_duration(step["duration"]), number=True),
                ]
                for step in found["steps"]
            ],
            MOST_COLUMNS,
        ),
    )


def version(found: JsonObject) -> str:
    """The page of a version, from its JSON form."""
    return _render(
        "version.html",
        version=found,
        figures=[
            ("rows", _text(found["rows"])),
            ("columns", _text(len(found["columns"]))),
            ("stored", _size(found["bytes"])),
            ("rows in quarantine", _text(found["rows_quarantined"])),
        ],
        held=_messages(found["held_because"]),
        changes=[_change(change) for change in found["schema_changes"][:_NOTES]],
        columns=_rows(
            ("name", "type"),
            [[Cell(_text(column["name"])), Cell(_text(column["type"]))] for column in found["columns"]],
            MOST_COLUMNS,
        ),
    )


def diff(found: JsonObject) -> str:
    """The page of the differences of two versions, from their JSON form."""
    rows, samples = found["rows"], found["samples"]
    names = dict.fromkeys([*found["key"], *(column["name"] for column in found["columns"])])
    return _render(
        "diff.html",
        diff=found,
        figures=[(what, _text(rows[what])) for what in ("added", "removed", "changed", "unchanged", "before", "after")],
        columns=_rows(
            ("name", "type", "change", "rows changed", "missing", "mean", "PSI"),
            [_compared(column) for column in found["columns"]],
            MOST_COLUMNS,
        ),
        added=_sample(names, samples["added"]),
        removed=_sample(names, samples["removed"]),
        changed=_sample(names, [row["after"] for row in samples["changed"]], [r["before"] for r in samples["changed"]]),
    )


def _compared(column: JsonObject) -> list[Cell]:
    missing, mean = column["missing_share"], column["mean"]
    return [
        Cell(_text(column["name"])),
        Cell(_text(column["type"])),
        Cell(column["change"] or ""),
        _cell(column["changed"]),
        _moved(*(None if share is None else f"{share:.1%}" for share in (missing["before"], missing["after"]))),
        _moved(*(None if value is None else f"{value:,.6g}" for value in (mean["before"], mean["after"]))),
        _cell(None if column["psi"] is None else round(column["psi"], 4)),
    ]


def _moved(before: str | None, after: str | None) -> Cell:
    """A figure of both versions; one that is the same, or in one of them only, stands alone."""
    if before is None or before == after:
        return Cell(after or "–", number=True)
    return Cell(after or "–", number=True, before=before)


def _sample(names: Iterable[str], rows: Sequence[JsonObject], before: Sequence[JsonObject] | None = None) -> Rows:
    """Rows of the data, of the columns that they have, in the order of ``names``."""
    places = {name: place for place, name in enumerate(names)}
    present = dict.fromkeys(name for row in (*rows, *(before or ())) for name in row)
    shown = sorted(present, key=lambda name: places.get(name, len(places)))[:MOST_COLUMNS]
    were = before if before is not None else [{}] * len(rows)
    cells = [
        [_cell(row.get(name), old.get(name) if before is not None else row.get(name)) for name in shown]
        for row, old in zip(rows, were, strict=True)
    ]
    return _rows(shown, cells, MOST_ROWS)


def _rows(columns: Sequence[str], rows: Sequence[Sequence[Cell]], most: int) -> Rows:
    left = len(rows) - most
    return Rows(columns, rows[:most], f"{left:,} more are in the JSON form." if left > 0 else "")


def _cell(value: Any, before: Any = ...) -> Cell:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    changed = before is not ... and before != value
    return Cell(_text(value), number, _text(before) if changed else None)


def _change(change: JsonObject) -> str:
    types = " → ".join(_text(change[when]) for when in ("before", "after") if change[when] is not None)
    return f"{change['column']}: {change['change']} ({types})"


def _messages(breaches: Iterable[JsonObject]) -> list[str]:
    return [str(breach["message"]) for breach in breaches][:_NOTES]


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:,}"  # every digit
    return _shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _size(count: float | None) -> str:
    if count is None:
        return "–"
    place = 0
    while count >= 1024 and place < len(_BYTES) - 1:
        count, place = count / 1024, place + 1
    return f"{count:.1f} {_BYTES[place]}" if place else f"{count:.0f} B"


def _instant(at: str) -> str:
    return f"{at[:16].replace('T', ' ')} UTC"


def _shown(text: str, longest: int = _LONGEST) -> str:
    return visible(text if len(text) <= longest else text[: longest - 1] + "…")


def visible(text: str) -> str:
    """``text`` with control characters as the symbols that stand for them: NUL, which ends a C string, is ``␀``.

    The two characters that no XML may have, and so no drawing, are ``�``.
    """
    return text.translate(_SYMBOLS)


_SYMBOLS = {
    **{code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"},
    127: "␡", 0xFFFE: "\N{REPLACEMENT CHARACTER}", 0xFFFF: "\N{REPLACEMENT CHARACTER}",
}  # fmt: skip


def _source(name: str) -> str:
    return resources.files("service.reports").joinpath(name).read_text(encoding="utf-8")


TEMPLATES = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FunctionLoader(_source))
TEMPLATES.filters.update(shown=_shown, instant=_instant)


def _render(template: str, **values: Any) -> str:
    return TEMPLATES.get_template(template).render(**values)
