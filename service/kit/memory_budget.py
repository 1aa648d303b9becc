"""The memory budget: how the memory of the machine, or of the cgroup if that is less, is divided among children.

Limits times concurrency never exceed it. What an operator sets explicitly is kept for one child; then fewer children
work at once. Sizes are bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MIB = 1024 * 1024
SMALLEST_RUN = 512 * MIB
SMALLEST_QUERY = 384 * MIB
_SMALLEST_TASK = 384 * MIB
"""With less, DuckDB does not start, or a page of rows does not fit: its threads alone take 100 MiB of addresses."""
SPARE = 8 * MIB
"""What a worker that waits for a run holds: 5 MiB of its own, and page tables. There is one for each run at most."""
_LARGEST_QUERY = 1024 * MIB
_LARGEST_TASK = 1024 * MIB
_SERVICE_SHARE = 0.1  # of the memory, for the service itself, its forkserver and the page cache
_QUERY_SHARE, _TASK_SHARE = 0.25, 0.2  # of the rest
_CGROUP = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


class Budget(NamedTuple):
    """How many children of each kind work at once, and the memory of each."""

    runs: int
    run_bytes: int
    queries: int
    query_bytes: int
    tasks: int
    task_bytes: int

    @property
    def total(self) -> int:
        """The memory that all children may use together, spare workers included."""
        return self.runs * (self.run_bytes + SPARE) + self.queries * self.query_bytes + self.tasks * self.task_bytes


def available() -> int:
    """The memory of the machine or the limit of the cgroup, whichever is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_limit(file) for file in _limit_files()]
    return min([machine, *(limit for limit in limits if limit is not None)])


def _limit_files() -> list[Path]:
    """The files with the limits of the cgroup of this process and of those above it, up to the root that it sees."""
    try:
        lines = [line.split(":", 2) for line in _OWN_CGROUPS.read_text().splitlines()]
    except OSError:
        lines = []
    found = [_CGROUP / "memory.max", _CGROUP / "memory" / "memory.limit_in_bytes"]
    for _, controllers, path in lines:
        base, name = (_CGROUP / "memory", "memory.limit_in_bytes") if controllers else (_CGROUP, "memory.max")
        if controllers and "memory" not in controllers.split(","):
            continue
        place = PurePosixPath(path.lstrip("/"))
        found += [base / above / name for above in (place, *place.parents) if ".." not in above.parts]
    return found


def divide(memory: int, *, runs: int, queries: int, tasks: int, given: Mapping[str, int]) -> Budget:
    """Divide ``memory`` among at most ``runs``, ``queries`` and ``tasks`` children.

    ``given`` has limits that an operator has set: ``run_memory_limit``, ``query_memory_limit``. At least one child of
    each kind is left, however small the memory is; without ``runs`` there are none, and their memory stays unused.
    """
    rest = int(memory * (1 - _SERVICE_SHARE))
    query_bytes = given.get("query_memory_limit") or _between(
        SMALLEST_QUERY, int(rest * _QUERY_SHARE) // queries, _LARGEST_QUERY
    )
    queries = _fitting(queries, int(rest * _QUERY_SHARE), query_bytes)
    run_given = given.get("run_memory_limit")
    task_bytes = _between(
        _SMALLEST_TASK, int(rest * _TASK_SHARE) // tasks, min(_LARGEST_TASK, run_given or _LARGEST_TASK)
    )
    tasks = max(2, _fitting(tasks, int(rest * _TASK_SHARE), task_bytes))  # one that waits for sources, and one other
    left = rest - queries * query_bytes - tasks * task_bytes
    runs = _fitting(runs, left, (run_given or SMALLEST_RUN) + SPARE) if runs else 0
    run_bytes = run_given or max(SMALLEST_RUN, left // max(1, runs) - SPARE)
    return Budget(runs, run_bytes, queries, query_bytes, tasks, task_bytes)


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _fitting(wanted: int, memory: int, size: int) -> int:
    return max(1, min(wanted, memory // size))


def _limit(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
