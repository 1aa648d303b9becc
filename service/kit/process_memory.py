"""What this process may hold and holds: private data, as RLIMIT_DATA counts it. Sizes are bytes."""

from __future__ import annotations

import resource
from pathlib import Path


def limit() -> int:
    """The most private data this process may hold; without a limit half of the machine beside what it holds now."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return soft if soft != resource.RLIM_INFINITY else _half_of_the_machine() + held()


def held() -> int:
    """The private data that this process holds now (VmData), memory that its allocators keep included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _half_of_the_machine() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 512
    return 4 << 30
