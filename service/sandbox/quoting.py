"""Identifiers and strings as SQL writes and compares them."""

from __future__ import annotations

from typing import Final

_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def same(name: str) -> str:
    """What is equal for names that DuckDB takes for one: it folds the letters of ASCII and no others."""
    return name.translate(_LOWER)
