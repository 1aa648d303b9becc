"""Failpoints of a service and its workers: every step that changes something on disk, found while they work.

A step is a call that changes a file or a folder below the folder of the campaign (rename, link, unlink, mkdir, an
opening that may create, …) or a commit of the catalog, made by code of the service. Between two steps no name and no
mode changes, so that kills before and after every step are kills at every state that the death of a process can leave.
``fsync`` is not a step: it changes nothing that such a death shows.

A step is named by the place in the code (the process, the line, the innermost functions of the service, the call) and
by which folder of the layout the path is or lies in. The files of a folder are one step where one line goes through
them; somebody dies at its first file or at a later one, as ``skips`` says. So the steps are as many as the code has
places, whatever the data, and new code has new steps.

The processes share one page of memory, a file that is mapped when they start: it says where to die, and who. Each
appends the steps that it has met to ``steps``; both files are open before a worker is confined.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import io
import mmap
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

VARIABLE = "PYTHON_FAILPOINTS"
"""The folder of the campaign. The forkserver keeps variables whose names begin so."""
IDLE, ARMED, HIT = 0, 1, 2
RECOVERING = "recovering "
_PHASE, _PID, _ORDER, _COUNT, _SKIPS, _OF_SERVICE, _OF_WORKER, _VICTIMS, _STEP, _SPARED, _PAGE = (
    1, 8, 16, 24, 32, 64, 128, 192, 256, 4096, 1 << 17
)  # fmt: skip
_CREATES = os.O_CREAT | os.O_TRUNC
_CALLS = ("rename", "replace", "link", "symlink", "mkdir", "rmdir", "unlink", "remove", "chmod", "truncate")
_DEPTH = 3
_SCRATCH = ("data/spill", "data/pace", "data/logs", "data/.probe")
_PLUMBING = ("store.", "group_commit.", "layout.flush", "layout.children")
_LONG_STALL = 30.0


class Page:
    """The shared page in ``folder``."""

    def __init__(self, folder: Path) -> None:
        file = folder / "page"
        if not file.exists():
            file.write_bytes(bytes(_PAGE))
        with file.open("r+b") as handle:
            self._memory = mmap.mmap(handle.fileno(), _PAGE)
        self._threads, self._lock = threading.Lock(), os.open(file, os.O_RDONLY)
        self._spared: tuple[int, set[bytes]] = (0, set())

    @property
    def state(self) -> int:
        return self._memory[0]

    def arm(self, spared: Iterable[str], of_service: str, of_worker: str, skips: int = 0) -> None:
        """Let somebody die at the next step that is not ``spared``: who depends on the process that meets it.

        The first ``skips`` of those are passed.
        """
        found = sorted({_digest(step) for step in spared})
        with self._alone():
            self._memory[_SPARED : _SPARED + 8 * len(found)] = b"".join(found)
            self._put(_OF_SERVICE, of_service, 64)
            self._put(_OF_WORKER, of_worker, 64)
            self._number(_COUNT, len(found))
            self._number(_SKIPS, skips)
            self._number(_ORDER, self._read(_ORDER) + 1)
            self._memory[0] = ARMED

    def disarm(self) -> bool:
        """Let nobody die. Returns false if somebody does already."""
        return self._becomes_idle(ARMED)

    def rest(self) -> None:
        """Forget who was to die: he has died."""
        self._becomes_idle(HIT)

    def _becomes_idle(self, state: int) -> bool:
        with self._alone():
            if self._memory[0] != state:
                return False
            self._memory[0] = IDLE
            return True

    def take(self, step: str, role: str) -> str | None:
        """Who dies here; None if nobody does. Only the first step is one."""
        if self._memory[0] != ARMED:
            return None
        with self._alone():
            if self._memory[0] != ARMED or _digest(step) in self._read_spared():
                return None
            if skips := self._read(_SKIPS):
                self._number(_SKIPS, skips - 1)
                return None
            victims = self._text(_OF_SERVICE if role == "service" else _OF_WORKER, 64)
            self._put(_VICTIMS, victims, 64)
            self._put(_STEP, step, _SPARED - _STEP)
            self._memory[0] = HIT
        return victims

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other thread or process looks or arms: two of them would take two steps at once."""
        with self._threads:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _read_spared(self) -> set[bytes]:
        order = self._read(_ORDER)
        if self._spared[0] != order:
            end = _SPARED + 8 * self._read(_COUNT)
            self._spared = order, {self._memory[place : place + 8] for place in range(_SPARED, end, 8)}
        return self._spared[1]

    @property
    def is_serving(self) -> bool:
        """Whether the service has started; before, it recovers."""
        return bool(self._memory[_PHASE])

    @is_serving.setter
    def is_serving(self, value: bool) -> None:
        self._memory[_PHASE] = value

    @property
    def victims(self) -> str:
        """Who died at the last step that was met."""
        return self._text(_VICTIMS, 64)

    @property
    def step(self) -> str:
        """The last step that was met."""
        return self._text(_STEP, _SPARED - _STEP)

    @property
    def service(self) -> int:
        """The process id of the service."""
        return self._read(_PID)

    @service.setter
    def service(self, pid: int) -> None:
        self._number(_PID, pid)

    def _put(self, start: int, text: str, size: int) -> None:
        self._memory[start : start + size] = text.encode()[:size].ljust(size, b"\0")

    def _text(self, start: int, size: int) -> str:
        return self._memory[start : start + size].rstrip(b"\0").decode()

    def _number(self, start: int, value: int) -> None:
        self._memory[start : start + 8] = value.to_bytes(8, "little")

    def _read(self, start: int) -> int:
        return int.from_bytes(self._memory[start : start + 8], "little")


