"""Governor: when the next request to a host may go out. One a host, shared by all collectors of the service.

What all must know of a host is in a ``PaceFile`` in a folder that every run is given, so it holds over all runs: the
distance between two requests, how many are on their way at once, and a pause that the host asked for
(``Retry-After``, an exhausted rate limit). Where collectors want different things of one host, the strictest of
those that are asking holds for all. Without a folder the governors hold for one process.

Inside a process requests queue, and the first in line looks again every few milliseconds; of several processes the one
that has waited longest goes first. Each process takes at most one place ahead, so one that dies delays nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from service.network.pace_file import HostState, PaceFile, Row

AT_ONCE = 8
"""Requests on their way to one host, where nobody says how many may be."""
_REMEMBERED = 128  # hosts; each holds a file open
_NONSENSE = 86_400.0  # no wait is that long: the file is spoilt
_ABSENT = 0.25  # a waiting process that looked no more for so long is busy with something else
_SHORTEST, _LONGEST = 0.001, 0.02  # between two looks
_ITEM = re.compile(r"(?:^|;)\s*([rt])\s*=\s*(\d+)")
_NAMED = re.compile(r"\b(remaining|reset)\s*=\s*(\d+)")
_PREFIXES = ("ratelimit", "x-ratelimit", "x-rate-limit")
_EPOCH = 1_000_000_000
"""A reset beyond it is a moment, not a number of seconds."""

Sleep = Callable[[float], Awaitable[None]]


class Place(NamedTuple):
    """A moment for one request, the seconds until then, and until when nobody was to ask when it was taken."""

    start: float
    wait: float
    paused: float


class HostLimiters:
    """The governors of all hosts. ``folder`` is shared with whoever is given the same one."""

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._hosts: OrderedDict[str, HostLimiter] = OrderedDict()

    def of(self, host: str) -> HostLimiter:
        """The governor of a host."""
        found = self._hosts.get(host)
        if found is None:
            name = hashlib.blake2b(host.lower().encode(), digest_size=16).hexdigest()
            pace_file = PaceFile(None if self._folder is None else self._folder / name)
            found = self._hosts[host] = HostLimiter(pace_file, self._clock)
            self._forget()
        elif len(self._hosts) > 1:
            self._hosts.move_to_end(host)
        return found

    def _forget(self) -> None:
        if self._folder is None or len(self._hosts) <= _REMEMBERED:
            return
        for host in [h for h, g in self._hosts.items() if g.idle][: len(self._hosts) - _REMEMBERED]:
            self._hosts.pop(host).close()

    def close(self) -> None:
        """Let go of every file."""
        for governor in self._hosts.values():
            governor.close()
        self._hosts.clear()


class HostLimiter:
    """The pace towards one host. ``clock`` answers seconds that only go forward and that all processes share."""

    def __init__(self, pace_file: PaceFile | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger, self._clock = pace_file or PaceFile(), clock
        self._limits: list[float] = []  # of the requests that wait or are on their way
        self._busy = 0
        self._last = self._since = self._seen = 0.0
        self._queued = 0
        self._line: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._freed: asyncio.Event | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody here waits or has a request on its way."""
        return not self._limits

    async def enter(self, interval: float = 0.0, at_once: int | None = None, sleep: Sleep = asyncio.sleep) -> None:
        """Wait for a turn: at most ``at_once`` requests on their way, ``interval`` seconds before and after this one.

        Who names no number gets along with what the others want. ``leave`` must follow. Raises ``OSError`` where the
        shared file cannot be used.
        """
        limit = float(at_once) if at_once is not None else math.inf
        line = self._queue()
        self._limits.append(limit)
        place = self._tried(interval, limit) if not self._queued else None
        if place is not None and place.wait <= 0:
            return
        self._queued += 1
        try:
            async with line:
                place = place or await self._admitted(interval, limit)
                while place is not None and place.wait > 0:
                    await sleep(place.wait)
                    place = await self._moved(place, interval)
        except BaseException:
            self._busy -= place is not None
            self._limits.remove(limit)
            self._since = 0.0
            self._tell()
            raise
        finally:
            self._queued -= 1

    def leave(self, at_once: int | None = None) -> None:
        """The request that ``enter`` let in is over, whatever came of it."""
        self._busy -= 1
        self._limits.remove(float(at_once) if at_once is not None else math.inf)
        self._tell()
        if self._freed is not None:
            self._freed.set()

    async def pause(self, seconds: float) -> None:
        """Nobody asks this host again for so long; a pause is never shortened."""
        await self._locked()
        try:
            state = self._ledger.read()
            now = self._clock()
            self._ledger.write(_sane(state.free, now), max(_sane(state.paused, now), now + seconds))
        finally:
            self._ledger.unlock()

    def close(self) -> None:
        """Let go of the file. Nobody may wait or be on the way."""
        self._ledger.close()

    def _queue(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._line is None or self._loop is not loop:
            self._line, self._loop, self._freed = asyncio.Lock(), loop, None
        return self._line

    async def _locked(self) -> None:
        """Take the lock; nobody holds it longer than a moment, unless the machine holds them up."""
        while not self._ledger.lock():  # noqa: ASYNC110 - no event tells, it is another process
            await asyncio.sleep(_SHORTEST)

    async def _admitted(self, interval: float, limit: float) -> Place:
        """Wait until one more may be on its way."""
        since = self._clock()
        while (place := self._tried(interval, limit, since)) is None:
            await self._look_again((self._clock() - since) / 8)
        return place

    def _tried(self, interval: float, limit: float, since: float = 0.0) -> Place | None:
        """A place in time, and one more on its way; None where that may not be now. ``since`` when somebody waits."""
        if not self._ledger.lock():
            return None
        try:
            now = self._clock()
            state = self._ledger.read()
            if self._may(state, limit, since or now, now):
                self._busy += 1
                self._since = 0.0
                return self._place(state, interval, now)
            if not self._ledger.known:
                self._ledger.write(state.free, state.paused)
            self._since, self._seen = since, now
            self._tell()
            return None
        finally:
            self._ledger.unlock()

    def _may(self, state: HostState, limit: float, since: float, now: float) -> bool:
        busy, limit, first = float(self._busy), min(self._ceiling(), limit if limit < math.inf else AT_ONCE), True
        for number, row in enumerate(state.rows) if len(state.rows) > 1 else ():
            if number == self._ledger.own or not (row.busy or row.since) or not self._ledger.alive(number):
                continue
            busy += row.busy
            limit = min(limit, row.limit)
            first = first and not (0 < row.since < since and now - row.seen < _ABSENT)
        return first and busy < limit

    def _ceiling(self) -> float:
        return min(self._limits) if self._limits else math.inf

    def _place(self, state: HostState, interval: float, now: float) -> Place:
        """The next place in time, taken. Under the lock."""
        free, paused = _sane(state.free, now), _sane(state.paused, now)
        last = max(_sane(row.last, now) for row in state.rows) if interval else 0.0
        start = self._last = max(now, free, paused, last + interval if last else 0.0)
        if interval or not self._ledger.known:
            self._ledger.write(start + interval if interval else free, paused)
        self._tell()
        return Place(start, start - now, paused)

    async def _moved(self, place: Place, interval: float) -> Place | None:
        """Another place where the host asked for a pause since that one was taken; None where it still holds."""
        await self._locked()
        try:
            now = self._clock()
            state = self._ledger.read()
            if _sane(state.paused, now) <= max(place.paused, place.start):
                return None
            return self._place(state, interval, now)
        finally:
            self._ledger.unlock()

    async def _look_again(self, seconds: float) -> None:
        self._freed = asyncio.Event()
        try:
            async with asyncio.timeout(min(max(seconds, _SHORTEST), _LONGEST)):
                await self._freed.wait()
        except TimeoutError:
            pass
        finally:
            self._freed = None

    def _tell(self) -> None:
        self._ledger.tell(Row(self._busy, self._ceiling(), self._since, self._seen, self._last))


def _sane(moment: float, now: float) -> float:
    return moment if moment < now + _NONSENSE else 0.0


def exhausted(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds until a rate limit is renewed, where an answer says that nothing is left of it; of several the longest.

    Reads ``RateLimit`` (``"default";r=0;t=30``, also ``remaining=0, reset=30``), ``RateLimit-Remaining`` with
    ``RateLimit-Reset``, and the same with ``X-``, whose reset may be a moment (seconds since 1970).
    """
    if not any("limit" in name for name in headers):
        return None
    said = headers.get("ratelimit", "")
    found = [dict(_ITEM.findall(policy)) for policy in said.split(",")]
    pairs = [(policy.get("r"), policy.get("t")) for policy in found]
    named = dict(_NAMED.findall(said))
    pairs.append((named.get("remaining"), named.get("reset")))
    pairs += [(headers.get(f"{p}-remaining"), headers.get(f"{p}-reset")) for p in _PREFIXES]
    waits = [_renewed(reset, now) for left, reset in pairs if left is not None and left.strip() == "0" and reset]
    return max((w for w in waits if w is not None), default=None)


def _renewed(reset: str, now: float | None) -> float | None:
    try:
        seconds = float(reset)
    except ValueError:
        return None
    if seconds >= _EPOCH:
        seconds -= time.time() if now is None else now
    return max(0.0, seconds) if seconds < math.inf else None
