"""Suggestions for a column of text: texts in it that mean missing, and the cast that reads all others.

A suggestion is tried on every value of the sample. Dates in several forms get all of them. Texts with
leading zeros stay text, since they are names of things, not numbers. Dates that can be read day first and month first
are read day first, with a note.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from service.processors.cleaning import cast_hints
from service.values import dtypes

_MISSING = frozenset(
    ("", "-", "--", "–", "—", "?", ".", "n/a", "na", "n.a.", "#n/a", "nan", "null", "none", "nil", "(null)", "missing",
     "unknown", "k.a.", "k. a.", "\\n")
)  # fmt: skip
_NUMBER = re.compile(r"[(+-]?\s*(?:\D{1,4}\s?)?-?\d[\d.,'’_\s  ]*(?:e[+-]?\d+)?(?:\s?\D{1,4})?\)?", re.IGNORECASE)
_NAME_OF_A_THING = re.compile(r"[+-]?0\d+")
_MOMENT = re.compile(r"(?=.*\d\D+.*\d)(.*\d{4}.*|.*\d\D+\d+\D+\d{2}(\D.*)?)", re.DOTALL)  # a year: 1.5.2 has none
_WORDS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"))
_FOREIGN_WORDS = (("ja", "nein"), ("oui", "non"), ("sí", "no"), ("sì", "no"), ("wahr", "falsch"))
_PLAIN = r"^[+-]?\d+(\.\d+)?$"
_ENOUGH, _FEW_SHARE = 50, 0.03
_NUMBERS: tuple[pl.DataType, ...] = (pl.Int64(), pl.Float64())


def missing_texts(series: pl.Series) -> list[str]:
    """The texts of a column that usually mean that there is no value, trimmed, as they are written."""
    texts = series.drop_nulls().str.strip_chars().unique(maintain_order=True)
    return [text for text in texts.to_list() if text.lower() in _MISSING]


def padded(series: pl.Series) -> int:
    """How many values have white space around them."""
    return int((series != series.str.strip_chars()).sum())


def cast(series: pl.Series, missing: Sequence[str]) -> dict[str, Any] | None:
    """The setting of a cleaner's ``cast`` that reads every value, but for those that mean missing; None: text."""
    trimmed = series.drop_nulls().str.strip_chars()
    texts = trimmed.filter(~trimmed.is_in(list(missing))).unique(maintain_order=True).to_list()
    if not texts:
        return None
    words = {text.lower() for text in texts}
    for pair in (*_WORDS, *_FOREIGN_WORDS):
        if words == set(pair):
            plain = pair in _WORDS
            return {"type": "boolean", **({} if plain else {"true_values": [pair[0]], "false_values": [pair[1]]})}
    if all(_NUMBER.fullmatch(text) for text in texts) and not any(map(_NAME_OF_A_THING.fullmatch, texts)):
        found = _first(texts, _NUMBERS)
        if found is not None:
            return found
    if not all(map(_MOMENT.fullmatch, texts)):
        return None
    return _first(texts, [pl.Datetime("us") if any(":" in text for text in texts) else pl.Date()])


def cast_of_most(series: pl.Series, missing: Sequence[str]) -> tuple[dict[str, Any] | None, int]:
    """The setting that reads a column of plain numbers but for a few values, and how many these are; None: no such."""
    trimmed = series.drop_nulls().str.strip_chars()
    values = trimmed.filter(~trimmed.is_in(list(missing)))
    plain = values.str.contains(_PLAIN)
    lost = int((~plain).sum())
    if len(values) < _ENOUGH or lost > len(values) * _FEW_SHARE:
        return None, 0
    texts = values.filter(plain).unique(maintain_order=True).to_list()
    found = None if any(map(_NAME_OF_A_THING.fullmatch, texts)) else _first(texts, _NUMBERS)
    return ({**found, "on_error": "null"}, lost) if found is not None else (None, 0)


def cast_of_moments(series: pl.Series, missing: Sequence[str]) -> tuple[dict[str, Any] | None, int]:
    """The setting that reads a column of dates in several forms, but for a few values, and how many; None: no such.

    Forms that differ only in the order of day and month are not taken together: which one a value has cannot be told.
    """
    trimmed = series.drop_nulls().str.strip_chars()
    values = trimmed.filter(~trimmed.is_in(list(missing)))
    texts = values.unique(maintain_order=True)
    all_texts = texts.to_list()
    if not any(map(_MOMENT.fullmatch, all_texts[:_ENOUGH])):
        return None, 0
    target = pl.Datetime("us") if any(":" in text for text in all_texts) else pl.Date()
    ways: list[tuple[Sequence[str], list[str]]] = [
        ((), cast_hints.unread(all_texts, target)), cast_hints.forms(all_texts, target)
    ]  # fmt: skip
    for formats, left in sorted(ways, key=lambda way: len(way[1])):
        lost = int(values.is_in(left).sum())
        if lost and (len(values) < _ENOUGH or lost > len(values) * _FEW_SHARE):
            continue
        written = {"format": [*formats] if len(formats) > 1 else formats[0]} if formats else {}
        return {"type": dtypes.name_of(target), **written, **({"on_error": "null"} if lost else {})}, lost
    return None, 0


def month_first(series: pl.Series, setting: dict[str, Any] | None) -> bool:
    """Whether the dates that ``setting`` reads day first can be read month first, too."""
    day, month = "%d/%m", "%m/%d"
    if setting is None or not str(setting.get("format")).startswith(day):  # several forms are a list
        return False
    texts = series.drop_nulls().str.strip_chars().unique().to_list()
    return cast_hints.reads(texts, dtypes.parse(setting["type"]), (month + setting["format"].removeprefix(day),))


def _first(texts: Sequence[str], targets: Sequence[pl.DataType]) -> dict[str, Any] | None:
    for target in targets:
        if cast_hints.reads(texts, target):
            return {"type": dtypes.name_of(target)}
    for target in targets:
        settings = cast_hints.spelling(texts, target)
        if settings is not None:
            return {"type": dtypes.name_of(target), **settings}
    return None
