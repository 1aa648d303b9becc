"""Why a body cannot be read as its format: the cause and the setting to change, from the bytes themselves.

A parser stops where it no longer understands a text, which is often far from the cause: a lone surrogate reads as
"truncated", Latin-1 as a bad character, lines of objects as trailing characters.
"""

from __future__ import annotations

import re

from service.collectors.html import markup_kind

_SURROGATE = re.compile(
    rb"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_LARGE = re.compile(rb"[\s:,\[](-?\d[\d.]*[eE]\+?\d{3,})(?=\s*[,}\]])")
_WORDS = re.compile(rb"[\s:,\[](NaN|-?Infinity|None|True|False|undefined)(?=\s*[,}\]])")
_NAMED = re.compile(r"\b(?:set|check) (encoding|response_format|separator|records_path|flatten)\b")
_SHOWN = 60


def cause(body: bytes, response_format: str = "json", error: str = "") -> str | None:
    """The cause of a failed read (``error`` of the parser) with the setting to change, or None if it is not known."""
    wrong = _not_text(body)
    if wrong is not None:
        return wrong
    what = markup_kind.describe(body)
    if what is not None:
        return f"the answer is {what}, not {response_format.upper()}"
    if response_format == "csv":
        return None
    start = body.lstrip()
    if response_format == "json" and start.startswith(b"{") and _is_lines(start):
        return "the answer has one JSON object per line; set response_format to ndjson"
    first = start.partition(b"\n")[0].strip()
    if response_format == "ndjson" and (start[:1] == b"[" or (first[:1] == b"{" and not first.endswith(b"}"))):
        return "the answer is one JSON document, not one object per line; set response_format to json"
    found = _SURROGATE.search(body)
    if found is not None:
        return (
            f"the text at byte {found.start(1)} has {found[1].decode()}, half of a surrogate pair, which is not a "
            "character; set encoding to utf-8-lossy to read it as U+FFFD"
        )
    for match in _LARGE.finditer(body) if "out of range" in error else ():
        if float(match[1]) in (float("inf"), float("-inf")):
            return (
                f"the number {match[1].decode()[:_SHOWN]} at byte {match.start(1)} is outside of the range of float64 "
                "(1.8e308); ask the source for it as text, or leave its page out"
            )
    found = _WORDS.search(body)
    if found is not None:
        return f"{found[1].decode()} at byte {found.start(1)} is not JSON; the source must write null or text"
    return None


def setting(text: str) -> str | None:
    """The setting that the text of a cause says to set, or None."""
    found = _NAMED.search(text)
    return found[1] if found is not None else None


def without_lone_surrogates(body: bytes) -> bytes:
    """``body`` with the escape of U+FFFD in place of each unpaired surrogate escape."""
    if b"\\u" not in body:
        return body
    return _SURROGATE.sub(lambda m: m[0][: m.start(1) - m.start()] + rb"\ufffd", body)


def _not_text(body: bytes) -> str | None:
    what = markup_kind.binary(body)
    if what is not None:
        return f"the answer is {what}"
    try:
        body.decode()
    except UnicodeDecodeError as error:
        byte = body[error.start]
        return (
            f"it is not valid UTF-8 ({error.reason} at byte {error.start}, 0x{byte:02X}), and declares no charset; set "
            "encoding to what it is in (cp1252, say), or to utf-8-lossy"
        )
    return None


def _is_lines(body: bytes) -> bool:
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    return len(lines) > 1 and all(line.startswith(b"{") and line.endswith(b"}") for line in lines[:100])
