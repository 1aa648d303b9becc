"""``python -m tests.acceptance.full_catalog DIR``: a catalog whose log fills the disk, and what works then.

Prints, as JSON, what the test compares.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from service.catalog.duckdb_store import DuckDBStore
from service.catalog.store import Store
from service.files.reserve import Reserve
from service.kit import errors
from tests.acceptance.small_disk import mount

MIB = 1 << 20


def add(store: Store, name: str, size: int, *, urgent: bool = False) -> bool:
    """Write a property of some size; whether there was room."""
    sql = "INSERT INTO properties (name, value) VALUES ($name, $value)"
    try:
        store.execute(sql, {"name": name, "value": os.urandom(size // 2).hex()}, urgent=urgent)
    except errors.Unavailable as error:
        if error.error_code == "STORAGE_FULL":
            return False
        raise
    return True


def main(folder: Path) -> dict[str, object]:
    folder.mkdir()
    mount(folder, 64 * MIB)
    (folder / "data").write_bytes(bytes(38 * MIB))
    path, log, kept = folder / "catalog.duckdb", folder / "catalog.duckdb.wal", folder / ".reserve"
    store = DuckDBStore(path, Reserve(kept))
    number = 0
    while add(store, f"row {number}", MIB):
        number += 1
    found: dict[str, object] = {"log is long": log.stat().st_size > 17 * MIB, "reserve": kept.stat().st_size}
    while add(store, f"small {number}", 4096):
        number += 1
    found["urgent"] = all(add(store, f"urgent {n}", 4096, urgent=True) for n in range(100))
    found["not urgent"] = add(store, "late", 4096)
    found["reserve used"] = 0 < kept.stat().st_size < 4 * MIB
    found["healthy"] = store.healthy
    store.close()
    store = DuckDBStore(path, Reserve(kept))
    found["opened again"] = add(store, "again", 4096, urgent=True)
    (folder / "data").unlink()
    add(store, "the last", 4096)
    found["log is short"] = not log.exists() or log.stat().st_size < MIB
    found["whole again"] = kept.stat().st_size
    found["rows"] = store.rows("SELECT count(*) AS n FROM properties WHERE name LIKE 'urgent %'")[0]["n"]
    store.close()
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
