"""What the API process loads when it starts: no engine, no parser, and nothing of the children's side."""

from __future__ import annotations

import subprocess
import sys

START = """
import sys
import service.bootstrap, service.api.app
from service.model.registry import Registry
Registry.load()
print(*sys.modules)
"""
LIBRARIES = {"polars", "pyarrow", "numpy", "selectolax", "sqlglot", "clevercsv", "chardet", "vl_convert", "jinja2"}
CHILDREN = (
    "service.engine.", "service.query.child.", "service.reports.", "service.jobs.run_worker", "service.jobs.collect",
    "service.jobs.tasks.worker", "service.probing.probe",
)  # fmt: skip


def test_the_api_process_starts_without_an_engine() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "service.collectors.csv" in loaded
    assert LIBRARIES & {name.split(".")[0] for name in loaded} == set()
    assert [name for name in loaded if name.startswith(CHILDREN)] == []
