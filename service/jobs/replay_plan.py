"""Resumption: where quarantined rows go on in a configuration that may have changed since they were refused.

They go on with the step that refused them, wherever it stands now. Cleaners and validators before it that were
changed or added since are gone through again: that is how most rows are mended. Nothing else is repeated, nor what
stands before such a step: a transformer would scale or encode what it scaled or encoded before.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from service.steps.processor import Processor


def place(index: int, before: Sequence[Any], now: Sequence[Any]) -> int:
    """Where the processor ``index`` of ``before`` stands in ``now``; both are parts of configurations.

    Where it was changed together with its neighbours, its old place; one that is gone leaves its place to the next.
    """
    if index < _alike(before, now):
        return index
    from_end = len(before) - index
    if from_end <= _alike(before[::-1], now[::-1]):
        return len(now) - from_end
    return min(index, len(now))


def repeated(index: int, before: Sequence[Any], now: Sequence[Any], processors: Sequence[Processor]) -> list[int]:
    """The processors of ``now`` before its place that rows go through again which ``index`` of ``before`` refused."""
    found = []
    for at in reversed(range(place(index, before, now))):
        if not processors[at].idempotent:
            break
        if now[at] not in before[:index]:
            found.append(at)
    return found[::-1]


def number(step: str) -> int:
    """The place that ``processors[2]`` names."""
    return int(step.partition("[")[2].rstrip("]"))


def _alike(before: Sequence[Any], now: Sequence[Any]) -> int:
    """How many steps the two begin with that are the same."""
    pairs = zip(before, now, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
