"""What a person chose on the command line, for every question alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """``rows`` of data, ``repeat`` times, only these ``contestants`` (all where empty), data kept in ``folder``.

    ``seconds`` is the length of a long load, ``memory`` the bytes that a run may use where a question limits it.
    """

    rows: int
    repeat: int
    contestants: list[str]
    folder: Path
    seconds: float = 300.0
    memory: int = 2 << 30
