"""Slots: how many runs may have a worker at the same time.

A run has its slot from the start of an attempt until its worker is gone; what it commits then needs none, so that the
next run works meanwhile. The runs that commit without a slot are bounded, too: a catalog that is slow must not let
versions pile up that nobody has committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Slots:
    """``count`` slots, held by runs, which are named by their ids. Used in the event loop only.

    ``on_taken`` are called when a run gets a slot.
    """

    def __init__(self, count: int) -> None:
        self.on_taken: list[Callable[[], None]] = []
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._held: set[str] = set()
        self._committing: set[str] = set()
        self.closed = False

    def close(self) -> None:
        """Give no slot any more; those that are held stay."""
        self.closed = True

    @property
    def has_free(self) -> bool:
        """Whether ``take`` returns at once."""
        return not (self.closed or self._free.locked())

    @property
    def held(self) -> int:
        """How many runs have a slot."""
        return len(self._held)

    async def take(self, run_id: str) -> None:
        """Wait for a slot, unless the run has one. When they are closed, that is until it is cancelled."""
        if run_id not in self._held:
            await self._free.acquire()
            if self.closed:
                await asyncio.get_running_loop().create_future()
            self.fill(run_id)

    async def reserve(self) -> bool:
        """Set a free slot aside for a run that is being looked for. Returns whether there was one."""
        return self.has_free and await self._free.acquire()

    def fill(self, run_id: str) -> None:
        """Give the slot that was set aside to a run."""
        self._held.add(run_id)
        for taken in self.on_taken:
            taken()

    def give_back(self) -> None:
        """Free the slot that was set aside."""
        self._free.release()

    def commit_without(self, run_id: str) -> None:
        """Give the slot of a run that commits to another run, unless as many runs as there are slots do so."""
        if len(self._committing) < self._count:
            self._committing.add(run_id)
            self._give(run_id)

    def free(self, run_id: str) -> None:
        """Note that an attempt of the run is over, or does not come. Safe to call again."""
        self._committing.discard(run_id)
        self._give(run_id)

    def _give(self, run_id: str) -> None:
        if run_id in self._held:
            self._held.remove(run_id)
            self._free.release()
