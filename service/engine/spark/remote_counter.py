"""Remote counter: a counter of lost values whose plans are executed elsewhere, and which parts of a frame these are."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from service.engine.loss_counter import LossCounter
from service.engine.loss_tally import Counts, Marks
from service.engine.spark.executor import RemoteTally
from service.engine.spark.messages import Staged
from service.values.losses import Conversion


@dataclass(frozen=True)
class RemoteCounter:
    """``key`` is unlike that of any other attempt; the plans that count are those of the parts from ``first`` on."""

    counter: LossCounter
    key: str
    first: int = 0

    @classmethod
    def of(cls, step: str, conversions: Sequence[Conversion], schema: pl.Schema) -> RemoteCounter:
        """The counter of a step's conversions."""
        return cls(LossCounter(step, conversions, schema), uuid.uuid4().hex)

    def behind(self, parts: int) -> RemoteCounter:
        """The counter in a frame that has this number of other parts before."""
        return replace(self, first=self.first + parts)

    def applied(
        self, parts: Sequence[pl.LazyFrame], expressions: Sequence[pl.Expr | Conversion], *, only: bool
    ) -> list[pl.LazyFrame]:
        """The parts with the new columns, and the nodes that count."""
        return [
            self.counter.apply(part, expressions, only=only, count=RemoteTally(self._key_of(number)))
            for number, part in enumerate(parts)
        ]

    def tally(self, part: int) -> tuple[str, dict[str, Marks]]:
        """What the task that executes a part has to count, and under which key."""
        return self._key_of(part), self.counter.marks

    def take(self, found: Sequence[Staged]) -> None:
        """Take what was counted in all parts. Raises ``errors.Permanent`` where a share is exceeded."""
        counts = [one.counts.get(self._key_of(part), Counts()) for part, one in enumerate(found)]
        self.counter.absorb(counts[self.first :])
        self.counter.finish()

    def _key_of(self, part: int) -> str:
        return f"{self.key} {part - self.first}"
