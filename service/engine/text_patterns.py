"""Formats of text: how many values of a column look like numbers, dates of some kind, or other text."""

from __future__ import annotations

import polars as pl

_SAMPLE = 2_000

FORMS = {
    "number": r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$",
    "number, decimal comma": r"^\s*[-+]?\d+,\d+\s*$",
    "date 2024-01-31": r"^\s*\d{4}-\d{1,2}-\d{1,2}([ T].*)?$",
    "date 2024/01/31": r"^\s*\d{4}/\d{1,2}/\d{1,2}([ T].*)?$",
    "date 31.01.2024": r"^\s*\d{1,2}\.\d{1,2}\.\d{2,4}([ T].*)?$",
    "date 01/31/2024": r"^\s*\d{1,2}/\d{1,2}/\d{2,4}([ T].*)?$",
}
"""Formats by name; a text that matches none is ``text``."""


def sample(texts: pl.Series) -> pl.Series:
    """At most 2 000 of these distinct values, chosen by hash; a sample of samples is that of all values."""
    return texts.gather(texts.hash(0).arg_sort().head(_SAMPLE)) if len(texts) > _SAMPLE else texts


def count(texts: pl.Series) -> dict[str, int]:
    """The number of values by format, over a ``sample`` of these distinct values."""
    texts = sample(texts)
    counts: dict[str, int] = {}
    for name, pattern in FORMS.items():
        matches = texts.str.contains(pattern)
        if matched := int(matches.sum()):
            counts[name] = matched
            texts = texts.filter(~matches)
    if len(texts):
        counts["text"] = len(texts)
    return counts
