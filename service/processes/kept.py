"""Kept children: those that ended their work without a trace of it wait for more work with the same limits.

What a child has warmed up (imports, pools of threads, an engine) is most of the cost of a small piece of work. A kept
child works in a private folder that it keeps, since nobody can widen the rights of a confined process: each piece of
work has a folder in it, which must be gone when the work has ended. The parent looks from outside whether anything of
the work is left; a child where something is left, that has grown, is old or has worked often, is ended.

Kept children wait only where a child at work could be in their place, so that they need no memory of their own: who
starts another child first calls ``make_room``.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog

from service.kit import ids
from service.processes import forkserver, watch
from service.processes.child import Child, Entry
from service.processes.limits import Limits
from service.processes.spares import Spares

PREFIX = "worker_"
"""Of the names of private folders."""
SPILLED = "spilled"
"""The folder in a private folder where an engine may write what does not fit in memory. It remembers the folder, and
its own in there, which is named by the process: both may stay if they are empty."""
_STDERR = ".stderr"
_FREE_SECONDS = 1.0  # how long a child may take from its answer to its readiness for more work
_IDLE_SECONDS = 20.0
_MOST_SECONDS = 600.0
_MOST_WORKS = 200
_GROWTH = 48 * 1024 * 1024  # bytes that a child may hold more than the forkserver, beside its threads
_THREAD = 8 * 1024 * 1024  # of each thread: its stack, which counts wholly, and what its allocator keeps
_MORE_HANDLES = 8  # files and threads, alike

_log = structlog.get_logger("penstock.kept")


Identity = tuple[int, int] | None
"""The device and the number of a file or folder; None for a name of nothing."""


class Held(NamedTuple):
    """What a child holds: bytes that count against its limit, open files, threads.

    ``forked_bytes`` is what it held before its first work. What a large first work has left in an allocator is not
    there for the next work, which may need it in another one.
    """

    data_bytes: int
    forked_bytes: int
    files: int
    threads: int


@dataclass(eq=False)
class Workplace:
    """Where a child works: its private folder, and limits that let it write nowhere else.

    ``child`` is None before the first work, and after a child was lost. ``readable`` is what the limits let it read
    when the place was made: rights are rights to that, and not to what has the name later.
    """

    wanted: Limits
    folder: Path
    readable: tuple[Identity, ...] = ()
    child: Child | None = None
    works: int = 0
    began: float = 0.0
    first: Held | None = None  # after the first work
    expiry: asyncio.TimerHandle | None = None

    @property
    def limits(self) -> Limits:
        """The limits of the child: those that are wanted, with the folder to write in."""
        return msgspec.structs.replace(self.wanted, write=(str(self.folder),), stderr=str(self.stderr))

    @property
    def stderr(self) -> Path:
        """The file that takes the child's standard error."""
        return self.folder / _STDERR


