"""Memory: the peak of this process, and the error of a child that exceeds its limit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from service.kit import errors
from service.kit.codes import Code
from service.values.too_large import TooLarge

Job = Literal["run", "request"]
"""A run, or a one-shot task that answers a request."""
OUT_OF_MEMORY: dict[Job, Code] = {"run": "RUN_OUT_OF_MEMORY", "request": "REQUEST_OUT_OF_MEMORY"}
_SETTINGS: dict[Job, str] = {
    "run": "PENSTOCK_RUN_MEMORY_LIMIT",
    "request": "a share of the memory of the machine, never more than PENSTOCK_RUN_MEMORY_LIMIT; ask for fewer rows",
}

_NO_THREAD = "can't start new thread"
_OF_DUCKDB = "OutOfMemoryException"  # this room does not import DuckDB


def peak() -> int:
    """The most memory this process held at once, in bytes (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that there is no more memory; the stack of a thread takes some, too."""
    if isinstance(error, MemoryError) or type(error).__name__ == _OF_DUCKDB:
        return True
    return isinstance(error, RuntimeError) and _NO_THREAD in str(error)


def exhausted(limit: int, job: Job, error: BaseException) -> errors.Permanent:
    """The error of a child that reached its limit (bytes), or would; with the cause where that is known."""
    if isinstance(error, TooLarge):
        message = f"{error.cause}; the {job} may use {limit_text(limit, job)}"
        return errors.Permanent(message, code=OUT_OF_MEMORY[job], **error.details)
    return errors.Permanent(
        f"the {job} ran out of memory: it may use {limit_text(limit, job)}", code=OUT_OF_MEMORY[job]
    )


def limit_text(limit: int, job: Job) -> str:
    """A limit (bytes), and what sets it or what to do."""
    return f"{limit >> 20} MiB ({_SETTINGS[job]})"
