"""One process for one piece of work, forked from a forkserver that has loaded polars and duckdb.

``prepare`` starts the forkserver once with a cleared environment. It imports the entry modules and never runs a query;
forking a child takes about 16 ms. A child dies with its parent. It succeeds only if its entry function returns and its
exit code is 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess

from service.processes import limits as rules
from service.processes.channel import AsyncChannel, Channel
from service.processes.limits import Limits

Entry = Callable[[Channel, bytes], None]

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEPT_PREFIXES = ("PYTHON", "POLARS_")
_GIVEN_ENVIRONMENT = {
    "_RJEM_MALLOC_CONF": "retain:false,oversize_threshold:16777216",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # its own reserves a gigabyte at once, or what of it RLIMIT_DATA leaves
}
"""Allocator settings (.decisions/0009). Polars' allocator kept freed addresses, which count against RLIMIT_DATA: a run
that held 260 MiB was ended at 512. It also returned buffers of 8 MiB at once, and the kernel had to clear new ones."""

# multiprocessing polls all children whenever one starts; two threads that read one sentinel would lose its code.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Exit:
    """The end of a child: its exit code, or minus the number of the signal that ended it."""

    code: int

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def signal(self) -> signal.Signals | None:
        return signal.Signals(-self.code) if self.code < 0 else None

    def __str__(self) -> str:
        return self.signal.name if self.signal is not None else f"exit code {self.code}"


def prepare(modules: Sequence[str]) -> None:
    """Start the forkserver with ``modules`` and their imports loaded; once a process, before any child.

    Its environment holds only what Python needs: a child could read the rest in /proc.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    with _LOCK, _clean_environment():
        forkserver.ensure_running()


def alive() -> bool:
    """Whether the forkserver runs; one that has died is started again, with what it had loaded."""
    with _LOCK:
        forkserver.ensure_running()
    return True


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name not in _KEPT_ENVIRONMENT and not name.startswith(_KEPT_PREFIXES):
            del os.environ[name]
    os.environ.update(_GIVEN_ENVIRONMENT)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(sock: socket.socket, entry: Entry, limits: Limits) -> None:
    """The first function that runs in a child."""
    _release_forkserver()
    rules.apply(limits)
    channel = Channel(sock)
    order = channel.receive()
    if order is not None:
        entry(channel, order)
    channel.close()


def _release_forkserver() -> None:
    """Close the pipes that multiprocessing passes to every child.

    The forkserver lives while any process holds the writing end of its pipe. A child that held it would keep the
    forkserver, its parent, and so itself alive after the service was killed.
    """
    server, tracker = forkserver._forkserver, resource_tracker._resource_tracker
    for holder, name in ((server, "_forkserver_alive_fd"), (tracker, "_fd")):
        descriptor = getattr(holder, name, None)
        if descriptor is not None:
            os.close(descriptor)
            setattr(holder, name, None)


def _end(process: ForkServerProcess) -> None:
    with contextlib.suppress(ProcessLookupError, OSError):
        process.kill()


def _end_forked(process: ForkServerProcess, forking: asyncio.Future[None]) -> None:
    if not forking.cancelled() and forking.exception() is None:
        _end(process)


class Child:
    """A child, as its parent sees it."""

    def __init__(self, process: ForkServerProcess, channel: AsyncChannel) -> None:
        self._process = process
        self._channel = channel
        self._exit: Exit | None = None

    @classmethod
    async def start(cls, entry: Entry, order: bytes | None, limits: Limits) -> Child:
        """Fork a child that applies ``limits`` and then calls ``entry(channel, order)``.

        With ``order`` None the child waits until ``send`` sends the order. A cancelled start leaves no child.
        """
        ours, theirs = socket.socketpair()
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=_run, args=(theirs, entry, limits), daemon=True)

        def fork() -> None:
            with theirs, _LOCK:
                process.start()

        forking = asyncio.ensure_future(asyncio.to_thread(fork))
        child = None
        try:
            await asyncio.shield(forking)
            child = cls(process, await AsyncChannel.over(ours))
            if order is not None:
                await child.send(order)
        except BaseException:
            # Nobody will know of this child. A fork that has begun cannot be stopped, so its child is killed later.
            (child._channel if child is not None else ours).close()
            forking.add_done_callback(functools.partial(_end_forked, process))
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    async def send(self, message: bytes) -> None:
        """Send a message to the child. Raises ``ConnectionError`` if it has ended."""
        await self._channel.send(message)

    async def receive(self) -> bytes | None:
        """The next message, or None if the child has finished or died (then call ``wait``)."""
        return await self._channel.receive()

    async def wait(self, grace: float = 5.0) -> Exit:
        """Wait for the end of the process, by force after ``grace`` seconds; safe to call again."""
        if self._exit is None:
            try:
                await asyncio.wait_for(self._ended(), grace)
            except TimeoutError:
                self.kill()
                await self._ended()
            code = await asyncio.to_thread(self._code)
            self._exit = Exit(code if code is not None else 255)
            self._channel.close()
        return self._exit

    def kill(self) -> None:
        """Send SIGKILL, which alone stops every query. Safe if the child has ended."""
        if self._exit is None:
            _end(self._process)

    def _code(self) -> int | None:
        with _LOCK:
            return self._process.exitcode

    async def _ended(self) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        sentinel = os.dup(self._process.sentinel)  # two waiters may watch; add_reader takes one a descriptor
        loop.add_reader(sentinel, done.set)
        try:
            await done.wait()
        finally:
            loop.remove_reader(sentinel)
            os.close(sentinel)