class KeptChildren:
    """The kept children of a service, none until ``keep``. Its methods belong to the event loop."""

    def __init__(self) -> None:
        self._most = 0
        self._waiting: list[Workplace] = []  # those that wait longest first
        self._ends: set[asyncio.Task[None]] = set()

    def keep(self, most: int) -> None:
        """Keep at most ``most`` children from now on."""
        self._most = most

    async def take(self, wanted: Limits, root: Path) -> Workplace:
        """The place of a child that waits for work with these limits, or a new one below ``root``, without a child.

        A child does not wait for work where another folder has the name of one that it may read (one that was replaced,
        a link that was changed, a disk that was mounted).
        """
        readable = await asyncio.to_thread(_identities, wanted.read)
        for place in reversed(self._waiting):
            if place.wanted == wanted and place.readable == readable:
                self._remove(place)
                return place
        self.make_room()
        return Workplace(wanted, root / ids.new(PREFIX.rstrip("_")), readable)

    def make_room(self) -> None:
        """End a child that waits, if there is one: another child is about to start."""
        if self._waiting:
            self._expire(self._waiting[0])

    async def start(self, place: Workplace, entry: Entry, order: bytes, spares: Spares) -> Child:
        """Let the child of the place do ``order``; another one with the same limits if it is lost, or is not there.

        Raises as ``Child.start``.
        """
        child = place.child
        if child is not None:
            if await spares.begins(child, entry, order, None):
                return child
            _log.warning("kept.lost", pid=child.pid)
            await self.renew(place)  # it could write into the folder
        await asyncio.to_thread(_make, place)
        place.works, place.first, place.began = 0, None, time.monotonic()
        place.child = await spares.start(entry, order, place.limits)
        return place.child

    async def renew(self, place: Workplace) -> None:
        """End the child of the place, so that another one starts there."""
        if place.child is not None:
            place.child.kill()
            await place.child.wait()
            place.child = None

    async def finish(self, place: Workplace, *, clean: bool) -> None:
        """Take a place back: keep its child if the work was ``clean`` and left nothing behind, end it otherwise.

        What is in the folder then is removed. When this returns, the child does not work any more.
        """
        place.works += 1
        if clean and self._has_room and await self._is_as_before(place) and self._has_room:
            loop = asyncio.get_running_loop()
            place.expiry = loop.call_later(_IDLE_SECONDS, self._expire, place)
            self._waiting.append(place)
            return
        await self._end(place)

    @property
    def waiting(self) -> int:
        """How many children wait for more work."""
        return len(self._waiting)

    async def close(self) -> None:
        """End all kept children."""
        self._most = 0
        while self._waiting:
            self._expire(self._waiting[0])
        await asyncio.gather(*self._ends, return_exceptions=True)

    @property
    def _has_room(self) -> bool:
        return len(self._waiting) < self._most

    async def _is_as_before(self, place: Workplace) -> bool:
        child = place.child
        if child is None or place.works >= _MOST_WORKS or time.monotonic() - place.began > _MOST_SECONDS:
            return False
        if not await child.is_free(_FREE_SECONDS):
            return False
        held = await asyncio.to_thread(_held, place, child.pid)
        if held is None:
            _log.info("kept.not_clean", pid=child.pid)
            return False
        first = place.first = place.first or held
        if (
            held.data_bytes <= held.forked_bytes + _GROWTH + held.threads * _THREAD
            and held.files <= first.files + _MORE_HANDLES
            and held.threads <= first.threads + _MORE_HANDLES
        ):
            return True
        _log.info("kept.grown", pid=child.pid, works=place.works, **held._asdict())
        return False

    def _remove(self, place: Workplace) -> None:
        self._waiting.remove(place)
        if place.expiry is not None:
            place.expiry.cancel()

    def _expire(self, place: Workplace) -> None:
        self._remove(place)
        task: asyncio.Task[None] = asyncio.create_task(self._end(place))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _end(self, place: Workplace) -> None:
        await self.renew(place)
        await asyncio.to_thread(shutil.rmtree, place.folder, True)


def _identities(paths: Sequence[str]) -> tuple[Identity, ...]:
    return tuple(map(_identity, paths))


def _identity(path: str) -> Identity:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make(place: Workplace) -> None:
    shutil.rmtree(place.folder, ignore_errors=True)  # of a child that was lost
    place.folder.mkdir(mode=0o700)


def _held(place: Workplace, pid: int) -> Held | None:
    """What the child holds; None if a trace of its work is left: files, open or mapped ones too, words about errors.

    Its peak memory counts from now on. Blocks.
    """
    process, root = Path(f"/proc/{pid}"), str(place.folder.parent.parent)
    try:
        left = {path.name for path in place.folder.iterdir()}
        spilled = [path for path in (place.folder / SPILLED).rglob("*") if path.name != str(pid) or not path.is_dir()]
        if left - {SPILLED} != {_STDERR} or spilled or place.stderr.stat().st_size:
            return None
        opened = [handle.readlink() for handle in (process / "fd").iterdir()]
        if any(path.is_relative_to(root) and path != place.stderr for path in opened):
            return None
        if root.encode() in (process / "maps").read_bytes():
            return None
        (process / "clear_refs").write_text("5")
        data_bytes, threads = watch.held(pid)
        forked_bytes, _ = watch.held(forkserver.pid() or 0)
    except OSError:
        return None
    return Held(data_bytes, forked_bytes, len(opened), threads)
