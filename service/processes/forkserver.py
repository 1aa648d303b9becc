"""The forkserver of this process: started with a cleared environment, called with deadlines, replaced if it hangs.

``multiprocessing`` is not safe for several threads (two threads that poll one child lose its exit code), and its calls
have no deadline. All of them run in one thread here; a forkserver that does not answer is killed, which ends the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import TypeVar

import structlog

from service.kit import errors

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEPT_PREFIXES = ("PYTHON", "POLARS_")
GIVEN_ENVIRONMENT = {
    "_RJEM_MALLOC_CONF": "retain:false,oversize_threshold:16777216",
    "DUCKDB_JE_MALLOC_CONF": "retain:false",
    "OPENBLAS_NUM_THREADS": "1",  # numpy's would start threads in the forkserver; nothing of ours uses them
    "POLARS_FILE_READ_CONCURRENCY": "2",  # each read has a thread, and 2 MiB of addresses with it: hundreds at a time
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # its own reserves a gigabyte at once, or what of it RLIMIT_DATA leaves
}
"""Settings of allocators (.decisions/0009) and threads. Polars' allocator kept freed addresses, which count against
RLIMIT_DATA: a run that held 260 MiB was ended at 512. It also returned buffers of 8 MiB at once, and the kernel had to
clear new ones. DuckDB's kept them, too: after a query within 128 MiB 165 MiB of addresses were missing to Polars."""

_LOADING_SECONDS = 60.0  # how long a new forkserver may load its modules before its first answer
_ANSWER_SECONDS = 10.0  # how long one that has answered before may take
_TURNS = 3  # how many times as long a call may take that waits for its turn
_STOPPED_SECONDS = 0.5  # a job control signal may stop it for a moment, together with this process

_T = TypeVar("_T")
_log = structlog.get_logger("penstock.forkserver")


class Forkserver:
    """The forkserver; the module has one, whose methods are its functions."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forkserver")
        self._began: float | None = None  # when the present call began
        self._started = 0  # how often a forkserver was started
        self._answers = False  # whether the present forkserver has answered
        self._killed: int | None = None  # the one that was killed last and may not be dead yet
        self._loaded: frozenset[str] = frozenset()  # the modules that were asked for

    def prepare(self, modules: Sequence[str]) -> None:
        """Start the forkserver with ``modules`` and their imports loaded, before any child. Blocks.

        Its environment holds only what Python needs: a child could read the rest in /proc. One that runs already and
        did not load all of them is replaced: what a child loads itself starts threads there, an allocator's too.
        """
        missing = set(modules) - self._loaded
        if missing:
            self._loaded = frozenset(modules)
            multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
            self.replace(f"it did not load {', '.join(sorted(missing))}")
        self._thread.submit(self._ensure).result()

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Let the thread of the forkserver do ``work``, which calls ``multiprocessing``."""
        return self._thread.submit(self._timed, work)

    async def call(self, work: Callable[[], _T]) -> _T:
        """``submit`` and ``answer``."""
        return await self.answer(self.submit(work))

    async def answer(self, future: Future[_T]) -> _T:
        """The result of a submitted call. Raises ``errors.Unavailable`` if the forkserver does not answer in time."""
        await self.alive()
        first = self._started <= 1 and not self._answers
        waiting = asyncio.wrap_future(future)
        for _ in range(_TURNS):
            try:
                async with asyncio.timeout(_LOADING_SECONDS if first else _ANSWER_SECONDS):
                    return await asyncio.shield(waiting)
            except TimeoutError:
                if self._overdue():
                    self.replace("it does not answer")
                    break
                if not self._answers:
                    break  # a new one still loads its modules
            except (EOFError, OSError):
                break  # it was killed while it was asked
        raise errors.Unavailable(
            "the process that starts workers does not answer and is being replaced; try again", retry_after=2.0
        )

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        found: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        return found

    async def alive(self) -> bool:
        """Whether it runs and is not stopped; one that is not is replaced."""
        if self._started and not _is_running(self.pid):
            self.submit(lambda: None)
            return False
        if _state(self.pid) != "T":
            return True
        await asyncio.sleep(_STOPPED_SECONDS)
        if _state(self.pid) != "T":
            return True
        self.replace("it is stopped")
        return False

    def _timed(self, work: Callable[[], _T]) -> _T:
        self._began = time.monotonic()
        try:
            self._ensure()
            found = work()
            self._answers = True
            return found
        finally:
            self._began = None

    def _overdue(self) -> bool:
        began, limit = self._began, _ANSWER_SECONDS if self._answers else _LOADING_SECONDS
        return began is not None and time.monotonic() - began >= limit * 0.9

    def _ensure(self) -> None:
        killed, self._killed = self._killed, None
        if killed is not None:  # wait for its death, and leave it for multiprocessing to collect
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
        if _is_running(self.pid):
            return
        with _clean_environment():
            resource_tracker.ensure_running()  # first, for it unblocks SIGINT in this thread
            with _deaf_to_interrupts():
                forkserver.ensure_running()
        self._started, self._answers = self._started + 1, False

    def replace(self, reason: str) -> None:
        """Kill the forkserver, and its children with it, and start another one."""
        pid = self.pid
        if pid is None or not _is_running(pid):
            return
        _log.error("forkserver.replaced", reason=reason, pid=pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._answers, self._killed = False, pid
        self.submit(lambda: None)  # begins to load the modules of the next one


_SERVER = Forkserver()
prepare = _SERVER.prepare
submit = _SERVER.submit
call = _SERVER.call
answer = _SERVER.answer
alive = _SERVER.alive
replace = _SERVER.replace


def pid() -> int | None:
    """The process id of the forkserver, None before its first start."""
    return _SERVER.pid


def release() -> None:
    """Close the pipes that multiprocessing passes to every child; called in the child.

    The forkserver lives while any process holds the writing end of its pipe. A child that held it would keep the
    forkserver, its parent, and so itself alive after the service was killed.
    """
    server, tracker = forkserver._forkserver, resource_tracker._resource_tracker
    for holder, name in ((server, "_forkserver_alive_fd"), (tracker, "_fd")):
        descriptor = getattr(holder, name, None)
        if descriptor is not None:
            os.close(descriptor)
            setattr(holder, name, None)


def _is_running(number: int | None) -> bool:
    if number is None:
        return False
    try:
        return os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def _state(number: int | None) -> str:
    """The state letter of a process (``T`` for stopped), empty if there is none."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name not in _KEPT_ENVIRONMENT and not name.startswith(_KEPT_PREFIXES):
            del os.environ[name]
    os.environ.update(GIVEN_ENVIRONMENT)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start a process that does not get SIGINT: Ctrl-C is for the parent, which then ends its children."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
