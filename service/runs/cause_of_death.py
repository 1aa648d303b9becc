"""Why a child ended without an answer: what the parent measured, as an error for the user."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from service.files import disk
from service.files.layout import STDERR
from service.jobs import memory
from service.jobs.memory import Job
from service.jobs.messages import Grants
from service.kit import errors
from service.kit.codes import Code
from service.processes.child import Child, Exit

_OUT_OF_MEMORY = re.compile(rb"memory allocation of|out of memory|bad_alloc|Cannot allocate memory", re.IGNORECASE)
_TAIL = 64 * 1024
_NEAR = 0.9  # an abort with more than this share of the limit in use is for want of memory

_CRASHED: dict[Job, Code] = {"run": "RUN_CRASHED", "request": "REQUEST_CRASHED"}


def explain(
    child: Child, end: Exit, job: Job, grants: Grants, stderr: Path | None = None, step: str | None = None
) -> errors.PenstockError:
    """The error of a job whose child ended without an answer. ``stderr`` is by default the file in the job's folder.

    SIGKILL means want of memory if the kernel counted an OOM kill meanwhile; SIGABRT does if the allocator said so, or
    if the child was near its limit. An engine that finds no room to spill goes on in memory until that is used up:
    then the disk is the reason (STORAGE_FULL). The error has the peak memory that the parent sampled, in bytes. For
    want of memory it names the ``step`` instead: what the child took after the last sample ended it.
    """
    exhausted, crashed = memory.OUT_OF_MEMORY[job], _CRASHED[job]
    seen, limit = child.observed, memory.limit_text(grants.memory_bytes, job)
    peak = f"it held {seen.peak_bytes >> 20} MiB at most" if seen.peak_bytes else "it ended at once"
    if child.is_stalled:
        message = (
            f"the {job}'s process was stopped for {seen.stopped_seconds:.0f} s (SIGSTOP) and was then ended; {peak}"
        )
        return errors.Transient(message, code=crashed)
    if end.lost:
        message = f"the {job}'s process was lost, because the process that starts workers had to be replaced; try again"
        return errors.Transient(message, code=crashed)
    details = {"peak_memory_bytes": seen.peak_bytes or None}
    place, named = (f" in {step}", {"step": step}) if step else ("", {})
    before = f"it held {seen.peak_bytes >> 20} MiB shortly before, and may use {limit}"
    if end.signal is signal.SIGKILL and seen.oom_kills:
        message = f"the kernel ended the {job}'s process{place} for want of memory (SIGKILL); {before}"
        return errors.Permanent(message, code=exhausted, **named)
    if end.signal is signal.SIGKILL:
        message = f"the {job}'s process was killed from outside (SIGKILL), not for want of memory; {peak}"
        return errors.Transient(message, code=crashed, **details)
    stderr = stderr or Path(grants.folder, STDERR)
    said = _tail(stderr)
    if end.signal is signal.SIGABRT and (seen.data_share >= _NEAR or _OUT_OF_MEMORY.search(said)):
        if disk.is_named(said.decode(errors="replace")) or disk.is_exhausted(stderr.parent):
            return disk.storage_full()
        message = f"the {job}'s process ran out of memory{place} (SIGABRT); {before}"
        return errors.Permanent(message, code=exhausted, **named)
    message = f"the {job}'s process ended without an answer ({end}); nothing was stored; {peak}"
    return errors.Permanent(message, code=crashed, **details)


def _tail(stderr: Path) -> bytes:
    try:
        with stderr.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, 2) - _TAIL))
            return handle.read()
    except OSError:
        return b""
