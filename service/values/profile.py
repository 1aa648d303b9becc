"""What an analyzer found, as typed values: the profile of a table and of each of its columns.

A column has the fields of its kind only: those of numbers, of texts, of dates and times or of booleans. The others are
``UNSET`` and absent from JSON. A value is None where there is nothing to compute it from.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

Figure = float | int | str | None
"""A number, or a date or time in ISO 8601."""


class Histogram(msgspec.Struct, frozen=True):
    """Counts between edges; n counts have n + 1 edges. Edges of dates and times are seconds."""

    edges: list[float]
    counts: list[int]


class TopValue(msgspec.Struct, frozen=True):
    """A frequent value and the number of its rows."""

    value: Any
    count: int


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one column. ``count`` and ``missing`` are rows; ``missing_share`` is from 0 to 1."""

    name: str
    type: str
    count: int
    missing: int
    missing_share: float
    distinct: int | UnsetType = UNSET
    min: Figure | UnsetType = UNSET
    max: Figure | UnsetType = UNSET
    mean: Figure | UnsetType = UNSET
    std: Figure | UnsetType = UNSET
    variance: Figure | UnsetType = UNSET
    skew: Figure | UnsetType = UNSET
    kurtosis: Figure | UnsetType = UNSET
    zeros: int | UnsetType | None = UNSET
    negatives: int | UnsetType | None = UNSET
    quantiles: dict[str, Figure] | UnsetType = UNSET
    span_seconds: float | UnsetType | None = UNSET
    histogram: Histogram | UnsetType = UNSET
    true_share: float | UnsetType | None = UNSET
    min_length: int | UnsetType | None = UNSET
    max_length: int | UnsetType | None = UNSET
    empty: int | UnsetType | None = UNSET
    top: list[TopValue] | UnsetType = UNSET


class Correlation(msgspec.Struct, frozen=True):
    """``matrix[i][j]`` is the correlation of columns i and j; None where one of them does not vary."""

    method: str
    columns: list[str]
    matrix: list[list[float | None]]


class ProfileWarning(msgspec.Struct, frozen=True):
    """Something in the profile that deserves a look; ``column`` is None for the table."""

    code: str
    column: str | None
    message: str


class Estimates(msgspec.Struct, frozen=True, kw_only=True):
    """Which figures are estimates, and how far most of them (19 of 20) are off at most.

    ``share_error`` is a share of all rows: of those below a quantile, in a bin of a histogram or with a frequent value.
    ``distinct_error`` is relative. Rank correlations are those of the ``sample_rows``.
    """

    figures: list[str]
    sample_rows: int
    share_error: float
    distinct_error: float


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of a table. ``exact`` is False where figures are ``estimates``."""

    row_count: int
    column_count: int
    exact: bool = True
    estimates: Estimates | UnsetType = UNSET
    duplicate_rows: int
    columns: list[ColumnProfile]
    correlation: Correlation
    warnings: list[ProfileWarning]
