"""Executed: what the frames of every engine can say of their executions, beside the contract of ``Frame``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import polars as pl

from service.values.staged import Staged


@runtime_checkable
class Executed(Protocol):
    """A frame that executes."""

    @property
    def lazy(self) -> pl.LazyFrame:
        """The plan of all rows, for this process. Use it only while the frame lives, which has the files."""

    @property
    def known_rows(self) -> int | None:
        """The number of rows, if it was measured already."""

    @property
    def staged(self) -> Sequence[Staged]:
        """The stages of this frame and its relatives (made from it, or it from them) so far."""
