"""Replay plan: where quarantined rows enter a configuration that may have changed since they were rejected.

They enter at the step that rejected them, at its current place. Cleaners and validators before it that were changed or
added since are applied as well: they repair most rows. Nothing else is repeated, and nothing before such a step: a
transformer would scale or encode values a second time.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

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


def repeated(index: int, before: Sequence[Any], now: Sequence[Any], processors: Sequence[Processor]) -> list[int]:
    """The processors of ``now`` to apply again, before its place, to rows that ``index`` of ``before`` rejected."""
    found = []
    for at in reversed(range(place(index, before, now))):
        if not processors[at].idempotent:
            break
        if now[at] not in before[:index]:
            found.append(at)
    return found[::-1]


def number(step: str) -> int:
    """The index in a name such as ``processors[2]``."""
    return int(step.partition("[")[2].rstrip("]"))


def _alike(before: Sequence[Any], now: Sequence[Any]) -> int:
    """The number of equal steps that both begin with."""
    pairs = zip(before, now, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
