"""Entry functions for children in tests. They must be importable in the forkserver."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from service.processes.channel import Channel
from service.processes.kept import SPILLED

_PR_GET_PDEATHSIG = 2


def echo(channel: Channel, order: bytes) -> None:
    channel.send(order)


def converse(channel: Channel, order: bytes) -> None:
    channel.send(order)
    while (message := channel.receive()) is not None:
        channel.send(message[::-1])


def segv(channel: Channel, order: bytes) -> None:
    channel.send(order)
    os.kill(os.getpid(), signal.SIGSEGV)


def raises(channel: Channel, order: bytes) -> None:
    raise ValueError("on purpose")


def bomb(channel: Channel, order: bytes) -> None:
    try:
        block = bytearray(4 << 30)
    except MemoryError:
        channel.send(b"MemoryError")
    else:
        channel.send(str(len(block)).encode())


def forever(channel: Channel, order: bytes) -> None:
    channel.send(order)
    while True:
        pass


def release(channel: Channel, order: bytes) -> None:
    """Says how much more of its limit is used after a large frame came and went, in MiB."""
    import polars as pl

    def used() -> int:
        status = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmData")) // 1024

    pl.int_range(1000, eager=True)
    before = used()
    frame = pl.int_range(32 << 20, eager=True)
    held = used() - before
    del frame
    channel.send(f"{held} {used() - before}".encode())


def work(channel: Channel, order: bytes) -> None:
    """A small job in both engines: proves that limits and Landlock leave them working."""
    import duckdb
    import polars as pl

    total = pl.LazyFrame({"a": range(1000)}).select(pl.col("a").sum()).collect(engine="streaming").item()
    row = duckdb.connect().execute("select sum(range) from range(1000)").fetchone()
    assert row is not None
    channel.send(f"{total} {row[0]}".encode())


def look(channel: Channel, order: bytes) -> None:
    """Try what a child must not be able to do; answer what came of each."""
    tried: dict[str, str] = {}

    def attempt(name: str, act: object) -> None:
        try:
            act()  # type: ignore[operator]
            tried[name] = "allowed"
        except OSError as error:
            tried[name] = type(error).__name__

    attempt("read /etc/passwd", lambda: Path("/etc/passwd").read_text())
    attempt("write /tmp", lambda: Path("/tmp/penstock-should-not-exist").write_text("x"))
    attempt("connect", lambda: socket.create_connection(("127.0.0.1", 9), timeout=1))
    attempt("signal parent", lambda: os.kill(os.getppid(), 0))
    attempt("given file", lambda: Path(order.decode()).read_text())
    tried["environment"] = str(len(os.environ))
    channel.send(msgspec.json.encode(tried))


def describe(channel: Channel, order: bytes) -> None:
    """Say what the kernel knows of this process; wait until it is killed."""
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_PDEATHSIG, ctypes.byref(death), 0, 0, 0)
    adjustment = int(Path("/proc/self/oom_score_adj").read_text())
    told = {"death": death.value, "oom": adjustment, "core": resource.getrlimit(resource.RLIMIT_CORE)[1]}
    channel.send(msgspec.json.encode(told))
    threading.Event().wait()


class Work(msgspec.Struct):
    """What ``keep`` does in ``folder``: the acts by their names. It tries to write into the files ``others``."""

    folder: str
    acts: list[str] = []
    others: list[str] = []
    unending: bool = False


class Done(msgspec.Struct):
    """What became of it: the process, its peak memory in MiB, and which of the other files it could write."""

    pid: int
    peak: int
    written: list[bool]


_HELD: list[Any] = []


def _spill(folder: Path) -> None:
    own = folder.parent / SPILLED / str(os.getpid())
    own.mkdir(parents=True)
    (own / "0.ipc").touch()


def _open(folder: Path) -> None:
    _HELD.append((folder / "part").open("ab"))


def _map(folder: Path) -> None:
    with (folder / "part").open("r+b") as file:
        _HELD.append(mmap.mmap(file.fileno(), 0))


def _start_threads(_: Path) -> None:
    for _number in range(20):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


_ACTS: dict[str, Callable[[Path], Any]] = {
    "leave a file": lambda folder: (folder.parent / "left").touch(),
    "leave a spilled file": _spill,
    "leave an open file": _open,
    "leave a mapped file": _map,
    "leave threads": _start_threads,
    "leave memory": lambda _: _HELD.append(b"x" * (64 << 20)),
    "need memory": lambda _: len(b"x" * (96 << 20)),
    "complain": lambda _: os.write(2, b"memory allocation of 8 bytes failed"),
    "exhaust memory": lambda _: bytearray(4 << 30),
}


def keep(channel: Channel, order: bytes) -> bool:
    """Work that may be followed by other work."""
    work = msgspec.json.decode(order, type=Work)
    folder = Path(work.folder)
    folder.mkdir()
    (folder / "part").write_bytes(b"rows")
    for act in work.acts:
        _ACTS[act](folder)
    written = []
    for other in work.others:
        try:
            Path(other).write_bytes(b"changed")
            written.append(True)
        except OSError:
            written.append(False)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) >> 10
    channel.send(msgspec.json.encode(Done(os.getpid(), peak, written)))
    if work.unending:
        threading.Event().wait()
    return True
