"""A trail of pages, each of which named the next: told when one comes again, whatever its address is.

Some sites answer every page past the last with the last one, and it names a next one, with a number of its own. So a
page comes again where its rows do, and its text too but for digits. Rows alone would not do: there may be little in
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))


class CrawlHistory:
    """The pages of a collection so far. ``repeated`` counts the rows that the page before had too."""

    def __init__(self) -> None:
        self._pages: set[int] = set()
        self._before: set[int] = set()
        self.repeated = 0

    def again(self, text: str, rows: Iterable[Any]) -> bool:
        """Whether a page that says ``text`` and has these rows came before; no page without rows did."""
        marks = [hash(repr(row)) for row in rows]
        page = hash((text.translate(_NO_DIGITS), *marks))
        if marks and page in self._pages:
            return True
        self._pages.add(page)
        found = set(marks)
        self.repeated += len(found & self._before)
        self._before = found
        return False
