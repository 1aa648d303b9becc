"""What the caller of a query may read: which pipelines, and which rows of their tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from service.model.rights import Readable
from service.model.table import QUARANTINE
from service.query import repeatable
from service.sandbox.quoting import same
from service.sandbox.source import TableSource


class Scope(NamedTuple):
    """``readable`` are pipelines (None: all of them); ``row_filters`` a condition for each pipeline that has one.

    It holds for the pipeline's table, its versions, tags and quarantine, whatever their names: a table that got another
    name has older versions under the earlier one.
    """

    readable: Readable = None
    row_filters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, readable: Readable, row_filters: Mapping[str, str]) -> Scope:
        return cls(
            readable,
            tuple(sorted((name, (text.strip() and text) or "false") for name, text in row_filters.items())),
        )

    def filters(self, pipeline: str) -> bool:
        """Whether the caller sees only some rows of a pipeline."""
        return pipeline in dict(self.row_filters)

    @property
    def is_repeatable(self) -> bool:
        """Whether the same rows of a version are seen at all times."""
        return all(repeatable.is_repeatable(condition) for _, condition in self.row_filters)

    def listed(self, sources: Iterable[TableSource]) -> list[TableSource]:
        """The sources whose names the caller sees in lists: that rows were refused tells of rows that are hidden."""
        return [s for s in sources if not (same(s.table).endswith(QUARANTINE) and self.filters(s.pipeline))]

    def filtered(self, source: TableSource) -> TableSource:
        """The source with the condition on its rows."""
        if not self.row_filters:
            return source
        found = dict(self.row_filters).get(source.pipeline, "")
        return source if found == source.row_filter else msgspec.structs.replace(source, row_filter=found)


EVERYTHING = Scope()
"""The scope of callers who may read all there is."""
