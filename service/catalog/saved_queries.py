"""Saved queries in the catalog."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from service.catalog.statements import load_sql
from service.catalog.store import Row, Store, Transaction
from service.kit import errors
from service.kit.clock import Clock
from service.model.answers import ColumnType
from service.model.saved_query import QueryDefinition, SavedQuery

_SQL = load_sql("saved_queries")
_TABLE = "saved_queries"
Seen = Callable[[SavedQuery], bool]
"""Whether a caller sees a saved query; one that is not seen does not exist for the caller."""


class SavedQueries:
    """The saved queries, by name. Methods block."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def all(self, seen: Seen = lambda _: True) -> list[SavedQuery]:
        """The saved queries that a caller sees, by name."""
        return [query for row in self._store.rows(_SQL["list"]) if seen(query := _query(row))]

    def find(self, name: str) -> SavedQuery | None:
        """The saved query of that name, from memory while none is changed."""
        row = self._store.kept_row(_TABLE, name, _SQL["find"], {"name": name})
        return _query(row) if row is not None else None

    def get(self, name: str, seen: Seen = lambda _: True) -> SavedQuery:
        """As ``find``, if the caller sees it. Raises ``errors.Missing``."""
        found = self.find(name)
        if found is None or not seen(found):
            names = [query.name for query in self.all(seen)]
            hint = errors.did_you_mean(name[:80], names)
            raise errors.Missing(f"there is no saved query '{name[:80]}'{hint}", field="name")
        return found

    def put(
        self,
        name: str,
        definition: QueryDefinition,
        *,
        by: str,
        columns: list[ColumnType],
        tables: list[str],
        repeatable: bool,
    ) -> tuple[SavedQuery, bool]:
        """Save a query, which replaces the one of that name. Returns it, and whether it is new."""
        now = self._clock.now()

        def work(transaction: Transaction) -> tuple[SavedQuery, bool]:
            row = transaction.row(_SQL["find"], {"name": name})
            before = _query(row) if row is not None else None
            saved = SavedQuery(
                **msgspec.structs.asdict(definition), name=name, columns=columns, tables=tables,
                repeatable=repeatable,
                created=before.created if before else now, created_by=before.created_by if before else by,
                updated=now, updated_by=by,
            )  # fmt: skip
            transaction.execute(_SQL["put"], {"name": name, "value": msgspec.json.encode(saved).decode()})
            return saved, before is None

        return self._store.write(work)

    def delete(self, name: str, seen: Seen = lambda _: True) -> None:
        """Remove a saved query that the caller sees. Raises ``errors.Missing``."""
        self.get(name, seen)
        self._store.execute(_SQL["delete"], {"name": name})


def _query(row: Row) -> SavedQuery:
    return msgspec.json.decode(row["value"], type=SavedQuery)
