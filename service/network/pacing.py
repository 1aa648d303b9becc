"""Rate limits per host: when the next request may start. All collectors of the service share one limiter per host.

The shared state of a host is a ``PaceFile`` in a folder that every run gets, so limits hold over all runs: the interval
between two requests, the number of concurrent requests, and a pause that the host asked for (``Retry-After``, an
exhausted rate limit). If collectors ask for different limits, the strictest of the active ones holds for all. Without a
folder the limits hold within one process. Where the files are lent (``pace_file``) they hold over all hosts that serve
an installation: a request starts only with a place that was lent, and in the time that was lent.

Inside a process requests queue, and the first in line looks again every few milliseconds. Of several processes the one
that has waited longest goes first. Each process reserves at most one slot ahead, so a dead process delays none.
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
"""Concurrent requests to one host if no caller sets a limit."""
_REMEMBERED = 128  # hosts; each holds a file open
_NONSENSE = 86_400.0  # no wait is that long: the file is damaged
_ABSENT = 0.25  # a waiting process that has not looked for this long is busy with something else
_SHORTEST, _LONGEST = 0.001, 0.02  # between two looks
_ASKED = 0.05  # between two times that more is asked for
_ITEM = re.compile(r"(?:^|;)\s*([rt])\s*=\s*(\d+)")
_NAMED = re.compile(r"\b(remaining|reset)\s*=\s*(\d+)")
_PREFIXES = ("ratelimit", "x-ratelimit", "x-rate-limit")
_EPOCH = 1_000_000_000
"""A reset value beyond it is a Unix time, not a number of seconds."""

Sleep = Callable[[float], Awaitable[None]]


class Place(NamedTuple):
    """A start time for one request, the seconds until then, and the host's pause when it was chosen.

    ``reserved`` is false where it is later than requests may start with what is lent.
    """

    start: float
    wait: float
    paused: float
    reserved: bool = True


class HostLimiters:
    """The limiters of all hosts. Processes with the same ``folder`` share them."""

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._hosts: OrderedDict[str, HostLimiter] = OrderedDict()

    def of(self, host: str) -> HostLimiter:
        """The limiter of a host."""
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
        """Close every file."""
        for limiter in self._hosts.values():
            limiter.close()
        self._hosts.clear()


class HostLimiter:
    """The limits of one host. ``clock`` returns monotonic seconds that all processes share."""

    def __init__(self, pace_file: PaceFile | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace_file, self._clock = pace_file or PaceFile(), clock
        self._limits: list[float] = []  # of the requests that wait or are in flight
        self._busy = 0
        self._last = self._since = self._seen = self._asked = 0.0
        self._shortest = self._longest = 0.0  # intervals
        self._queued = 0
        self._line: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._freed: asyncio.Event | None = None

    @property
    def idle(self) -> bool:
        """Whether this process has no request to the host that waits or is in flight."""
        return not self._limits

    async def enter(self, interval: float = 0.0, at_once: int | None = None, sleep: Sleep = asyncio.sleep) -> None:
        """Wait for a turn: at most ``at_once`` concurrent requests, ``interval`` seconds before and after this one.

        Without ``at_once`` the limit of the other callers applies. ``leave`` must follow. Raises ``OSError`` if the
        shared file cannot be used.
        """
        limit = float(at_once) if at_once is not None else math.inf
        line = self._queue()
        self._shortest = min(self._shortest, interval) if self._limits else interval
        self._longest = max(self._longest, interval) if self._limits else interval
        self._limits.append(limit)
        place = self._try_enter(interval, limit) if not self._queued else None
        if place is not None and place.wait <= 0:
            return
        self._queued += 1
        try:
            async with line:
                place = place or await self._wait_for_slot(interval, limit)
                while place is not None and place.wait > 0:
                    await sleep(place.wait)
                    moved = await self._moved_place(place, interval)
                    if moved is not None and not moved.reserved:
                        self._busy -= 1
                        place = None
                        moved = await self._wait_for_slot(interval, limit)
                    place = moved
        except BaseException:
            self._busy -= place is not None
            self._limits.remove(limit)
            self._since = 0.0
            self._put_row()
            raise
        finally:
            self._queued -= 1

    def leave(self, at_once: int | None = None) -> None:
        """End the request that ``enter`` admitted, whatever its outcome."""
        self._busy -= 1
        self._limits.remove(float(at_once) if at_once is not None else math.inf)
        self._put_row()
        if self._freed is not None:
            self._freed.set()

    async def pause(self, seconds: float) -> None:
        """Pause all requests to this host for ``seconds``; a pause is never shortened."""
        await self._lock_file()
        try:
            state = self._pace_file.read()
            now = self._clock()
            self._pace_file.write(sane(state.free, now), max(sane(state.paused, now), now + seconds))
        finally:
            self._pace_file.unlock()
        if self._pace_file.is_lent:
            self._pace_file.ask()

    def close(self) -> None:
        """Close the file. No request may be waiting or in flight."""
        self._pace_file.close()

    def _queue(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._line is None or self._loop is not loop:
            self._line, self._loop, self._freed = asyncio.Lock(), loop, None
        return self._line

    async def _lock_file(self) -> None:
        """Take the lock; a holder keeps it for microseconds, unless the machine stalls."""
        while not self._pace_file.lock():  # noqa: ASYNC110 - the holder is another process, there is no event
            await asyncio.sleep(_SHORTEST)

    async def _wait_for_slot(self, interval: float, limit: float) -> Place:
        """Wait until one more request may be in flight."""
        since = self._clock()
        while (place := self._try_enter(interval, limit, since)) is None:
            await self._look_again((self._clock() - since) / 8)
        return place

    def _try_enter(self, interval: float, limit: float, since: float = 0.0) -> Place | None:
        """Reserve a start time and count the request as in flight; None if that is not allowed now.

        ``since`` is when the caller began to wait.
        """
        if not self._pace_file.lock():
            return None
        try:
            now = self._clock()
            state = self._pace_file.read()
            if self._may_enter(state, limit, since or now, now):
                place = self._reserve(state, interval, now)
                if place.reserved:
                    self._busy += 1
                    self._since = 0.0
                    self._put_row()
                    return place
            if not self._pace_file.known:
                self._pace_file.write(state.free, state.paused)
            self._since, self._seen = since, now
            self._put_row()
            if self._pace_file.is_lent and now - self._asked > _ASKED:
                self._asked = now
                self._pace_file.ask()
            return None
        finally:
            self._pace_file.unlock()

    def _may_enter(self, state: HostState, limit: float, since: float, now: float) -> bool:
        busy, limit, first = float(self._busy), min(self._ceiling(), limit if limit < math.inf else AT_ONCE), True
        limit = min(limit, state.lent.places)
        for number, row in enumerate(state.rows) if len(state.rows) > 1 else ():
            if number == self._pace_file.own or not (row.busy or row.since) or not self._pace_file.alive(number):
                continue
            busy += row.busy
            limit = min(limit, row.limit)
            first = first and not (0 < row.since < since and now - row.seen < _ABSENT)
        return first and busy < limit

    def _ceiling(self) -> float:
        return min(self._limits) if self._limits else math.inf

    def _reserve(self, state: HostState, interval: float, now: float) -> Place:
        """Reserve the next start time, if it is early enough. Call it under the lock."""
        free, paused = sane(state.free, now), sane(state.paused, now)
        last = max(sane(row.last, now) for row in state.rows) if interval else 0.0
        start = max(now, free, paused, last + interval if last else 0.0)
        if self._pace_file.is_lent and start >= sane(state.lent.until, now):
            return Place(start, start - now, paused, reserved=False)
        self._last = start
        if interval or not self._pace_file.known:
            self._pace_file.write(start + interval if interval else free, paused)
        return Place(start, start - now, paused)

    async def _moved_place(self, place: Place, interval: float) -> Place | None:
        """Another start time if the host asked for a pause since ``place`` was reserved; None if it still holds."""
        await self._lock_file()
        try:
            now = self._clock()
            state = self._pace_file.read()
            if sane(state.paused, now) <= max(place.paused, place.start):
                return None
            place = self._reserve(state, interval, now)
            self._put_row()
            return place
        finally:
            self._pace_file.unlock()

    async def _look_again(self, seconds: float) -> None:
        self._freed = asyncio.Event()
        try:
            async with asyncio.timeout(min(max(seconds, _SHORTEST), _LONGEST)):
                await self._freed.wait()
        except TimeoutError:
            pass
        finally:
            self._freed = None

    def _put_row(self) -> None:
        row = Row(self._busy, self._ceiling(), self._since, self._seen, self._last, self._queued)
        self._pace_file.put_row(row._replace(shortest=self._shortest, longest=self._longest))


def sane(moment: float, now: float) -> float:
    """The moment, or 0 if it can only be damage."""
    return moment if moment < now + _NONSENSE else 0.0


def exhausted(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds until a rate limit is renewed, if an answer says that it is used up; of several limits the longest.

    Reads ``RateLimit`` (``"default";r=0;t=30``, also ``remaining=0, reset=30``), ``RateLimit-Remaining`` with
    ``RateLimit-Reset``, and the same with ``X-``, whose reset may be a Unix time.
    """
    if not any("limit" in name for name in headers):
        return None
    header = headers.get("ratelimit", "")
    found = [dict(_ITEM.findall(policy)) for policy in header.split(",")]
    pairs = [(policy.get("r"), policy.get("t")) for policy in found]
    named = dict(_NAMED.findall(header))
    pairs.append((named.get("remaining"), named.get("reset")))
    pairs += [(headers.get(f"{p}-remaining"), headers.get(f"{p}-reset")) for p in _PREFIXES]
    waits = [_seconds_until(reset, now) for left, reset in pairs if left is not None and left.strip() == "0" and reset]
    return max((w for w in waits if w is not None), default=None)


def _seconds_until(reset: str, now: float | None) -> float | None:
    try:
        seconds = float(reset)
    except ValueError:
        return None
    if seconds >= _EPOCH:
        seconds -= time.time() if now is None else now
    return max(0.0, seconds) if seconds < math.inf else None
