"""Column names in snake_case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def snake_case(names: Sequence[str]) -> dict[str, str]:
    """Old name to new name, in snake_case with the letters of all scripts.

    A repeated result gets ``_2``, ``_3``; a name without letters and digits becomes ``column_<position>``.
    """
    taken: set[str] = set()
    renamed: dict[str, str] = {}
    for position, name in enumerate(names, 1):
        text = unicodedata.normalize("NFKC", name)
        text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
        text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", text)
        base = _words(text.lower()) or f"column_{position}"
        new, count = base, 1
        while new in taken:
            count += 1
            new = f"{base}_{count}"
        taken.add(new)
        renamed[name] = new
    return renamed


def _words(text: str) -> str:
    """Letters with their combining marks and digits of all scripts; everything else is a single underscore.

    Joiners, which are invisible, are left out.
    """
    letters = (c if unicodedata.category(c)[0] in "LMN" else "_" for c in text if unicodedata.category(c) != "Cf")
    return re.sub("_+", "_", "".join(letters)).strip("_")
