"""What became of one random case."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Verdict:
    """``outcome`` is ``same``, ``both refuse``, ``refused`` (by us, where the reference answers) or what differs."""

    kind: str
    text: str
    outcome: str
    table: pl.DataFrame

    @property
    def differs(self) -> bool:
        """Whether it needs an explanation."""
        return self.outcome not in ("same", "both refuse", "refused")
