"""Catalogs at places for tests: a data directory or the URL of a PostgreSQL database, opened, filled and read whole."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

from service.catalog import transfer
from service.catalog.duckdb_store import DuckDBStore
from service.catalog.store import Store
from service.files.layout import Layout
from tests import stores

ODD = "a\0b \ue000 'x' \\u0000 é"
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789_012)
VALUES: dict[str, Any] = {
    "VARCHAR": ODD, "JSON": '{"b":  "\\u0000\\\\u0000", "a": [1.0, null]}', "BLOB": b"\0\xff", "INTEGER": -(1 << 31),
    "BIGINT": (1 << 63) - 1, "BOOLEAN": True, "TIMESTAMP": MOMENT, "DATE": date(1, 1, 1),
}  # fmt: skip


def opened(place: str) -> Store:
    """The catalog at a place, which is made if there is none."""
    if not place.startswith("postgresql:"):
        layout = Layout(Path(place))
        layout.create()
        return DuckDBStore(layout.catalog)
    from service.catalog.postgresql.server import Server
    from service.catalog.postgresql.store import PostgreSQLStore

    return PostgreSQLStore(Server(place))


def fill(store: Store, rows: int) -> None:
    """Rows in every table: of odd values, and of null wherever a column takes it."""
    optional = {
        (row["table_name"], row["column_name"])
        for row in stores.new().rows("SELECT table_name, column_name FROM duckdb_columns() WHERE is_nullable")
    }
    for table in transfer.tables():
        for number in range(rows):
            row = {c: VALUES[kind] for c, kind in zip(table.columns, table.types, strict=True)}
            row[table.columns[0]] = number if table.types[0] == "BIGINT" else f"{number}{ODD}"
            row |= {c: None for c in table.columns if number % 2 and (table.name, c) in optional}
            if table.name == "runs":
                row["sequence"] = number
            names = ", ".join(f"${c}::{k}" for c, k in zip(table.columns, table.types, strict=True)).replace(
                "::BLOB", ""
            )
            store.execute(f"INSERT INTO {table.name} VALUES ({names})", row)


def contents(place: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table, sorted, without what belongs to the place itself."""
    store = opened(place)
    found = {t.name: sorted((tuple(r.values()) for r in store.rows(t.select)), key=repr) for t in transfer.tables()}
    found["properties"] = [row for row in found["properties"] if row[0] not in transfer.OWN_PROPERTIES]
    store.close()
    return found
