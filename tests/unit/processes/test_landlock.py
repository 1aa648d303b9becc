"""A kernel without Landlock is told from one that has it."""

from __future__ import annotations

import ctypes
import errno
from typing import Any

import pytest

from service.processes import landlock


class _Kernel:
    """The C library over a kernel that does not know a system call, or where a filter forbids it."""

    def __init__(self, number: int) -> None:
        self._number = number

    def syscall(self, *_: Any) -> int:
        ctypes.set_errno(self._number)
        return -1


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_requirement_12_a_kernel_without_landlock_confines_nothing(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "_libc", lambda: _Kernel(number))
    assert landlock.abi() == 0
    assert landlock.restrict(read=["/usr"], write=[], network=False) == 0
