"""``python -m tests.acceptance.small_disk serve … --data-dir DIR``: the service with a small disk of its own at DIR.

The disk (``SMALL_DISK`` bytes, at ``SMALL_DISK_AT`` if that is set) is a tmpfs in a mount namespace that nobody else
sees, so that this needs no privileges where the kernel gives them to users in their own namespace. A
disk that is ``kept`` outlives its service, and ``SMALL_DISK_OF`` gives it to the next one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_NEW_MOUNTS, _NEW_USER, _PRIVATE = 0x00020000, 0x10000000, (1 << 18) | (1 << 14)


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(folder: Path, size: int) -> None:
    """Mount a tmpfs of ``size`` bytes at ``folder``, for this process and its children."""
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    _checked(libc.unshare(_NEW_MOUNTS | (_NEW_USER if user else 0)))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _checked(libc.mount(b"none", b"/", None, _PRIVATE, None))
    _checked(libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={size},mode=700".encode()))


@contextlib.contextmanager
def kept(pid: int) -> Iterator[str]:
    """Keep the disk of a process when that ends: ``SMALL_DISK_OF`` for another."""
    kinds = ("mnt",) if os.getuid() == 0 else ("user", "mnt")
    handles = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
    try:
        yield " ".join(f"/proc/{os.getpid()}/fd/{handle}" for handle in handles)
    finally:
        for handle in handles:
            os.close(handle)


def enter(namespaces: str) -> None:
    """See the disk that somebody has ``kept``."""
    libc = ctypes.CDLL(None, use_errno=True)
    for path in namespaces.split():
        handle = os.open(path, os.O_RDONLY)
        _checked(libc.setns(handle, 0))
        os.close(handle)


if __name__ == "__main__":
    if kept_by := os.environ.pop("SMALL_DISK_OF", ""):
        enter(kept_by)
    else:
        folder = Path(os.environ.pop("SMALL_DISK_AT", "") or sys.argv[sys.argv.index("--data-dir") + 1])
        folder.mkdir()
        mount(folder, int(os.environ.pop("SMALL_DISK")))
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
