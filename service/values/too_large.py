"""Too large: what a setting asks for does not fit the memory of a job, and cannot be divided."""

from __future__ import annotations

from typing import Any


class TooLarge(MemoryError):
    """``cause`` names what is too large, and how many bytes it takes; ``details`` find the setting."""

    def __init__(self, cause: str, **details: Any) -> None:
        super().__init__(cause)
        self.cause, self.details = cause, details


def mebibytes(size: float) -> str:
    """A size in bytes as text."""
    return f"{round(size) >> 20:,} MiB".replace(",", " ")
