"""Distribution: the cumulative distribution of a column of numbers or times, as far as its profile shows.

The histogram, the quantiles and the counts of zeros and negative numbers are points of it. Between them it is monotone:
a cubic (F. N. Fritsch and J. Butland, 1984), since straight lines make a shift of a long tail look three times as big.
Whole numbers and dates are read half a step beside each value, where every count of a histogram is exact, so that a
value that shares its bin with others is not spread over values that do not exist.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from service.values.profile import ColumnProfile, Histogram

_DAY = 86_400.0
_HALVINGS = 30  # of the stretch in which a cut lies


@dataclass(frozen=True)
class Distribution:
    """The share of values below each of ``points`` (ascending), and the share up to it, which is more at a value that
    many rows have. ``leaving`` and ``arriving`` are the slopes at the two ends of each stretch between two points.
    ``step`` is the distance of neighbouring values, 0 for any."""

    points: tuple[float, ...]
    below: tuple[float, ...]
    up_to: tuple[float, ...]
    leaving: tuple[float, ...]
    arriving: tuple[float, ...]
    step: float

    def share_up_to(self, value: float) -> float:
        """The share of values that are at most ``value``."""
        return self._at(value, self.up_to)

    def share_below(self, value: float) -> float:
        """The share of values that are less than ``value``."""
        return self._at(value, self.below)

    def _at(self, value: float, known: tuple[float, ...]) -> float:
        place = bisect.bisect_right(self.points, value) - 1
        if place < 0:
            return 0.0
        low = self.points[place]
        if low == value or place + 1 == len(self.points):
            return known[place] if low == value else 1.0
        width = self.points[place + 1] - low
        part = (value - low) / width
        rest = 1 - part
        start, end = self.up_to[place], self.below[place + 1]
        curve = part * rest * width * (self.leaving[place] * rest - self.arriving[place] * part)
        share = start + (end - start) * part * part * (3 - 2 * part) + curve
        return min(max(share, start), end)


def of(column: ColumnProfile) -> Distribution | None:
    """The distribution of the finite values of a column; None if the profile has no histogram of them."""
    histogram = column.histogram
    if not isinstance(histogram, Histogram) or not sum(histogram.counts):
        return None
    step = _step(column.type)
    found: dict[float, tuple[float, float]] = {}
    for point, below, up_to in _known(column, histogram, step):
        low, high = found.get(point, (below, up_to))
        found[point] = min(low, below), max(high, up_to)
    points, lower, upper, most = sorted(found), [], [], 0.0
    for point in points:
        low, high = found[point]
        lower.append(max(most, min(low, 1.0)))
        upper.append(most := max(lower[-1], min(high, 1.0)))
    upper[-1] = 1.0
    return Distribution(tuple(points), tuple(lower), tuple(upper), *_slopes(points, lower, upper), step)


def shares(one: Distribution, other: Distribution, bins: int) -> Iterator[tuple[float, float]]:
    """The shares of both in the bins that divide the two together into ``bins`` parts of equal share.

    There are fewer bins if many rows have one value.
    """
    cuts = _cuts(one, other, bins)
    ends = [(0.0, 0.0), *((one.share_up_to(cut), other.share_up_to(cut)) for cut in cuts), (1.0, 1.0)]
    for (low, other_low), (high, other_high) in itertools.pairwise(ends):
        yield high - low, other_high - other_low


def finite(column: ColumnProfile) -> int:
    """How many values are neither missing nor infinite."""
    return sum(column.histogram.counts) if isinstance(column.histogram, Histogram) else 0


def infinite(column: ColumnProfile) -> int:
    """How many values are infinite."""
    return column.count - finite(column)


def _step(type_name: str) -> float:
    if type_name == "date":
        return _DAY
    whole = type_name.startswith(("int", "uint")) or (type_name.startswith("decimal") and type_name.endswith(",0)"))
    return 1.0 if whole else 0.0


def _known(column: ColumnProfile, histogram: Histogram, step: float) -> Iterable[tuple[float, float, float]]:
    """What the profile shows: values, the share of values below each, and the share up to it."""
    total = sum(histogram.counts)
    so_far = [0, *itertools.accumulate(histogram.counts)]
    last = len(histogram.counts)
    for place, (edge, count) in enumerate(zip(histogram.edges, so_far, strict=True)):
        at = edge
        if step:
            at = (math.floor(edge / step) + 0.5) * step if place == last else (math.ceil(edge / step) - 0.5) * step
        yield at, count / total, count / total
    exact = step and histogram.edges[-1] - histogram.edges[0] <= step * len(histogram.counts)
    if isinstance(column.quantiles, dict) and not exact:
        numbers = [(float(v), float(q)) for q, v in column.quantiles.items() if isinstance(v, float | int)]
        for value, group in itertools.groupby(sorted(numbers), key=lambda pair: pair[0]):
            levels = [level for _, level in group]
            yield from _value(value, levels[0], levels[-1], step)
    zeros, negatives = column.zeros, column.negatives
    if isinstance(zeros, int) and isinstance(negatives, int) and zeros and total == column.count:
        yield from _value(0.0, negatives / total, (negatives + zeros) / total, step)


def _value(value: float, below: float, up_to: float, step: float) -> Iterable[tuple[float, float, float]]:
    """A value that has the shares from ``below`` to ``up_to``."""
    if step and below != up_to:
        yield value - step / 2, below, below
        yield value + step / 2, up_to, up_to
    else:
        yield value, below, up_to


def _slopes(points: list[float], below: list[float], up_to: list[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The slopes at the beginning and at the end of each stretch; a value that many rows have parts two stretches."""
    widths = [high - low for low, high in itertools.pairwise(points)]
    secants = [(below[i + 1] - up_to[i]) / width for i, width in enumerate(widths)]
    leaving, arriving = list(secants), list(secants)
    for i, (width, secant) in enumerate(zip(widths, secants, strict=True)):
        before = i > 0 and below[i] == up_to[i]
        after = i + 1 < len(widths) and below[i + 1] == up_to[i + 1]
        if after and secant and secants[i + 1]:
            one, other = width + 2 * widths[i + 1], 2 * width + widths[i + 1]
            arriving[i] = leaving[i + 1] = (one + other) / (one / secant + other / secants[i + 1])
        elif after:
            arriving[i] = leaving[i + 1] = 0.0
        if not before and after:
            leaving[i] = _end(width, secant, widths[i + 1], secants[i + 1])
        if before and not after:
            arriving[i] = _end(width, secant, widths[i - 1], secants[i - 1])
    return tuple(leaving), tuple(arriving)


def _end(width: float, secant: float, next_width: float, next_secant: float) -> float:
    """The slope at the free end of a stretch, from the secant of it and of the next one."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    return min(max(slope, 0.0), 3 * secant)


def _cuts(one: Distribution, other: Distribution, bins: int) -> list[float]:
    """The values that divide the two distributions together into ``bins`` parts of equal share."""
    points = sorted({*one.points, *other.points})
    below = [(one.share_below(p) + other.share_below(p)) / 2 for p in points]
    up_to = [(one.share_up_to(p) + other.share_up_to(p)) / 2 for p in points]
    step = max(one.step, other.step)
    cuts = set()
    for share in (number / bins for number in range(1, bins)):
        place = bisect.bisect_left(up_to, share)
        cut = points[place]
        if place and below[place] > share:
            low = points[place - 1]
            for _ in range(_HALVINGS):
                middle = low + (cut - low) / 2
                if (one.share_up_to(middle) + other.share_up_to(middle)) / 2 < share:
                    low = middle
                else:
                    cut = middle
        cuts.add((math.ceil(cut / step - 0.5) + 0.5) * step if step else cut)
    return sorted(cuts)
