"""ROAPI over the Parquet file of the same rows; it is not one of our dependencies. ``ROAPI`` may name its program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import measure

_READY_SECONDS = 60


def program() -> str | None:
    """Where it is installed, or None."""
    beside = str(Path(sys.executable).parent)
    return os.environ.get("ROAPI") or shutil.which("roapi") or shutil.which("roapi", path=beside)


@contextmanager
def running(parquet: Path, port: int) -> Iterator[tuple[int, str]]:
    """Its process id and address, with the table ``orders``."""
    command = [program() or "roapi", "-a", f"127.0.0.1:{port}", "-p", "127.0.0.1:0", "--addr-flight-sql", "127.0.0.1:0",
               "-t", f"orders={parquet}"]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/schema", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > deadline or child.poll() is not None:
                    raise measure.Failed("ROAPI does not come up") from None
                time.sleep(0.05)
        yield child.pid, address
    finally:
        child.terminate()
        child.wait(30)
