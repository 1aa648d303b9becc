"""Scratch space of a query: how many rows it may hold in memory, and a folder for those that do not fit there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from service.engine.memory import Memory

Engine = Literal["streaming", "in-memory"]


class Scratch:
    """``memory`` says what may be held, ``folder`` takes files while a query lasts."""

    def __init__(self, memory: Memory, folder: Path, *, least: int = 32 << 20) -> None:
        self._memory = memory
        self._folder = folder
        self._least = least

    def rows(self, width: int) -> int:
        """How many rows of ``width`` bytes may be held now; ``least`` bytes where memory is short, to end in time."""
        return max(1, max(self._least, self._memory.free()) // max(1, width))

    def left(self) -> int:
        """The bytes that are left for what is not divided."""
        return max(self._least, self._memory.left())

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """A new folder, removed with all that is in it."""
        with tempfile.TemporaryDirectory(prefix="spill-", dir=self._folder, ignore_cleanup_errors=True) as name:
            yield Path(name)


PLENTY = Scratch(Memory(1 << 62, held=lambda: 0), Path())
"""Everything fits."""
