"""A process that gives way does so in each of its threads, also in those that it starts later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.processes import priority

THREADS = """
import sys, threading
end = threading.Event()
def start():
    threading.Thread(target=end.wait, daemon=True).start()
    print("started", flush=True)
start()
for _ in sys.stdin:
    start()
"""


def priorities(pid: int) -> list[tuple[int, int]]:
    threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    return [(os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)) for thread in threads]


@pytest.mark.parametrize(("entirely", "policy"), [(False, os.SCHED_OTHER), (True, os.SCHED_IDLE)])
def test_all_threads_of_a_process_give_way(entirely: bool, policy: int) -> None:
    command = [sys.executable, "-c", THREADS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert priorities(process.pid) == [(os.SCHED_OTHER, own)] * 2
        priority.give_way(process.pid, entirely=entirely)
        print("again", file=process.stdin, flush=True)
        assert process.stdout.readline() == "started\n"
        assert priorities(process.pid) == [(policy, 19)] * 3
        process.stdin.close()


def test_a_process_that_has_ended_is_left_alone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        priority.give_way(process.pid, entirely=True)
