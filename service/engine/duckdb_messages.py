"""DuckDB's errors in a job, as messages for the author of a configuration."""

from __future__ import annotations

import re

import duckdb

_MOST = 400
_KIND = re.compile(r"^[A-Z][\w ]* Error: ")
_HIDDEN = re.compile(r"\b_?batch\.|\binput\.(?=\")")
_HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Overflow in|out of range"), "; a DOUBLE or a DECIMAL(38, 0) holds more: cast the values to it"),
    (
        re.compile(r"[Cc]ould not (?:convert|parse)|can't be cast|Failed to cast|field value out of range"),
        "; TRY_CAST, or a cast in a cleaner, makes such a value missing",
    ),
    (re.compile(r"Division by zero|modulo by zero"), "; nullif(x, 0) makes such a divisor missing"),
)


def of_text(error: Exception) -> str:
    """Why a text cannot run over any rows."""
    return _first(error)


def of_row(error: Exception) -> str:
    """Why a text failed for a row, and what would help."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return "needs more memory than the run may have; raise PENSTOCK_RUN_MEMORY_LIMIT"
    message = _first(error)
    hint = next((hint for pattern, hint in _HINTS if pattern.search(message)), "")
    return message.rstrip("!.") + hint


def _first(error: Exception) -> str:
    """The first paragraph, without the kind of error and hints about DuckDB's own settings."""
    text = str(error).split("\n\nLINE ", 1)[0].split("\nLINE ", 1)[0]
    text = _KIND.sub("", " ".join(text.split()))
    text = text.split(" Use TRY(...) to return NULL", 1)[0]
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."
