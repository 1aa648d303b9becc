"""``python -m tests.acceptance.failing_sync DIR``: a catalog whose writes are not flushed at some time.

``strace`` makes the calls fail. Prints, as JSON, which writes were acknowledged, the errors of the others, and whether
the catalog takes itself for healthy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from service.catalog.store import Store

FAILING = ["-e", "inject=fsync,fdatasync:error=EIO:when=7+"]  # the disk goes bad after some writes


def main(folder: Path) -> dict[str, object]:
    store = Store(folder / "catalog.duckdb")
    written, failed = [], []
    for number in range(10):
        name = f"row {number}"
        try:
            store.set_property(name, "x")
            written.append(name)
        except Exception as error:
            failed.append(type(error).__name__)
    return {"written": written, "failed": failed, "healthy": store.healthy}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))), flush=True)
