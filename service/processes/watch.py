"""What a parent observes of a child: its peak memory, whether it is stopped, and whether the kernel killed it.

A child is sampled from outside, because a process that is stopped or killed reports nothing itself.
"""

from __future__ import annotations

import asyncio
import re
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 0.2
_OOM_KILL = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


@dataclass
class Observed:
    """What was seen so far. Sizes are bytes; ``data_share`` is the share of the memory limit of the child in use."""

    peak_bytes: int = 0
    data_share: float = 0.0
    stopped_seconds: float = 0.0
    oom_kills: int = 0  # of the whole machine and of our cgroup, since the child began

    def sample(self, pid: int) -> bool:
        """Take a sample; returns whether the child is stopped."""
        try:
            fields = _status(pid)
            limit, _ = resource.prlimit(pid, resource.RLIMIT_DATA)
        except OSError:
            return False
        self.peak_bytes = max(self.peak_bytes, _number(fields, "VmHWM"))
        if limit > 0:  # there is one
            self.data_share = max(self.data_share, _number(fields, "VmData") / limit)
        return bool(fields.get("State", ["?"])[0] in "Tt")


class Watch:
    """Samples a child until it is closed; calls ``stalled`` if the child was stopped for ``patience`` seconds.

    Time in which this process was stopped itself does not count.
    """

    def __init__(self, pid: int, patience: float, stalled: Callable[[], None]) -> None:
        self.observed = Observed()
        self.is_stalled = False
        self._pid, self._patience, self._stalled = pid, patience, stalled
        self._before = oom_kills()
        self._task = asyncio.create_task(self._observe())

    def close(self) -> Observed:
        """Stop sampling; returns what was observed."""
        self._task.cancel()
        self.observed.oom_kills = oom_kills() - self._before
        return self.observed

    async def _observe(self) -> None:
        pause = min(_SECONDS, self._patience / 2)
        stopped, looked = 0.0, time.monotonic()
        was_stopped = False
        while True:
            # A longer gap means that this process was stopped, too (a laptop that sleeps, a paused machine).
            now = time.monotonic()
            passed, looked = min(now - looked, 2 * pause), now
            stopped = stopped + passed if was_stopped else 0.0
            was_stopped = self.observed.sample(self._pid)
            if was_stopped and stopped >= self._patience:
                self.observed.stopped_seconds, self.is_stalled = stopped, True
                self._stalled()
                return
            await asyncio.sleep(pause)


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped (SIGSTOP, or a debugger)."""
    return Observed().sample(pid)


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory, as far as this process can see."""
    total = 0
    for source in ("/proc/vmstat", "/sys/fs/cgroup/memory.events"):
        try:
            text = Path(source).read_text()
        except OSError:
            continue
        found = _OOM_KILL.search(text)
        total += int(found[1]) if found is not None else 0
    return total


def held(pid: int) -> tuple[int, int]:
    """The bytes of a process that count against its memory limit now, and its threads. Raises ``OSError``."""
    fields = _status(pid)
    return _number(fields, "VmData"), _number(fields, "Threads")


def _status(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


def _number(fields: dict[str, list[str]], name: str) -> int:
    """A number of ``/proc/<pid>/status``, in bytes where it has a unit; 0 if the process has ended."""
    value = fields.get(name)
    return int(value[0]) * (1024 if len(value) > 1 else 1) if value else 0
