"""Pattern losses: the values of a column in which its pattern was not found, so that they became missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.values.losses import SAMPLES, SHOWN


@dataclass
class Unmatched:
    """Counts over all pages: ``count`` of ``known`` values did not contain the pattern."""

    count: int = 0
    known: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, values: Sequence[str], matched: int) -> None:
        """Count the values of one page that do not contain the pattern, and the number of those that do."""
        self.count += len(values)
        self.known += len(values) + matched
        self.samples += [value[:SHOWN] for value in values[: SAMPLES - len(self.samples)]]

    @property
    def share(self) -> float:
        """The share of the values that were there."""
        return self.count / self.known if self.known else 0.0

    @property
    def shown(self) -> str:
        """The counts as the beginning of a sentence."""
        values = "value" if self.known == 1 else "values"
        samples = ", ".join(f"'{text}'" for text in self.samples)
        return f"{self.count} of {self.known} {values} ({self.share:.1%}, first {samples})"

    @property
    def details(self) -> dict[str, Any]:
        """The counts as details of a warning or an error."""
        return {"count": self.count, "known": self.known, "share": self.share, "samples": self.samples}
