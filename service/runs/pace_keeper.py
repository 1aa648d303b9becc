"""The keeper of the pace files where several services share an installation: it borrows from the others, and lends.

Processes ask by a line in a pipe. For each host that they use, the keeper exchanges what they want for a loan, in one
transaction for all hosts, and writes it into the host's file. A loan ends by itself: while the catalog does not answer,
requests become fewer and then none.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from service.catalog.host_paces import HostPaces
from service.network.pace_file import ASKS, HostState, Lent, PaceFile, Row
from service.network.pace_shares import Loan, Wish
from service.network.pacing import sane
from service.runs.job_resources import JobResources

_TICK = 0.05
_LEAST = 0.1  # seconds between two exchanges of a host
_LINGER = 1.0  # seconds after its last request in which a host counts as used: the next page may be asked for
_NAME = re.compile(rb"[0-9a-f]{32}")
_MOST_HOSTS, _MOST_REQUESTS = 1000, 1e6
_log = structlog.get_logger("penstock.pace")


class Exchange(Protocol):
    """Tells the others what is wanted of each host. Returns the moment, and what may be lent (``HostPaces``)."""

    def __call__(self, wishes: Mapping[str, Wish]) -> tuple[float, dict[str, Loan]]: ...


class PaceKeeper:
    """Lends to the processes that use the files in ``folder``. Its methods belong to the event loop."""

    def __init__(self, exchange: Exchange, folder: Path) -> None:
        self._exchange = exchange
        self._folder = folder
        self._hosts: dict[str, _Host] = {}
        self._asked = asyncio.Event()
        self._pipe: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._failed = False

    @classmethod
    def of(cls, resources: JobResources) -> PaceKeeper:
        """The keeper for the jobs of this process."""
        history = resources.history
        return cls(HostPaces(history.queue.store, history.lease.owner).exchange, resources.layout.pace)

    def start(self) -> None:
        """Begin to lend."""
        pipe = self._folder / ASKS
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # never at its end: we could write, too
        asyncio.get_running_loop().add_reader(self._pipe, self._read)
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Lend nothing any more, and give back what was borrowed. Safe to call again."""
        if self._pipe is None or self._task is None:
            return
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        self._pipe = None
        (self._folder / ASKS).unlink(missing_ok=True)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        idle = {name: Wish(wanted=0) for name, host in self._hosts.items() if await host.give_back()}
        if idle:
            with contextlib.suppress(Exception):  # then it comes back with its lease
                await asyncio.to_thread(self._exchange, idle)
        for host in self._hosts.values():
            host.close()
        self._hosts.clear()

    def _read(self) -> None:
        assert self._pipe is not None
        with contextlib.suppress(BlockingIOError):
            for name in os.read(self._pipe, 1 << 16).split(b"\n"):
                if _NAME.fullmatch(name):
                    self._note(name.decode())

    def _note(self, name: str) -> None:
        host = self._hosts.get(name)
        if host is None and len(self._hosts) < _MOST_HOSTS:
            with contextlib.suppress(OSError):  # its process will see the same
                host = self._hosts[name] = _Host(self._folder / name)
        if host is not None:
            host.asked = True
            self._asked.set()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK if self._hosts else None):
                    await self._asked.wait()
            self._asked.clear()
            try:
                await self._borrow()
                self._failed = False
            except Exception as error:  # the catalog does not answer now
                if not self._failed:
                    _log.warning("pace.not_lent", reason=str(error), exception=type(error).__name__)
                self._failed = True
                await asyncio.sleep(0.5)

    async def _borrow(self) -> None:
        wishes = {name: wish for name, host in self._hosts.items() if (wish := host.wish(time.monotonic())) is not None}
        if not wishes:
            return
        sent = time.monotonic()
        now, loans = await asyncio.to_thread(self._exchange, wishes)
        received = time.monotonic()
        for name, loan in loans.items():
            host = self._hosts[name]
            if wishes[name].wanted:
                await host.lend(loan, sent - now, received - now)
            else:
                self._hosts.pop(name).close()


class _Host:
    """A file that is lent. Moments are those of this machine's monotonic clock."""

    def __init__(self, path: Path) -> None:
        self.asked = True
        self._file = PaceFile(path, lends=True)
        self._lent = Lent()
        self._wish = Wish(wanted=0)
        self._due = self._exchanged = 0.0
        self._paused = 0.0  # as the others know it
        self._peaks: list[tuple[float, int]] = []  # what was wanted within ``_LINGER``

    def close(self) -> None:
        self._file.close()

    def wish(self, now: float) -> Wish | None:
        """What to exchange now, if that is due."""
        if not self._file.lock():
            return None
        try:
            state = self._file.read()
            rows = [row for number, row in enumerate(state.rows) if _is_whole(row) and self._file.alive(number)]
            wanted = self._wanted(rows, now)
            pause = state.paused - now if now < sane(state.paused, now) > self._paused + _TICK else 0.0
            asked, self.asked = self.asked, False
            short = asked and (self._lent.until <= now or not self._lent.places or wanted > self._wish.wanted)
            if now < self._due and not pause and not (short and now >= self._exchanged + _LEAST):
                return None
            self._exchanged = now
            if not wanted:
                self._file.lend(Lent(), state.free, state.paused)
                return Wish(wanted=0)
            held = max(int(sum(row.busy for row in rows)), int(self._lent.places))
            self._wish = msgspec.structs.replace(self._wish, wanted=wanted, held=held, pause=pause)
            if asking := [row for row in rows if row.busy or row.queued or row.since]:
                limit = min(row.limit for row in asking)
                self._wish = msgspec.structs.replace(
                    self._wish, limit=max(1, int(limit)) if limit < math.inf else None,
                    shortest=min(row.shortest for row in asking), longest=max(row.longest for row in asking),
                )  # fmt: skip
            return self._wish
        finally:
            self._file.unlock()

    def _wanted(self, rows: list[Row], now: float) -> int:
        """How many requests the processes want to have in flight, or wanted a moment ago."""
        wanted = int(sum(row.busy + max(row.queued, row.since > 0) for row in rows))
        recent = int(any(now - _LINGER < row.last for row in rows))
        self._peaks = [(at, n) for at, n in self._peaks if now - at < _LINGER] + [(now, max(wanted, recent))]
        return max(n for _, n in self._peaks)

    async def lend(self, loan: Loan, earliest: float, latest: float) -> None:
        """Write a loan. Our clock is ahead of the server's by something between ``earliest`` and ``latest``."""
        self._due = loan.again + latest
        self._paused = loan.paused + latest if loan.paused else 0.0
        self._lent = Lent(loan.places, loan.until + earliest)
        async with self._locked() as (state, now):
            free, paused = sane(state.free, now), sane(state.paused, now)
            self._file.lend(self._lent, max(free, loan.begin + latest), max(paused, self._paused))

    async def give_back(self) -> bool:
        """Lend nothing any more. Returns whether no request is in flight."""
        async with self._locked() as (state, _):
            self._file.lend(Lent(), state.free, state.paused)
            return not any(row.busy for number, row in enumerate(state.rows) if self._file.alive(number))

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[tuple[HostState, float]]:
        while not self._file.lock():  # noqa: ASYNC110 - the holder is another process, there is no event
            await asyncio.sleep(0.001)
        try:
            yield self._file.read(), time.monotonic()
        finally:
            self._file.unlock()


def _is_whole(row: Row) -> bool:
    """Whether a row is what a process writes, and not damage."""
    return all(value >= 0 for value in row) and row.busy + row.queued < _MOST_REQUESTS and row.longest < math.inf
