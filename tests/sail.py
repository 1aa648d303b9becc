"""A Sail server on loopback: Spark Connect without Java, with executors in its own process.

``python -m tests.sail COMMAND …`` runs a command beside one, for tests that choose their engine by ``VARIABLE``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
VARIABLE = "PENSTOCK_TEST_SPARK"
_SECONDS = 60.0


@contextmanager
def server(folder: Path, path: str = str(ROOT)) -> Iterator[str]:
    """Its URL, while it runs. Its Python is that of the tests, and imports from ``path``."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("sail")
    paths = os.pathsep.join([path, *filter(None, [os.environ.get("PYTHONPATH")])])
    with (folder / "sail.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "spark", "server", "--ip", "127.0.0.1", "--port", str(port)],
            stdout=log, stderr=log, cwd=folder, env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
    try:
        _wait(process, port, time.monotonic() + _SECONDS)
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, until: float) -> None:
    """Until it accepts connections; nothing else says that it does."""
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"sail ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("sail accepts no connections")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, server(Path(place)) as address:
        sys.exit(subprocess.run(sys.argv[1:], env={**os.environ, VARIABLE: address}, check=False).returncode)
