"""Replay plan: where quarantined rows enter a configuration that may have changed since they were rejected.

They enter at the step that rejected them, at its current place. Cleaners and validators before it that were changed or
added since are applied as well: they repair most rows. Nothing else is repeated, and nothing before such a step: a
transformer would scale or encode values a second time.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from service.steps.processor import Processor


def place(index: int, before: Sequence[Any], now: Sequence[Any]) -> int:
    """The index in ``now`` of the processor ``index`` of ``before``; both are parts of configurations.

    If it was changed together with its neighbours, its old index; if it was removed, that of the next one.
    """
    if index < _alike(before, now):
        return index
    from_end = len(before) - index
    if from_end <= _alike(before[::-1], now[::-1]):
        return len(now) - from_end
    return min(index, len(now))


class Way(NamedTuple):
    """How rows enter: through the processors ``repeated`` again, then from the place where they were rejected.

    ``renamed`` are columns that get the names which they had there. ``cut_off`` is a processor that must be repeated
    and cannot be, since one after it cannot.
    """

    repeated: list[int]
    renamed: dict[str, str]
    cut_off: int | None = None


def way(
    index: int, before: Sequence[Any], now: Sequence[Any], processors: Sequence[Processor], schema: pl.Schema,
    stored: pl.Schema,
) -> Way:  # fmt: skip
    """The way of rows with the columns ``schema`` that ``index`` of ``before`` rejected; ``stored`` are the version's.

    Changed and added processors are repeated, and all from a cleaner on that has to cast a column again.
    """
    refused_at = place(index, before, now)
    repeated, renamed, reachable = list[int](), dict[str, str](), True
    names = {name: name for name in schema}
    for at in reversed(range(refused_at)):
        reachable = reachable and processors[at].idempotent
        text = [n for n in names if reachable or not isinstance(stored.get(n, pl.String()), pl.String)]
        if processors[at].must_repeat(pl.Schema({names[n]: schema[n] for n in text})):
            if not reachable:
                return Way([], {}, at)
            unrepeated = [i for i in range(at, refused_at) if i not in repeated and not processors[i].read_only]
            repeated, renamed = sorted([*repeated, *unrepeated]), {n: c for n, c in names.items() if n != c}
        elif reachable and now[at] not in before[:index]:
            repeated = [at, *repeated]
        former = processors[at].former_names()
        names = {name: former.get(column, column) for name, column in names.items()}
    return Way(repeated, renamed)


def number(step: str) -> int:
    """The index in a name such as ``processors[2]``."""
    return int(step.partition("[")[2].rstrip("]"))


def _alike(before: Sequence[Any], now: Sequence[Any]) -> int:
    """The number of equal steps that both begin with."""
    pairs = zip(before, now, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
