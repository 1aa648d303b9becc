"""The limits of a child, applied inside it before anything else runs and before any thread exists."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import sysconfig
from pathlib import Path

import msgspec

from service.processes import landlock

_PR_SET_PDEATHSIG = 1
_WRITTEN = 16 << 20  # of the shared pages, a child comes to write to so many, which are its own then (measured: 10 MiB)

# What Python, polars and duckdb need to read to work at all; DuckDB aborts without /proc/self and /sys/fs/cgroup.
SYSTEM_READ = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/dev/urandom",
    "/dev/null",
    "/proc/self",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/sys/vm",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
)
NETWORK_READ = (
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/run/systemd/resolve",
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one child. Sizes are bytes; ``read`` and ``write`` are paths beyond what Python itself needs.

    ``memory_bytes`` bounds the private data of the process (RLIMIT_DATA, exact to what it allocates; mapped files and
    what it shares with its forkserver do not count). Without ``sandbox`` file and network rights are not restricted.
    """

    memory_bytes: int
    file_bytes: int | None = None
    open_files: int = 256
    network: bool = False
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    sandbox: bool = True
    give_way: int = 10
    """By how much the process gives way to the service (``nice``), whose answers take little of a core."""
    stderr: str | None = None
    """A file for what libraries write to standard error before they abort; nothing where None."""


def _python_tree() -> tuple[str, ...]:
    here = Path(__file__).resolve().parents[2]
    paths = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), str(here)}
    return tuple(sorted(paths))


def isolate() -> None:
    """What holds for every child from its first moment, also while it waits for its work.

    The process dies with its parent, is the first that the kernel kills when memory is short, leaves no core, and
    has an empty environment.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:  # the parent died before the line above took effect
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its children
    with contextlib.suppress(OSError):  # a container may forbid it; the other limits still hold
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.clear()
    os.chdir("/")
    _silence()


def apply(limits: Limits) -> int:
    """Apply the limits to this process for the rest of its life; returns the Landlock ABI in force (0: none)."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = limits.open_files if most == resource.RLIM_INFINITY else min(limits.open_files, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    data = limits.memory_bytes + shared_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    os.nice(limits.give_way)
    if limits.stderr is not None:
        _write_errors(limits.stderr)
    if not limits.sandbox:
        return 0
    read = (*SYSTEM_READ, *_python_tree(), *limits.read, *(NETWORK_READ if limits.network else ()))
    return landlock.restrict(read=read, write=("/dev/null", *limits.write), network=limits.network)


def shared_bytes() -> int:
    """What this process has from its forkserver and shares with it: pages that it only reads, stacks of no thread."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return max(0, pages * os.sysconf("SC_PAGE_SIZE") - _WRITTEN)


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def _write_errors(path: str) -> None:
    with contextlib.suppress(OSError):  # a full disk: the child works without it
        errors = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        os.dup2(errors, 2)
        os.close(errors)
