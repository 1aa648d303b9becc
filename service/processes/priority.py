"""The priority of a process beside others."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LOWEST = 19  # of nice


def give_way(pid: int) -> None:
    """Let another process of ours take only what the others leave of the cores, for the rest of its life.

    Linux has a priority for each thread; a new one has that of the thread which starts it.
    """
    lowered: set[str] = set()
    with contextlib.suppress(OSError):  # it has ended
        while new := {thread.name for thread in Path(f"/proc/{pid}/task").iterdir()} - lowered:
            for thread in new:
                with contextlib.suppress(OSError):  # the thread has ended, or a container forbids it
                    os.setpriority(os.PRIO_PROCESS, int(thread), _LOWEST)
            lowered |= new
