"""``python -m tests.acceptance.failing_sync DIR``: a catalog on a disk that goes bad after some writes.

From then on the kernel answers EIO to every fsync and fdatasync of this process (seccomp, which a process may put on
itself and on its threads). Prints, as JSON, which writes were acknowledged, the errors of the others, and whether the
catalog takes itself for healthy.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import struct
import sys
from pathlib import Path

from service.catalog.duckdb_store import DuckDBStore

_SYNCS = {"x86_64": (74, 75), "aarch64": (82, 83)}  # the numbers of fsync and fdatasync
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_NO_NEW_PRIVILEGES, _SET_FILTER, _ALL_THREADS = 38, 1, 1
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # instructions of the classic packet filter
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_GOOD, _ALL = 3, 10


def go_bad() -> None:
    """Let every flush of this process fail from now on. Raises ``OSError`` if the kernel refuses the filter."""
    machine = platform.machine()
    syncs = _SYNCS[machine]
    code = [(_LOAD, 0, 0, 0)]  # the number of the call
    code += [(_IF_EQUAL, len(syncs) - place, 0, number) for place, number in enumerate(syncs)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | errno.EIO)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.syscall(_SECCOMP[machine], _SET_FILTER, _ALL_THREADS, header):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(folder: Path) -> dict[str, object]:
    store = DuckDBStore(folder / "catalog.duckdb")
    written, failed = [], []
    for number in range(_ALL):
        if number == _GOOD:
            go_bad()
        name = f"row {number}"
        try:
            store.set_property(name, "x")
            written.append(name)
        except Exception as error:
            failed.append(type(error).__name__)
    return {"written": written, "failed": failed, "healthy": store.healthy}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))), flush=True)
