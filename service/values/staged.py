"""Staged: where a run kept rows that it reads more than once."""

from __future__ import annotations

from typing import Literal

import msgspec


class Staged(msgspec.Struct, frozen=True):
    """``rows`` kept in memory, or in files in the folder of the run; ``bytes`` is what they took there."""

    place: Literal["memory", "file"]
    rows: int
    bytes: int
