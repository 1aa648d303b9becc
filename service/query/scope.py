"""What the caller of a query may read: which pipelines, and which rows of their tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from service.model.rights import Readable
from service.model.table import QUARANTINE
from service.sandbox.quoting import same
from service.sandbox.source import TableSource


class Scope(NamedTuple):
    """``readable`` are pipelines (None: all of them); ``row_filters`` a condition for each table that has one.

    The condition of a table holds for its versions, tags and quarantine, too. Tables are named as ``same`` spells them.
    """

    readable: Readable = None
    row_filters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, readable: Readable, row_filters: Mapping[str, str]) -> Scope:
        return cls(readable, tuple(sorted((same(table), text) for table, text in row_filters.items())))

    def filtered(self, source: TableSource) -> TableSource:
        """The source with the condition on its rows."""
        if not self.row_filters:
            return source
        found = dict(self.row_filters).get(base_of(source.table), "")
        return source if found == source.row_filter else msgspec.structs.replace(source, row_filter=found)


EVERYTHING = Scope()
"""The scope of callers who may read all there is."""


def base_of(table: str) -> str:
    """The table that a name belongs to: without version or tag, and without the ending of a quarantine."""
    return same(table).partition("@")[0].removesuffix(QUARANTINE)
