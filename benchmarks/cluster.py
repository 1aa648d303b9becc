"""The cluster of a question: the one behind ``PENSTOCK_SPARK_URL``, or a Sail server on loopback, started and ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, server

_ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 60


@dataclass(frozen=True)
class Cluster:
    """Its address, and the process that executes everything; None if it is somebody else's."""

    url: str
    pid: int | None = None

    @property
    def peak_mib(self) -> float | None:
        """The most memory that the process had."""
        return None if self.pid is None else measure.peak(self.pid)


@contextmanager
def running() -> Iterator[Cluster]:
    """The cluster, while a question is asked. Raises ``measure.Failed`` if a server does not come up."""
    given = os.environ.get("PENSTOCK_SPARK_URL")
    if given:
        yield Cluster(given)
        return
    port = server.free_port()
    command = [str(Path(sys.executable).with_name("sail")), "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(child, port)
            yield Cluster(f"sc://127.0.0.1:{port}", child.pid)
        finally:
            child.kill()
            child.wait()


def _wait(child: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise measure.Failed("sail accepts no connections; install penstock[dev]")
