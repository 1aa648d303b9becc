"""Memory: what the engine may still hold in this run, measured when it must choose between memory and disk.

What one process may hold is its limit (RLIMIT_DATA). Less is free: what is held already, and a reserve for the passes
of the engine itself (batches in flight, buffers of writers, stacks of threads).
"""

from __future__ import annotations

from collections.abc import Callable

from service.kit import process_memory

RESERVE = 192 << 20
"""Bytes that a pass over a source or a stage takes beside what it collects (measured: 130 to 170 MiB on two cores)."""


class Memory:
    """The budget of a run: ``limit`` bytes in all, of which ``held()`` are taken."""

    def __init__(self, limit: int | None = None, held: Callable[[], int] = process_memory.held) -> None:
        self._limit = process_memory.limit() if limit is None else limit
        self._held = held

    @property
    def limit(self) -> int:
        """All that the run may hold, in bytes."""
        return self._limit

    def free(self) -> int:
        """What may still be collected now, in bytes; 0 where passes need all that is left."""
        return max(0, self._limit - self._held() - RESERVE)
