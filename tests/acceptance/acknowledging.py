"""``python -m tests.acceptance.acknowledging CATALOG NUMBER SIZE``: write numbers to a catalog until it is killed.

Each is acknowledged on standard output when it is stored. SIZE is that of the log at which it is
checkpointed, such as 100KB.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from service.catalog import checkpoints
from service.catalog.duckdb_store import DuckDBStore

if __name__ == "__main__":
    catalog, first, size = sys.argv[1:]
    checkpoints._USUAL = size
    store = DuckDBStore(Path(catalog))
    for number in itertools.count(int(first)):
        store.set_property(f"number {number}", "x" * 1000)
        print(number, flush=True)
