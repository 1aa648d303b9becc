"""A disk that goes bad: the catalog notices, readiness says so, and what was acknowledged is there after a restart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from service.catalog.duckdb_store import DuckDBStore
from tests.acceptance import documents
from tests.acceptance.service import clean_environment


def test_requirement_24_a_flush_that_fails_makes_the_catalog_unready(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.failing_sync", str(tmp_path)], capture_output=True, text=True,
        timeout=120, check=True, env=clean_environment(PYTHONPATH=str(documents.ROOT)),
    )  # fmt: skip
    told = json.loads(found.stdout)
    assert told["failed"], told
    assert set(told["failed"]) == {"FatalException"}
    assert not told["healthy"]  # test_readiness: 503, "an error of the catalog that only a restart ends"
    again = DuckDBStore(tmp_path / "catalog.duckdb")
    try:
        assert told["written"] == ["row 0", "row 1", "row 2"]
        assert [name for name in told["written"] if again.property(name) != "x"] == []
        assert again.healthy
    finally:
        again.close()
