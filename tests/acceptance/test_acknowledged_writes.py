"""A catalog whose process is killed while it writes: what was acknowledged is there, and nothing by halves."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from service.catalog.duckdb_store import DuckDBStore
from tests.acceptance import documents, service
from tests.acceptance.served import PATIENCE


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", ["16MB", "100KB"])
def test_requirement_23_no_acknowledged_write_is_lost(tmp_path: Path, size: str, rounds: int) -> None:
    """One write may be there without its acknowledgement; that is what idempotency keys are for."""
    catalog, draw, stored = tmp_path / "catalog.duckdb", random.Random(23), 0
    for _ in range(rounds):
        command = [sys.executable, "-m", "tests.acceptance.acknowledging", str(catalog), str(stored), size]
        process = subprocess.Popen(
            command, cwd=documents.ROOT, env=service.clean_environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        with process.stdout as output:
            for _ in range(draw.randint(1, 300)):
                acknowledged = int(output.readline())
            process.kill()
            acknowledged += len(output.read().splitlines(keepends=False))  # while it was being killed
        process.wait(PATIENCE)
        store = DuckDBStore(catalog)
        rows = store.rows("SELECT name, length(value) AS size FROM properties WHERE name LIKE 'number %'")
        store.close()
        assert {row["size"] for row in rows} == {1000}
        numbers = sorted(int(row["name"].split()[1]) for row in rows)
        assert numbers == list(range(len(numbers)))
        assert acknowledged + 1 <= len(numbers) <= acknowledged + 2
        stored = len(numbers)
