"""Lost values: what a setting turned into null, clipped or did not know, counted per column.

A processor describes its new columns as ``Conversion`` values and gives them to ``Frame.convert``; the frame counts
while it computes the rows, in the same pass, and answers ``Frame.losses`` afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

ORIGINALS = "_values_before_cast"
"""A column between steps: a struct of the values that casts lost, null where none was lost."""
SAMPLES = 3
SHOWN = 80
"""Characters of a value that is shown."""


@dataclass(frozen=True)
class Cut:
    """Digits that a conversion drops from values that stay: ``where`` it does, and words for the loss.

    ``unit`` follows the setting of such a loss, ``outcome`` ends the sentence "3 of 9 values …". ``both`` is a struct
    of the new ``value`` and ``cut`` if one reading of the source gives both.
    """

    where: pl.Expr
    unit: str
    outcome: str
    both: pl.Expr | None = None


@dataclass(frozen=True)
class Conversion:
    """A new column ``name`` with ``value``, made of the values of ``column`` (``source``) by ``setting``.

    A value is lost where ``source`` is not null and ``value`` is, or where ``lost`` is true. ``outcome`` ends the
    sentence "3 of 9 values …"; ``hint`` may suggest a better setting from samples of lost values. ``most`` is the share
    of lost values that fails the run if it is exceeded. Where ``cut`` holds, the value stays with fewer digits; that
    is counted apart and is not a reason to fail.
    """

    name: str
    value: pl.Expr
    source: pl.Expr
    column: str
    setting: str
    outcome: str
    lost: pl.Expr | None = None
    hint: Callable[[list[str]], str | None] | None = None
    most: float | None = None
    cut: Cut | None = None


def plain_values(expressions: Sequence[pl.Expr | Conversion]) -> list[pl.Expr]:
    """The expressions of the new columns, without anything to count."""
    return [e.value.alias(e.name) if isinstance(e, Conversion) else e for e in expressions]


class LostValues(msgspec.Struct, frozen=True):
    """``count`` of ``known`` values of a column that a setting of ``step`` lost. ``rows`` are places from 1."""

    step: str
    setting: str
    column: str
    count: int
    known: int
    samples: list[str]
    rows: list[int]
    message: str

    @property
    def share(self) -> float:
        """The share of the values that were not missing before."""
        return self.count / self.known if self.known else 0.0
