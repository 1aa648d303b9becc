"""Spare children: forked, with all that their work imports loaded, and waiting for it.

A start that takes one need not wait for a fork. A spare is confined like any child, when its work is known and before
it has a thread; it is used once and replaced. It holds what it does not share with the forkserver, a few MiB
(``kit.memory_budget`` counts it).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

import structlog

from service.kit import errors
from service.processes import watch
from service.processes.child import Child, Entry
from service.processes.limits import Limits

_BEGIN_SECONDS = 2.0  # a spare that has not begun by then is replaced
_PAUSE = 1.0  # seconds after a spare has died or could not be forked

_log = structlog.get_logger("penstock.spares")


class Spares:
    """The spares of a service, none until ``fill``. Its methods belong to the event loop."""

    def __init__(self) -> None:
        self._wanted = 0
        self._forking = 0
        self._waiting: dict[Child, asyncio.Task[None]] = {}  # each with the task that notices its end
        self._forks: set[asyncio.Task[Any]] = set()
        self._care: set[asyncio.Task[Any]] = set()  # of spares that wait or have just died
        self._ends: set[asyncio.Task[Any]] = set()  # spares that are ended

    async def fill(self, count: int) -> None:
        """Keep ``count`` spares from now on. Returns when they wait, or could not be forked."""
        self._wanted = count
        self._refill()
        if self._forks:
            await asyncio.wait(set(self._forks))

    async def start(self, entry: Entry, order: bytes, limits: Limits) -> Child:
        """``Child.start``, without its fork if a spare waits. Raises as ``Child.start``."""
        try:
            while self._waiting:
                child = self._take()
                if await self.begins(child, entry, order, limits):
                    return child
                _log.warning("spare.lost", pid=child.pid)
                self._discard(child)
            return await Child.start(entry, order, limits)
        finally:
            self._refill()

    async def close(self) -> None:
        """End all spares."""
        self._wanted = 0
        while self._waiting:
            self._discard(self._take())
        tasks = self._forks | self._care
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._ends, return_exceptions=True)

    def _take(self) -> Child:
        child = next(iter(self._waiting))
        self._waiting.pop(child).cancel()
        return child

    async def begins(self, child: Child, entry: Entry, order: bytes, limits: Limits | None) -> bool:
        """Give the order to a child that waits; whether it began. One that died, is stopped or is silent did not."""
        if watch.is_stopped(child.pid):
            return False
        try:
            await child.assign(entry, order, limits)
            return await child.has_begun(_BEGIN_SECONDS)
        except ConnectionError:
            return False
        except BaseException:
            self._discard(child)
            raise

    def _discard(self, child: Child) -> None:
        child.kill()
        _task(child.wait(), self._ends)

    def _refill(self) -> None:
        for _ in range(self._wanted - len(self._waiting) - self._forking):
            self._forking += 1
            _task(self._fork(), self._forks)

    async def _fork(self) -> None:
        try:
            child = await Child.fork()
        except (errors.Unavailable, OSError) as error:
            _log.warning("spare.not_forked", reason=str(error))
            asyncio.get_running_loop().call_later(_PAUSE, self._refill)
            return
        finally:
            self._forking -= 1
        if len(self._waiting) < self._wanted:
            self._waiting[child] = _task(self._tend(child), self._care)
        else:
            self._discard(child)

    async def _tend(self, child: Child) -> None:
        """Replace a spare that ends while it waits."""
        await child.ended()
        if self._waiting.pop(child, None) is not None:
            _log.warning("spare.ended", pid=child.pid, end=str(await child.wait()))
            await asyncio.sleep(_PAUSE)
            self._refill()


def _task(work: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
    task = asyncio.create_task(work, context=contextvars.Context())  # a spare is not of the request before it
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
