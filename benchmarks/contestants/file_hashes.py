"""Hashing the parts of a version: ``python -m benchmarks.contestants.file_hashes FOLDER`` prints CPU seconds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from service.files import checksums


def main() -> None:
    parts = sorted(Path(sys.argv[1]).rglob("part-*.parquet"))
    cpu = time.process_time()
    for part in parts:
        checksums.sha256(part)
    print(json.dumps({"cpu": time.process_time() - cpu, "parts": len(parts)}))


if __name__ == "__main__":
    main()
