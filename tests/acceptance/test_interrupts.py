"""Ctrl-C while helpers load their modules: a quiet end with exit code 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance import documents, service
from tests.acceptance.served import PATIENCE, children_of


def loading(pid: int) -> bool:
    """Whether the process has started its forkserver, which then loads Polars, DuckDB and the plug-ins."""
    for child in children_of(pid):
        try:
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["run", "pipeline.yaml"]])
def test_an_interrupt_while_helpers_load_is_quiet(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "rows.csv").write_text("id\n1\n")
    (tmp_path / "pipeline.yaml").write_text("name: p\ncollectors: [{type: csv, file_path: rows.csv}]\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "service", *command, "--data-dir", str(tmp_path / "data")],
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while not loading(process.pid):
        assert process.poll() is None
        assert time.monotonic() < deadline
    os.killpg(process.pid, signal.SIGINT)
    _, shown = process.communicate(timeout=PATIENCE)
    late = "server.started" in shown  # a loaded machine looked when it was up already: that is a stop like any other
    assert (process.returncode, "Traceback" in shown) == (0 if late else 130, False), shown


ENDED = """
import sys, threading
from service.__main__ import main

def late():
    threading.main_thread().join()
    print("ended", flush=True)
    sys.stdin.read()

threading.Thread(target=late).start()
sys.argv = ["penstock", "--version"]
main()
"""


def test_an_interrupt_after_the_command_ended_is_quiet() -> None:
    """The interpreter then waits for threads, such as one that a cancelled task has left."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENDED], env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    while process.stdout.readline() != "ended\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=PATIENCE)
    assert (process.returncode, shown) == (130, "")
