"""Nobody who does not use Spark loads any of it."""

from __future__ import annotations

import subprocess
import sys


def test_neither_the_service_nor_a_run_worker_imports_spark() -> None:
    code = (
        "import sys, service.bootstrap, service.cli.commands, service.jobs.entry, service.jobs.run_worker, "
        "service.jobs.preload; from service.kit import lazy; lazy.load(); "
        "print([m for m in sys.modules if m.startswith(('pyspark', 'pandas', 'service.engine.spark')) "
        "or m.endswith('.spark_sessions')])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"
