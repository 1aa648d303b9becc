"""Edges of bins of equal width."""

from __future__ import annotations

import math


def between(low: float, high: float, bins: int) -> list[float]:
    """The ``bins`` + 1 edges from ``low`` to ``high``, which are finite, as all between them are."""
    width = high / bins - low / bins  # the distance itself may exceed the range of a float
    if math.isfinite(width * bins):
        return [*(low + width * i for i in range(bins)), high]
    return [*(low * (1 - i / bins) + high * (i / bins) for i in range(bins)), high]
