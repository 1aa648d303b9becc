"""Memory: the peak of this process, and the error of a child that exceeds its limit."""

from __future__ import annotations

from pathlib import Path

from service.kit import errors


def peak() -> int:
    """The most memory this process held at once, in bytes (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def exhausted(limit: int) -> errors.Permanent:
    """The error of a child that reached its limit (bytes)."""
    return errors.Permanent(f"out of memory; a run may use {limit >> 20} MiB")
