"""Memory: what the engine may still hold in this run, measured when it must choose between memory and disk.

What one process may hold is its limit (RLIMIT_DATA). Less is free: what is held already, and a reserve for the passes
of the engine itself (batches in flight, buffers of writers, stacks of threads).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

from service.kit import process_memory

_THREADS = int(os.environ.get("POLARS_MAX_THREADS") or len(os.sched_getaffinity(0)))
"""Threads of the engine. To ask Polars would start them, in the forkserver, too."""
RESERVE = (192 << 20) + (24 << 20) * max(0, _THREADS - 2)
"""Bytes that a pass over a source or a stage takes beside what it collects (measured: 130 to 170 MiB on two cores, and
200 to 280 with eight threads, each of which has batches of its own)."""
_MOST_STAGED = 512 << 20
"""A larger stage gains nothing: the kernel clears its pages, and a file lies in the page cache, too."""
_STAGED_ON_TRIAL = 192 << 20
"""The most of a stage of unknown size: what was collected in vain comes on top of the pass."""
_LEAST_PART, _MOST_PART = 16 << 20, 64 << 20
_PART_COLUMN = 32 << 10
"""Bytes of a column in a part. Its place in the file, which every query reads, takes up to a kilobyte of memory."""


class Memory:
    """The budget of a run: ``limit`` bytes in all, of which ``held()`` are taken."""

    def __init__(self, limit: int | None = None, held: Callable[[], int] = process_memory.held) -> None:
        self._given = limit
        self._held = held

    @functools.cached_property
    def limit(self) -> int:
        """All that the run may hold, in bytes."""
        return process_memory.limit() if self._given is None else self._given

    def free(self) -> int:
        """What may still be collected now, in bytes; 0 where passes need all that is left."""
        return max(0, self.limit - self._held() - RESERVE)

    def left(self) -> int:
        """What is not held yet, in bytes, the reserve for passes included."""
        return max(0, self.limit - self._held())

    def for_stage(self, expected: int | None) -> int:
        """The most bytes of a stage to collect, if about ``expected`` come (None: unknown); 0 where that is too much.

        Half of what is free, as the steps that read it collect, too.
        """
        most = min(_MOST_STAGED, self.free() // 2)
        if expected is None:
            return min(most, _STAGED_ON_TRIAL)
        return most if expected <= most else 0

    def for_part(self, columns: int) -> int:
        """How many bytes to collect before they go to a file: more of many columns, as each costs in each file."""
        return min(max(self.free() // 8, _LEAST_PART), max(_MOST_PART, columns * _PART_COLUMN))