def _digest(step: str) -> bytes:
    return hashlib.blake2b(step.encode(), digest_size=8).digest()


class Failpoints:
    """The steps of this process, recorded and armed. ``role`` is ``service`` or ``worker``."""

    def __init__(self, folder: Path, role: str) -> None:
        self._folder, self._role = f"{folder}/", role
        self._page = Page(folder)
        self._steps = os.open(folder / "steps", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._met: set[str] = set()

    def arm(self) -> None:
        """Put a failpoint before and after every step of this process."""
        for name in _CALLS:
            self._wrap(os, name)
        self._wrap(os, "open", self._may_create)
        self._wrap(io, "open", self._may_create)
        if self._role == "service":
            self._page.service = os.getpid()
            self._around_commits()
            threading.Thread(target=self._watch, daemon=True).start()

    def _wrap(self, owner: Any, name: str, is_step: Callable[..., bool] = lambda *_, **__: True) -> None:
        call = getattr(owner, name)

        @functools.wraps(call)
        def called(*args: Any, **named: Any) -> Any:
            if not is_step(*args, **named) or (kind := self._kind(name, args, named)) is None:
                return call(*args, **named)
            with self._step(name, kind):
                return call(*args, **named)

        setattr(owner, name, called)

    def _around_commits(self) -> None:
        from service.catalog.duckdb_store import DuckDBStore

        begin = DuckDBStore._open

        @contextmanager
        def _open(store: Any) -> Iterator[Any]:
            with self._step("commit", "catalog"), begin(store) as transaction:
                yield transaction

        setattr(DuckDBStore, "_open", _open)  # noqa: B010 - mypy knows a method here

    @contextmanager
    def _step(self, name: str, kind: str) -> Iterator[None]:
        chain = _chain()
        if not chain:
            yield
            return
        when = "" if self._page.is_serving else RECOVERING
        step = f"{when}{self._role} {chain}: {name} {kind}"
        self._pass(f"before {step}")
        yield
        self._pass(f"after {step}")

    def _pass(self, point: str) -> None:
        if point not in self._met:
            self._met.add(point)
            os.write(self._steps, f"{point}\n".encode())
        victims = self._page.take(point, self._role)
        if victims is None:
            return
        if victims == "worker" and self._role == "worker":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._role == "service":
            kill(self._page.service, victims)
            if "server" not in victims:
                return
        time.sleep(_LONG_STALL)  # the service's watch kills; a confined worker may not

    def _watch(self) -> None:
        while True:
            time.sleep(0.002)
            if self._page.state == HIT:
                kill(self._page.service, self._page.victims)
                self._page.rest()

    def _may_create(self, _: Any, mode: Any = "r", *args: Any, **__: Any) -> bool:
        return bool(mode & _CREATES) if isinstance(mode, int) else any(letter in mode for letter in "wax+")

    def _kind(self, call: str, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
        """Which folders of the layout the paths of a call are or lie in; None if one is not below the folder."""
        has_two = call != "symlink" and isinstance(args[-1], str | os.PathLike)
        paths = args[1:2] if call == "symlink" else args[: 1 + has_two]
        found = [_path(path, named.get("dir_fd")) for path in paths]
        first = Path(found[0])
        is_folder = call in ("mkdir", "rmdir") or (first.is_dir() and not first.is_symlink())
        places = [_place(path, self._folder, "folder" if is_folder else "file") for path in found]
        return None if None in places else " ".join(map(str, places))


_LAYOUT = re.compile(
    r"data/warehouse/\.staging/(run|backup|purged)_[^/]*|data/warehouse/\.staging|data/warehouse/[^./][^/]*/v\d{6}"
    r"|data/warehouse/[^./][^/]*|data/warehouse|data/uploads|data|backups/\.partial-[^/]*|backups/[^./][^/]*|backups"
)


def _path(path: Any, within: int | None) -> str:
    """The path that a call has, or that of the file or folder that it has open."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    name = os.fsdecode(path)
    return name if within is None else str(Path(f"/proc/self/fd/{within}").readlink() / name)


def _place(path: str, folder: str, kind: str) -> str | None:
    inner = path.removeprefix(folder)
    if inner == path or inner.startswith(_SCRATCH):
        return None
    found = _LAYOUT.match(inner)
    if found is None:
        return None
    known = re.sub(r"[0-9a-f]{24}|[0-9]+[0-9TZ:.-]*", "*", re.sub(r"(?<=warehouse/)[^./][^/]*", "P", found[0]))
    return known if found[0] == inner else f"{known}/{kind}"


def _chain() -> str:
    names: list[str] = []
    frame = sys._getframe(1)
    while frame is not None and len(names) < _DEPTH:
        path = frame.f_code.co_filename
        if "/service/" in path and "/tests/" not in path:
            name = f"{Path(path).stem}.{frame.f_code.co_name}"
            if not name.startswith(_PLUMBING) and name not in (line.partition(":")[0] for line in names):
                names.append(name if names else f"{name}:{frame.f_lineno}")
        frame = frame.f_back  # type: ignore[assignment]
    return " < ".join(names)


def workers_of(service: int) -> tuple[int | None, list[int]]:
    """The forkserver of a service, and the children of that; a process that ends while we look is not among them."""
    for child in _children(service):
        with suppress(OSError):
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"forkserver" in command and b"resource_tracker" not in command:
                return child, _children(child)
    return None, []


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def kill(service: int, victims: str) -> None:
    """SIGKILL for the victims: ``server``, ``worker`` and ``forkserver``, joined by +; the server is last."""
    forkserver, workers = workers_of(service)
    chosen = [forkserver] if "forkserver" in victims else workers if "worker" in victims else []
    for pid in (*chosen, *([service] if "server" in victims.split("+") else [])):
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
