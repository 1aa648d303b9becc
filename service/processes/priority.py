"""The priority of a process beside others."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LOWEST = 19  # of nice


def give_way(pid: int, *, entirely: bool) -> None:
    """Let another process of ours take little of the cores beside others, for the rest of its life.

    ``entirely``: no more than they leave, even for a moment; on a machine that is always busy it hardly gets on then.
    Linux has a priority for each thread; a new one has that of the thread which starts it.
    """
    lowered: set[str] = set()
    with contextlib.suppress(OSError):  # it has ended
        while new := {thread.name for thread in Path(f"/proc/{pid}/task").iterdir()} - lowered:
            for thread in map(int, new):
                with contextlib.suppress(OSError):  # the thread has ended, or a container forbids it
                    os.setpriority(os.PRIO_PROCESS, thread, _LOWEST)
                    if entirely:
                        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
            lowered |= new
