"""One process for one piece of work, forked from a forkserver that has loaded polars and duckdb.

``prepare`` starts the forkserver once with a cleared environment. It imports the entry modules and never runs a query;
forking a child takes about 16 ms. A child waits until it is assigned an entry function and limits, which it applies
before it has a thread. It does one piece of work and ends, unless its entry function says that it can do another one:
then it waits for that, its limits still in force. It dies with its parent. It succeeds only if its entry function
returns and its exit code is 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess

import msgspec

from service.kit import errors
from service.processes import forkserver, priority
from service.processes import limits as rules
from service.processes.channel import AsyncChannel, Channel
from service.processes.limits import Limits
from service.processes.watch import Observed, Watch

_LOST = 255  # what multiprocessing reports if the forkserver is gone
_GRACE_SECONDS = 5.0
_SOON = 0.2  # seconds after which another child may be started
_READY = b""  # the first message of a child: its limits are in force, and it begins
_FREE = b"\0"  # the last message about a piece of work: the child waits for the next one

Entry = Callable[[Channel, bytes], bool | None]
"""What a child does. It returns whether the child can do another piece of work, without a trace of this one."""


@dataclass(frozen=True)
class Exit:
    """The end of a child: its exit code, or minus the number of the signal that ended it."""

    code: int

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def lost(self) -> bool:
        """Whether the forkserver ended before the child did, so that nobody knows its exit code."""
        return self.code == _LOST

    @property
    def signal(self) -> signal.Signals | None:
        return signal.Signals(-self.code) if self.code < 0 else None

    def __str__(self) -> str:
        if self.lost:
            return "lost with its forkserver"
        return self.signal.name if self.signal is not None else f"exit code {self.code}"


class _Assignment(msgspec.Struct, frozen=True):
    """The entry function of a child, by its name, and its limits; None if they are in force already."""

    module: str
    function: str
    limits: Limits | None


def _run(sock: socket.socket) -> None:
    """The first function that runs in a child."""
    forkserver.release()
    rules.isolate()
    channel = Channel(sock)
    while _work(channel):
        channel.send(_FREE)
    channel.close()


def _work(channel: Channel) -> bool:
    """Do the next piece of work. Returns whether another one may follow."""
    assigned = channel.receive()
    if assigned is None:
        return False
    assignment = msgspec.msgpack.decode(assigned, type=_Assignment)
    entry: Entry = getattr(importlib.import_module(assignment.module), assignment.function)
    if assignment.limits is not None:
        rules.apply(assignment.limits)
    channel.send(_READY)
    order = channel.receive()
    return order is not None and bool(entry(channel, order))


def _end(process: ForkServerProcess) -> None:
    with contextlib.suppress(ProcessLookupError, OSError, ValueError):  # it has ended, and may be closed
        process.kill()


def _end_forked(process: ForkServerProcess, forking: Future[None]) -> None:
    if not forking.cancelled() and forking.exception() is None:
        _end(process)


class Child:
    """A child, as its parent sees it."""

    def __init__(self, process: ForkServerProcess, channel: AsyncChannel) -> None:
        self._process = process
        self.pid = process.pid or 0
        self._channel = channel
        self._exit: Exit | None = None
        self._code: int | None = None
        self._killed = False
        self._has_begun = False
        self._watch: Watch | None = None
        self.observed = Observed()

    @classmethod
    async def start(cls, entry: Entry, order: bytes | None, limits: Limits) -> Child:
        """Fork a child that applies ``limits`` and then calls ``entry(channel, order)``.

        With ``order`` None the child waits until ``send`` sends the order. A cancelled start leaves no child. Raises
        ``errors.Unavailable`` if the forkserver does not answer, or the child is lost before it begins.
        """
        child = await cls.fork()
        try:
            await child.assign(entry, order, limits)
        except ConnectionError:
            child.abandon()
            raise errors.Unavailable("the worker was lost before it began; try again", retry_after=_SOON) from None
        except BaseException:
            child.abandon()
            raise
        return child

    @classmethod
    async def fork(cls) -> Child:
        """Fork a child that waits for ``assign``. Cancelled and raising as ``start``."""
        ours, theirs = socket.socketpair()
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=_run, args=(theirs,), daemon=True)

        def fork() -> None:
            with theirs:
                process.start()

        forking = forkserver.submit(fork)
        try:
            await forkserver.answer(forking)
            return cls(process, await AsyncChannel.over(ours))
        except BaseException:
            # Nobody will know of this child. A fork that has begun cannot be stopped, so its child is killed later.
            ours.close()
            forking.add_done_callback(functools.partial(_end_forked, process))
            raise

    async def assign(self, entry: Entry, order: bytes | None, limits: Limits | None) -> None:
        """Let a child that waits begin, as ``start`` does; ``limits`` is None for one that has worked before.

        Raises ``ConnectionError`` if it has ended.
        """
        assignment = _Assignment(entry.__module__, entry.__name__, limits)
        await self._channel.send(msgspec.msgpack.encode(assignment))
        if order is not None:
            await self._channel.send(order)

    async def has_begun(self, seconds: float) -> bool:
        """Whether the child begins its work within ``seconds``, its limits in force."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                self._has_begun = self._has_begun or await self._channel.receive() == _READY
        return self._has_begun

    async def is_free(self, seconds: float) -> bool:
        """Whether the child has done its work and can do another one, within ``seconds``.

        What was observed of it is forgotten then: the next work is observed anew.
        """
        free = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                free = await self.receive() == _FREE
        if free:
            if self._watch is not None:
                self._watch.close()
            self._has_begun, self._watch, self.observed = False, None, Observed()
        return free

    def abandon(self) -> None:
        """Kill the child, of which nobody will hear; its end is not awaited."""
        self.kill()
        self._channel.close()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be received from the child."""
        return self._channel.has_ended

    async def send(self, message: bytes) -> None:
        """Send a message to the child. Raises ``ConnectionError`` if it has ended."""
        await self._channel.send(message)

    async def receive(self) -> bytes | None:
        """The next message, or None if the child has finished or died (then call ``wait``)."""
        message = await self._channel.receive()
        if message == _READY and not self._has_begun:
            self._has_begun = True
            return await self._channel.receive()
        return message

    def watch(self, patience: float) -> None:
        """Observe the child from now on; end it if it is stopped (SIGSTOP) for ``patience`` seconds."""
        self._watch = Watch(self.pid, patience, self.kill)

    def give_way(self, *, entirely: bool) -> None:
        """Let the child take little of the cores, to its end; ``entirely``: only what other processes leave."""
        priority.give_way(self.pid, entirely=entirely)

    @property
    def is_stalled(self) -> bool:
        """Whether the child was ended because it was stopped."""
        return self._watch is not None and self._watch.is_stalled

    async def wait(self, grace: float = _GRACE_SECONDS) -> Exit:
        """Wait for the end of the process, by force after ``grace`` seconds; safe to call again."""
        if self._exit is None:
            try:
                async with asyncio.timeout(grace):
                    await self.ended()
            except TimeoutError:
                self.kill()
            self._exit = await self._reaped()
            if self._watch is not None:
                self.observed = self._watch.close()
            self._channel.close()
        return self._exit

    async def _reaped(self) -> Exit:
        """The exit of a process that has ended or was killed; a forkserver that does not report it is replaced."""
        for _ in range(2):
            try:
                async with asyncio.timeout(_GRACE_SECONDS):
                    await self.ended()
                code = await forkserver.call(self._exit_code)
            except (TimeoutError, errors.Unavailable):
                forkserver.replace("it does not report the end of a child")
                continue
            if code is not None and not (code == _LOST and self._killed):
                return Exit(code)
        return Exit(-signal.SIGKILL if self._killed else _LOST)

    def _exit_code(self) -> int | None:
        """The exit code of a process that has ended, whose descriptors are closed then; None while it is not known."""
        if self._code is None:
            self._code = self._process.exitcode
            if self._code is not None:
                self._process.close()
        return self._code

    def kill(self) -> None:
        """Send SIGKILL, which alone stops every query. Safe if the child has ended."""
        if self._exit is None:
            self._killed = True
            _end(self._process)

    async def ended(self) -> None:
        """Return when the process has ended; ``wait`` then tells how."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        try:
            sentinel = os.dup(self._process.sentinel)  # two waiters may watch; add_reader takes one a descriptor
        except (ValueError, OSError):  # its exit code is known
            return
        loop.add_reader(sentinel, done.set)
        try:
            await done.wait()
        finally:
            loop.remove_reader(sentinel)
            os.close(sentinel)
