"""Failpoints of a service and its workers: every step that changes something on disk, found while they work.

A step is a call that changes a file or a folder below the folder of the campaign (rename, link, unlink, mkdir, fsync,
an opening that may create, …) or a commit of the catalog, made by code of the service. Between two steps the disk does
not change, so that kills before and after every step are kills at every state that a crash can leave. A step is named
by the process, the innermost functions of the service, the call and the kind of its path: new code has new steps.

The processes share one page of memory, a file that is mapped when they start: it says where to die, and who. Each
appends the steps that it has met to ``steps``; both files are open before a worker is confined.
"""

from __future__ import annotations

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
_PHASE, _PID, _ORDER, _COUNT, _OF_SERVICE, _OF_WORKER, _VICTIMS, _STEP, _SPARED, _PAGE = (
    1, 8, 16, 24, 64, 128, 192, 256, 4096, 1 << 17
)  # fmt: skip
_CREATES = os.O_CREAT | os.O_TRUNC
_CALLS = ("rename", "replace", "link", "symlink", "mkdir", "rmdir", "unlink", "remove", "fsync", "chmod", "truncate")
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
        self._spared: tuple[int, set[bytes]] = (0, set())

    @property
    def state(self) -> int:
        return self._memory[0]

    def arm(self, spared: Iterable[str], of_service: str, of_worker: str) -> None:
        """Let somebody die at the next step that is not ``spared``: who depends on the process that meets it."""
        self._memory[0] = IDLE
        found = sorted({_digest(step) for step in spared})
        self._memory[_SPARED : _SPARED + 8 * len(found)] = b"".join(found)
        self._put(_OF_SERVICE, of_service, 64)
        self._put(_OF_WORKER, of_worker, 64)
        self._number(_COUNT, len(found))
        self._number(_ORDER, self._read(_ORDER) + 1)
        self._memory[0] = ARMED

    def disarm(self) -> bool:
        """Let nobody die. Returns false if somebody does already."""
        if self._memory[0] != ARMED:
            return False
        self.rest()
        return True

    def rest(self) -> None:
        """Forget who was to die: he has died."""
        self._memory[0] = IDLE

    def take(self, step: str, role: str) -> str | None:
        """Who dies here; None if nobody does. Only the first step is one."""
        if self._memory[0] != ARMED or _digest(step) in self._read_spared():
            return None
        self._memory[0] = HIT
        self._put(_VICTIMS, self._text(_OF_SERVICE if role == "service" else _OF_WORKER, 64), 64)
        self._put(_STEP, step, _SPARED - _STEP)
        return self.victims

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
            if not is_step(*args, **named) or (kind := self._kind(args, named)) is None:
                return call(*args, **named)
            with self._step(name, kind):
                return call(*args, **named)

        setattr(owner, name, called)

    def _around_commits(self) -> None:
        from service.catalog.store import Store

        begin = Store._open

        @contextmanager
        def _open(store: Any) -> Iterator[Any]:
            with self._step("commit", "catalog"), begin(store) as transaction:
                yield transaction

        setattr(Store, "_open", _open)  # noqa: B010 - mypy knows a method here

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

    def _kind(self, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
        """The paths of a call below the folder, without numbers and names that are given by chance."""
        places = args[:2] if isinstance(args[-1], str | os.PathLike) else args[:1]
        kinds = [_place(place, self._folder, within="dir_fd" in named) for place in places]
        return None if None in kinds else " ".join(str(kind) for kind in kinds)


def _place(place: Any, folder: str, *, within: bool) -> str | None:
    if isinstance(place, int):
        try:
            place = str(Path(f"/proc/self/fd/{place}").readlink())
        except OSError:
            return None
    path = os.fspath(place)
    path = path.decode() if isinstance(path, bytes) else path
    if not path.startswith(folder):
        if not within or path.startswith("/"):
            return None
    else:
        path = path.removeprefix(folder)
    if path.startswith(_SCRATCH):
        return None
    path = re.sub(r"(?<=/)[a-z][a-z0-9_-]*(?=/v[0-9]{6}|/current|/\.current)", "P", path)
    path = re.sub(
        r"^(data/warehouse|data/warehouse/.staging/backup_[0-9a-f]*|backups/[^/]*/warehouse)/[a-z]+$", r"\1/P", path
    )
    path = re.sub(r"[0-9a-f]{24}", "*", path)
    return re.sub(r"[0-9][0-9TZ:-]*", "#", path.replace(path.split("/")[-1], _stem(path.split("/")[-1])))


def _stem(name: str) -> str:
    """A file's name without the pipeline's, which is the table's."""
    return f"P{name[name.rindex('.') :]}" if name.endswith((".duckdb", ".csv")) and "catalog" not in name else name


def _chain() -> str:
    names: list[str] = []
    frame = sys._getframe(1)
    while frame is not None and len(names) < _DEPTH:
        path = frame.f_code.co_filename
        if "/service/" in path and "/tests/" not in path:
            name = f"{Path(path).stem}.{frame.f_code.co_name}"
            if not name.startswith(_PLUMBING) and name not in names:
                names.append(name)
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
