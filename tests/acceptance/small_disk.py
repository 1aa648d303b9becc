"""``python -m tests.acceptance.small_disk serve … --data-dir DIR``: the service with a small disk of its own at DIR.

The disk (``SMALL_DISK`` bytes, at ``SMALL_DISK_AT`` if that is set) is a tmpfs in a mount namespace that nobody else
sees, so that this needs no privileges where the kernel gives them to users in their own namespace.
"""

from __future__ import annotations

import ctypes
import os
import sys
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


if __name__ == "__main__":
    folder = Path(os.environ.pop("SMALL_DISK_AT", "") or sys.argv[sys.argv.index("--data-dir") + 1])
    folder.mkdir()
    mount(folder, int(os.environ.pop("SMALL_DISK")))
    from service.cli.commands import penstock

    penstock(prog_name="penstock")
