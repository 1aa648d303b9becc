"""Measuring: a fresh process by what the kernel says at its end, a running service by looking at its process tree."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")
_ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, seconds of CPU (user and system, children included), and the largest memory in MiB."""

    wall: float
    cpu: float
    peak_mib: float


class Failed(RuntimeError):
    """A contestant ended with an error; the text is the end of what it said."""


def process(module: str, arguments: Sequence[str], limit: int | None = None) -> Cost:
    """Run ``python -m module`` to its end. Peak memory is the kernel's own figure for the largest single process.

    ``limit`` are the bytes of memory of its own (``RLIMIT_DATA``) that it may have.
    """

    hold = None if limit is None else partial(resource.setrlimit, resource.RLIMIT_DATA, (limit, limit))
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=hold,
    )  # fmt: skip
    assert child.stderr is not None
    said = child.stderr.read().decode(errors="replace")
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise Failed(f"{module} ended with {child.returncode}: {said.strip()[-1500:]}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def said(module: str, arguments: Sequence[str]) -> Any:
    """Run ``python -m module`` to its end; answers the JSON that it printed."""
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Failed(f"{module} ended with {ended.returncode}: {ended.stderr.strip()[-1500:]}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/<pid>/stat`` after the command's name; empty where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def tree(root: int) -> dict[int, list[str]]:
    """Every living process of the tree under ``root``, itself included, with its stat fields."""
    fields = {int(p.name): _stat(int(p.name)) for p in Path("/proc").iterdir() if p.name.isdigit()}
    found: dict[int, list[str]] = {}
    pending = [root]
    while pending:
        pid = pending.pop()
        if fields.get(pid):
            found[pid] = fields[pid]
            pending.extend(child for child, stat in fields.items() if stat and int(stat[1]) == pid)
    return found


def cpu_seconds(root: int) -> float:
    """CPU of the tree so far; what ended children used is in the figures of the parent that waited for them."""
    return sum(sum(int(x) for x in stat[11:15]) for stat in tree(root).values()) / _TICK


def peak(pid: int) -> float:
    """The largest resident set of a process so far, in MiB; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


class Watch:
    """Looks at a process tree while something happens: ``with Watch(pid) as seen: …``, then ``seen.worker_mib``.

    Seldom, and at nothing that the kernel must count pages for: looking took a tenth of what was looked at.
    """

    def __init__(self, root: int, every: float = 0.2) -> None:
        self._root, self._every = root, every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.worker_mib = 0.0  # the largest resident set of any one process that was started meanwhile
        self.cpu = 0.0
        self.wall = 0.0

    def _look(self) -> None:
        while not self._stop.wait(self._every):
            self.worker_mib = max([self.worker_mib, *(peak(pid) for pid in tree(self._root) if pid not in self._old)])

    def __enter__(self) -> Watch:
        self._old = set(tree(self._root))
        self._cpu, self._at = cpu_seconds(self._root), time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._at
        self._stop.set()
        self._thread.join()
        self.cpu = cpu_seconds(self._root) - self._cpu
