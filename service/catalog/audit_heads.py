"""The heads of the chains of the audit log: what its files must hold. They stay when a file is dropped.

Where the lines are rows (``audit_rows``), heads have no place in a file. A catalog may have heads of files in several
data directories, which were not taken over yet: the names of their chains begin with that of the directory.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store
from service.files import audit_file
from service.files.audit_file import Head
from service.kit import ids

_SQL = load_sql("audit_heads")
ALONE = "chn"
"""How the names of chains begin."""


class AuditHeads:
    """The heads of one directory in the catalog; the names of its chains begin with ``place``. Methods block."""

    def __init__(self, store: Store, place: str = ALONE) -> None:
        self._store = store
        self._place = place

    @classmethod
    def of(cls, store: Store, folder: Path) -> AuditHeads:
        """The heads of the files in ``folder``."""
        if not store.remote:  # what other processes wrote came into this folder with the catalog
            return cls(store)
        return cls(store, audit_file.place(folder, ALONE))

    def new_chain(self) -> str:
        """The name of a new chain."""
        return ids.new(ALONE)

    def all(self) -> list[Head]:
        """Every head, in the order in which the chains stand in the files."""
        return [head_of(row) for row in self._store.rows(_SQL["all"], self._key)]

    def open(self) -> list[Head]:
        """The heads of chains that no process has closed."""
        return [head_of(row) for row in self._store.rows(_SQL["open"], self._key)]

    def put(self, head: Head) -> None:
        """Store how far a chain goes; also on a full disk."""
        self._store.execute(_SQL["put"], msgspec.structs.asdict(head), urgent=True)

    def before(self, day: date) -> list[date]:
        """The days before ``day`` whose files are kept, oldest first."""
        return [row["day"] for row in self._store.rows(_SQL["old"], {"before": day, **self._key})]

    def drop(self, day: date) -> None:
        """Note that the file of a day is not kept any more."""
        self._store.execute(_SQL["drop"], {"day": day, **self._key}, urgent=True)

    @property
    def _key(self) -> Row:
        return {"place": f"{self._place}_" if self._store.remote else ""}


def head_of(row: Row) -> Head:
    """The head in a row."""
    names = {"begin_byte": "begin", "end_byte": "end"}
    return Head(**{names.get(name, name): value for name, value in row.items()})
