"""Memory: what the engine may still hold in this run, measured when it must choose between memory and disk.

What one process may hold is its limit (RLIMIT_DATA). Less is free: what is held already, and a reserve for the passes
of the engine itself (batches in flight, buffers of writers, stacks of threads).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from service.kit import process_memory

RESERVE = 192 << 20
"""Bytes that a pass over a source or a stage takes beside what it collects (measured: 130 to 170 MiB on two cores)."""
_MOST_STAGED = 512 << 20
"""A larger stage gains nothing: the kernel clears its pages, and a file lies in the page cache, too."""


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

    def for_stage(self) -> int:
        """The largest stage to hold in memory, in bytes: half of what is free, as steps that read it collect, too."""
        return min(_MOST_STAGED, self.free() // 2)
