"""A table: a name in SQL and the version that it names."""

from __future__ import annotations

import msgspec

from service.files import quarantine
from service.model.version import Column, Version

QUARANTINE = "__quarantine"
"""The suffix of a table's quarantine: ``orders__quarantine``, ``orders__quarantine@3``."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A name in SQL and its version: the rows of the version, or those in its ``quarantine``."""

    name: str
    version: Version
    quarantine: bool = False

    @property
    def rows(self) -> int:
        return self.version.quarantined if self.quarantine else self.version.rows

    @property
    def columns(self) -> list[Column]:
        if not self.quarantine:
            return self.version.columns
        empty = [Column(name, dtype) for name, dtype in quarantine.LAYOUT.items()]
        return self.version.quarantine_columns or empty
