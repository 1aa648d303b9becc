"""The history of a crawl along next links: it detects a repeated page, whatever its URL.

Some sites answer every page past the last with the last one, with a next link and a number of its own. So a page
repeats an earlier one if its rows are equal and its text is equal apart from digits. Rows alone do not suffice: they
may hold little.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))


class CrawlHistory:
    """The pages of a crawl so far. ``repeated`` counts rows that were also on the page before."""

    def __init__(self) -> None:
        self._pages: set[int] = set()
        self._before: set[int] = set()
        self.repeated = 0

    def again(self, text: str, rows: Iterable[Any]) -> bool:
        """Whether a page with this text and these rows came before; a page without rows never counts as repeated."""
        marks = [hash(repr(row)) for row in rows]
        page = hash((text.translate(_NO_DIGITS), *marks))
        if marks and page in self._pages:
            return True
        self._pages.add(page)
        found = set(marks)
        self.repeated += len(found & self._before)
        self._before = found
        return False
