"""The heads of the chains of the audit log: what its files must hold. They stay when a file is dropped."""

from __future__ import annotations

from datetime import date

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store
from service.files.audit_file import Head

_SQL = load_sql("audit_heads")


class AuditHeads:
    """The heads in the catalog. Methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[Head]:
        """Every head, in the order in which the chains stand in the files."""
        return [_head(row) for row in self._store.rows(_SQL["all"])]

    def open(self) -> list[Head]:
        """The heads of chains that no process has closed."""
        return [_head(row) for row in self._store.rows(_SQL["open"])]

    def put(self, head: Head) -> None:
        """Store how far a chain goes; also on a full disk."""
        self._store.execute(_SQL["put"], msgspec.structs.asdict(head), urgent=True)

    def before(self, day: date) -> list[date]:
        """The days before ``day`` whose files are kept, oldest first."""
        return [row["day"] for row in self._store.rows(_SQL["old"], {"before": day})]

    def drop(self, day: date) -> None:
        """Note that the file of a day is not kept any more."""
        self._store.execute(_SQL["drop"], {"day": day}, urgent=True)


def _head(row: Row) -> Head:
    names = {"begin_byte": "begin", "end_byte": "end"}
    return Head(**{names.get(name, name): value for name, value in row.items()})
