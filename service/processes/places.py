"""Places for work that children do, shared out fairly among those who ask: a fair queue over callers.

A free place goes to the caller who holds the fewest, and among those to the one whose work took the least time of late.
So the queue of one caller, however long it is, makes no other caller wait for more than the work in progress. No caller
holds more than a part of the places. Slow work (answers that a client reads while they are made) holds no more than a
part of them in all. The last free place is for callers who hold none, and for quick work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator

from service.kit import caller, errors

_MOST_IDLE = 1_000
"""Callers without work whose time is remembered."""


def share(places: int, part: float) -> int:
    """How many of ``places`` one caller may hold who has ``part`` of them: at least one."""
    return max(1, int(places * part))


class Place:
    """A place that was taken. ``release`` may be called again."""

    def __init__(self, places: Places, share: _Share, *, slow: bool) -> None:
        self.slow = slow
        self.share = share
        self._places: Places | None = places
        self.began = asyncio.get_running_loop().time()

    def release(self) -> None:
        """Give the place back."""
        places, self._places = self._places, None
        if places is not None:
            places.free(self)


class _Waiter:
    def __init__(self, *, slow: bool) -> None:
        self.slow = slow
        self.place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()


class _Share:
    """What one caller has: places, time (seconds, comparable among callers) and a queue."""

    def __init__(self, most: int, used: float) -> None:
        self.most = most
        self.used = used
        self.held = 0
        self.waiting: deque[_Waiter] = deque()

    @property
    def is_idle(self) -> bool:
        return not self.held and not self.waiting


class Places:
    """``most`` places, of which one caller holds at most ``each`` and slow work at most ``slow``.

    The empty caller, which is the service itself or a command, may hold all.
    At most ``queue`` requests of a caller wait. ``what`` names the work in errors, ``limit`` in metrics.
    """

    def __init__(
        self, most: int, *, each: int, queue: int, what: str, slow: int | None = None, limit: str | None = None
    ) -> None:
        self._most = most
        self._each = each
        self._most_slow = most if slow is None else slow
        self._queue = queue
        self._what = what
        self._limit = limit or what
        self._shares: dict[str, _Share] = {}
        self._slow = 0
        self.taken = 0
        self._clock = 0.0  # the time of the caller who was served last

    async def take(self, who: str, seconds: float, *, slow: bool = False) -> Place:
        """A place for ``who``; release it afterwards.

        Raises ``errors.Unavailable`` if none is free for ``seconds``, or too many requests of the caller wait.
        """
        share = self._share(who)
        if self._has_room(share, slow=slow):  # nobody who could have it waits
            return self._taken(share, slow=slow)
        if len(share.waiting) >= self._queue:
            message = f"too many {self._what} of yours are waiting; try again shortly"
            raise errors.Unavailable(message, retry_after=2.0, limit=self._limit)
        waiter = _Waiter(slow=slow)
        share.waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter.place
        except BaseException as error:
            if waiter in share.waiting:
                share.waiting.remove(waiter)
            elif waiter.place.done() and not waiter.place.cancelled():
                waiter.place.result().release()
            if isinstance(error, TimeoutError):
                raise errors.Unavailable(
                    f"no place for {self._what} became free in time; try again later",
                    retry_after=5.0,
                    limit=self._limit,
                ) from None
            raise

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return sum(len(share.waiting) for share in self._shares.values())

    @contextlib.asynccontextmanager
    async def turn(self, seconds: float) -> AsyncIterator[None]:
        """A place for the present caller meanwhile. Raises as ``take``."""
        place = await self.take(caller.current(), seconds)
        try:
            yield
        finally:
            place.release()

    def free(self, place: Place) -> None:
        """Take a place back; ``Place.release`` calls it."""
        self.taken -= 1
        self._slow -= place.slow
        place.share.held -= 1
        place.share.used += asyncio.get_running_loop().time() - place.began
        for share, waiter in iter(self._next, None):
            share.waiting.remove(waiter)
            waiter.place.set_result(self._taken(share, slow=waiter.slow))

    def _next(self) -> tuple[_Share, _Waiter] | None:
        """Who gets a place now: the first request that may have one, of the caller who had the least."""
        return min(self._eligible(), key=lambda found: (found[0].held, found[0].used), default=None)

    def _eligible(self) -> Iterator[tuple[_Share, _Waiter]]:
        for share in self._shares.values():
            for waiter in share.waiting:
                if not waiter.place.done() and self._has_room(share, slow=waiter.slow):
                    yield share, waiter
                    break

    def _has_room(self, share: _Share, *, slow: bool) -> bool:
        left = self._most - self.taken
        if not left or share.held >= share.most:
            return False
        if left == 1 and share.most < self._most and (slow or share.held):
            return False
        return not slow or self._slow < self._most_slow

    def _taken(self, share: _Share, *, slow: bool) -> Place:
        self.taken += 1
        self._slow += slow
        share.held += 1
        self._clock = max(self._clock, share.used)
        return Place(self, share, slow=slow)

    def _share(self, who: str) -> _Share:
        """The share of a caller. Time without work earns nothing: who comes back is not served before all others."""
        share = self._shares.get(who)
        if share is None:
            if len(self._shares) > _MOST_IDLE:
                self._shares = {name: known for name, known in self._shares.items() if not known.is_idle}
            share = self._shares[who] = _Share(self._each if who else self._most, self._clock)
        elif share.is_idle:
            share.used = max(share.used, self._clock)
        return share
