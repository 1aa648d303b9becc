"""A disk that goes bad: the catalog notices, readiness says so, and what was acknowledged is there after a restart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.catalog.store import Store
from tests.acceptance import documents
from tests.acceptance.failing_sync import FAILING
from tests.acceptance.service import clean_environment

STRACE = shutil.which("strace")


def may_trace() -> bool:
    return STRACE is not None and subprocess.run([STRACE, "-qq", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not may_trace(), reason="needs strace, and leave to use it")
def test_requirement_24_a_flush_that_fails_makes_the_catalog_unready(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.acceptance.failing_sync", str(tmp_path)]
    tracer = [str(STRACE), "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", *FAILING]
    found = subprocess.run(
        [*tracer, *command], capture_output=True, text=True, timeout=120,
        env=clean_environment(PYTHONPATH=str(documents.ROOT)),
    )  # fmt: skip
    told = json.loads(found.stdout)
    assert told["failed"], told
    assert set(told["failed"]) == {"FatalException"}
    assert not told["healthy"]  # test_readiness: 503, "an error of the catalog that only a restart ends"
    again = Store(tmp_path / "catalog.duckdb")
    try:
        assert told["written"]
        assert [name for name in told["written"] if again.property(name) != "x"] == []
        assert again.healthy
    finally:
        again.close()
