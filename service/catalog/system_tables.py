"""The system tables of SQL: pipelines, runs, steps, versions, columns, saved queries and quarantine, as snapshots.

A query worker never sees the catalog: it gets the rows of the tables that a statement names, as a Parquet file in
memory. A snapshot is made again when anything was written to the catalog since.
"""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from service.catalog.ownership import Ownership
from service.catalog.statements import load_sql
from service.catalog.store import Store
from service.files.layout import SCRATCH, Layout
from service.model.rights import Readable
from service.values import polars_names

MOST_ROWS = 100_000
"""The rows of a table at most: the newest ones."""
_MOST_KEPT = 32
_SQL = load_sql("system_tables")
_TABLES = {f"penstock.{name}": name for name in _SQL if name not in ("column_types", "query_tables")}


class SystemTables:
    """Snapshots of the catalog's tables, by the names that SQL has for them. Methods block."""

    def __init__(self, store: Store, layout: Layout) -> None:
        self._store = store
        self._layout = layout
        self._ownership = Ownership(store)
        self._snapshots: OrderedDict[tuple[str, Readable], tuple[int, bytes]] = OrderedDict()
        self._making = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The names, each with the schema before it."""
        return list(_TABLES)

    def snapshot(self, name: str, readable: Readable = None) -> bytes:
        """The rows of a table as they are now, of ``readable`` pipelines (None: all), as a Parquet file.

        A saved query is there if all pipelines are that it reads. Raises ``errors.Unavailable`` (STORAGE_FULL).
        """
        with self._making:
            changes = self._store.changes
            known = self._snapshots.get((name, readable))
            if known is None or known[0] != changes:
                known = self._snapshots[name, readable] = changes, self._made(_TABLES[name], readable)
            self._snapshots.move_to_end((name, readable))
            while len(self._snapshots) > _MOST_KEPT:
                self._snapshots.popitem(last=False)
            return known[1]

    def _made(self, table: str, readable: Readable) -> bytes:
        parameters: dict[str, Any] = {"most": MOST_ROWS}
        if table == "queries":
            parameters["queries"] = self._queries(readable)
        else:
            parameters["readable"] = None if readable is None else [*readable]
        if table == "columns":
            texts = [str(row["type"]) for row in self._store.rows(_SQL["column_types"])]
            parameters |= {"texts": texts, "names": [polars_names.configured(text) for text in texts]}
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._layout.spill) as folder:
            path = Path(folder) / "snapshot.parquet"
            self._store.export(_SQL[table], parameters, path)
            return path.read_bytes()

    def _queries(self, readable: Readable) -> list[str] | None:
        if readable is None:
            return None
        rows = self._store.rows(_SQL["query_tables"])
        return [row["name"] for row in rows if self._ownership.has_tables(readable, row["tables"])]
