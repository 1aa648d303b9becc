"""Drift: how far the distribution of a column moved between two profiles, as the population stability index (PSI).

PSI is the sum of ``(p - q) * ln(p / q)`` over bins, where p and q are the shares of rows in a bin before and after
(B. Yurdakul, "Statistical Properties of Population Stability Index", 2018). By convention less than 0.1 is stable and
more than 0.25 is a significant change. It is 0 for equal profiles, and the same in both directions:

* Bins of numbers and times are the tenths of both distributions together, each of which ``values.distribution`` reads
  from its profile. Bins of texts are the listed values (``top``) and one for the rest, those of booleans the two.
* Missing values are a bin, and so are infinite ones: a column that became empty has drifted.
* Smoothing: a share counts as at least 0.0001, as in common tools, and at least as half a row of the smaller table, so
  that one row in an empty bin of a small table does not look like drift.

PSI is None if a profile lacks the column, its figures or rows, or if the kinds of the two columns differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from service.values import distribution
from service.values.profile import ColumnProfile, Profile, TopValue

BINS = 10
LEAST_SHARE = 1e-4

Shares = Iterator[tuple[float, float]]
"""The shares of rows in each bin, before and after."""


def by_column(before: Sequence[Profile], after: Sequence[Profile]) -> dict[str, float | None]:
    """PSI of the columns that both versions have profiled. The last profile of a version is nearest to its rows."""
    earlier, later = columns(before), columns(after)
    return {name: psi(earlier[name], column) for name, column in later.items() if name in earlier}


def columns(profiles: Sequence[Profile]) -> dict[str, ColumnProfile]:
    """The columns of a version's profiles by name, each from the last profile that has it."""
    return {column.name: column for profile in profiles for column in profile.columns}


def psi(before: ColumnProfile, after: ColumnProfile) -> float | None:
    """The population stability index of a column; None if the profiles do not show it."""
    rows = min(_rows(before), _rows(after))
    kind = _kind(before)
    if not rows or kind is None or kind != _kind(after):
        return None
    if kind == "boolean":
        shares = _booleans(before, after)
    elif kind == "text":
        if not _is_listed(before) or not _is_listed(after):
            return None
        shares = _texts(before, after)
    else:
        shares = _numbers(before, after)
    least = max(LEAST_SHARE, 0.5 / rows)
    return math.fsum(_term(max(p, least), max(q, least)) for p, q in shares)


def _term(p: float, q: float) -> float:
    return (p - q) * (math.log(p) - math.log(q))


def _rows(column: ColumnProfile) -> int:
    return column.count + column.missing


def _kind(column: ColumnProfile) -> str | None:
    """The kind of a column: only columns of one kind are compared."""
    if isinstance(column.true_share, float) or column.true_share is None:
        return "boolean"
    if isinstance(column.top, list):
        return "text"
    if isinstance(column.histogram, msgspec.UnsetType):
        return None
    if isinstance(column.quantiles, dict):
        return "number"
    return "instant" if column.type.startswith("date") else column.type


def _booleans(before: ColumnProfile, after: ColumnProfile) -> Shares:
    pairs = [(_true(before), _true(after)), (before.missing / _rows(before), after.missing / _rows(after))]
    yield from pairs
    yield 1 - pairs[0][0] - pairs[1][0], 1 - pairs[0][1] - pairs[1][1]


def _true(column: ColumnProfile) -> float:
    share = column.true_share if isinstance(column.true_share, float | int) else 0.0
    return share * column.count / _rows(column)


def _numbers(before: ColumnProfile, after: ColumnProfile) -> Shares:
    p, q = _rows(before), _rows(after)
    yield before.missing / p, after.missing / q
    yield distribution.infinite(before) / p, distribution.infinite(after) / q
    earlier, later = distribution.of(before), distribution.of(after)
    of_p, of_q = distribution.finite(before) / p, distribution.finite(after) / q
    if earlier is None or later is None:
        yield of_p, of_q
        return
    for share, other in distribution.shares(earlier, later, BINS):
        yield share * of_p, other * of_q


def _is_listed(column: ColumnProfile) -> bool:
    """Whether the frequent values are known, or there is none to know."""
    return bool(column.top) or not column.count


def _texts(before: ColumnProfile, after: ColumnProfile) -> Shares:
    earlier, later = _Listed(before), _Listed(after)
    p, q = earlier.completed(later), later.completed(earlier)
    for value in sorted(p.keys() | q.keys()):
        yield p[value], q[value]
    yield before.missing / _rows(before), after.missing / _rows(after)
    yield (
        earlier.others - sum(p[v] for v in later.missing_from(earlier)),
        later.others - sum(q[v] for v in earlier.missing_from(later)),
    )


class _Listed:
    """The listed values of a text column with their shares of all rows, and what is known about the others."""

    def __init__(self, column: ColumnProfile) -> None:
        top: list[TopValue] = column.top if isinstance(column.top, list) else []
        rows = _rows(column)
        self.shares = {msgspec.json.encode(item.value): item.count / rows for item in top}
        rest = column.count - sum(item.count for item in top)
        self.others = rest / rows
        self._most = min([item.count for item in top] + [rest]) / rows

    def missing_from(self, other: _Listed) -> list[bytes]:
        """The values that only this one lists."""
        return sorted(self.shares.keys() - other.shares.keys())

    def completed(self, other: _Listed) -> dict[bytes, float]:
        """Shares of the values that either lists.

        One that this column does not list may be among its others, with at most the share of its last listed value.
        Its share is taken as near to the one of ``other`` as that allows, so that what is unknown is not called drift.
        """
        unlisted = {value: min(other.shares[value], self._most) for value in other.missing_from(self)}
        total = sum(unlisted.values())
        scale = min(1.0, self.others / total) if total else 1.0
        return {**self.shares, **{value: share * scale for value, share in unlisted.items()}}
