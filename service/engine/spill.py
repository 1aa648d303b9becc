"""Spill: operators of Polars write what they hold to files where it exceeds the memory of the run.

Sorts and windows spill, and so do scans that run ahead of a writer; hash tables do not (``operations_in_parts``,
``kept_rows``).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from service.engine.memory import Memory

_SHARE = 0.7
"""Of what is free. A sort holds up to 130 MiB beside the budget, a window as much as the budget again (measured)."""
_LEAST = 64 << 20
_STEP = 32
"""MiB. A budget that differs by less stays: setting one takes a third of a millisecond."""
_BUDGET, _FOLDER = "POLARS_OOC_MEMORY_BUDGET_MB", "POLARS_OOC_SPILL_DIR"


@contextmanager
def into(folder: Path, memory: Memory, *, again: bool = False) -> Iterator[None]:
    """Let what Polars executes in this process meanwhile spill into ``folder``, which is made.

    It is removed at the end, unless it is used ``again``: Polars remembers the first folder of a process.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    _set({_BUDGET: str(_budget(memory)), _FOLDER: str(folder)})
    try:
        yield
    finally:
        _set({_BUDGET: None, _FOLDER: None})
        if not again:
            shutil.rmtree(folder, ignore_errors=True)


def refresh(memory: Memory) -> None:
    """Adapt the budget to what is held now, a stage in memory for example; nothing outside of ``into``."""
    present = os.environ.get(_BUDGET)
    if present is not None and abs((budget := _budget(memory)) - int(present)) >= _STEP:
        _set({_BUDGET: str(budget)})


def _budget(memory: Memory) -> int:
    return max(_LEAST, int(memory.free() * _SHARE)) >> 20


def _set(environment: dict[str, str | None]) -> None:
    pl.Config.load(json.dumps({"environment": environment}))
