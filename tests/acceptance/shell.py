"""``python -m tests.acceptance.shell``: a process in which one command of ``penstock`` is typed after another.

A command of its own process spends two seconds on what it loads and a tenth of one on what it does. Here each has its
own arguments, folder, environment, input, output and exit code, and they share what was loaded. ``Terminal.alone``
of the command's tests is for what only a process of its own can show.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Self

from tests.acceptance import documents, service


class Shell:
    """The process, as a test has it: ``with Shell(folder) as shell``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with (folder / "shell.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.shell"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), text=True,
            )  # fmt: skip

    def run(self, *words: str, folder: Path, input: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Type a command in ``folder``; answers what it wrote and its exit code."""
        order = {"words": words, "folder": str(folder), "input": input, "environment": environment}
        order |= {name: str(self._folder / name) for name in ("out", "err")}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline()
        assert code, (self._folder / "shell.log").read_text()
        said, wrong = ((self._folder / name).read_bytes() for name in ("out", "err"))
        return subprocess.CompletedProcess(["penstock", *words], int(code), said, wrong)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It ends when nothing more will be typed."""
        try:
            self._process.communicate(timeout=service.READY_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def _around(order: dict[str, Any]) -> Any:
    """The folder, environment and streams of one command, down to the descriptors."""
    before, streams = dict(os.environ), (os.dup(1), os.dup(2))
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    sys.stdin = io.TextIOWrapper(io.BytesIO(order["input"].encode()))
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, stream in zip((1, 2), streams, strict=True):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(before)


def _typed(words: list[str]) -> int:
    from service.cli.commands import penstock

    try:
        penstock(words, prog_name="penstock")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()  # what Python does with it at the top of a process
        return 1
    return 0


if __name__ == "__main__":
    orders = os.fdopen(os.dup(0))
    for line in orders:
        order = json.loads(line)
        with _around(order):
            code = _typed(order["words"])
        print(code, flush=True)
