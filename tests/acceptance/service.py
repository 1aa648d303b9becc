"""What the acceptance tests need of a machine: a free port, an environment without our settings, a patient look."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance import documents

READY_SECONDS = 30.0


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def clean_environment(**more: str) -> dict[str, str]:
    """The path and the language of this process, and ``more``; no setting of the product, no Python variables."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return kept | more


@contextmanager
def process(command: list[str], *, cwd: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is asked to end, and made to end, when the test is done with it."""
    with (cwd / "process.log").open("wb") as log:
        child = subprocess.Popen(command, cwd=cwd, env=env, stdout=log, stderr=log)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until(command: list[str], child: subprocess.Popen[bytes], *, env: dict[str, str]) -> None:
    """Repeat ``command`` until it succeeds, as a container engine does with a health check."""
    deadline = time.monotonic() + READY_SECONDS
    while (last := subprocess.run(command, env=env, capture_output=True, text=True)).returncode:
        assert child.poll() is None, f"the service ended with {child.returncode}"
        assert time.monotonic() < deadline, f"no success within {READY_SECONDS} s: {last.stderr}"


def penstock(*words: str) -> subprocess.CompletedProcess[str]:
    """A command of the product in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "service", *words], capture_output=True, text=True, timeout=120, check=False,
        env=clean_environment(PYTHONPATH=str(documents.ROOT)),
    )  # fmt: skip
