"""Profile: the statistics of a table at one place of a pipeline. A field that does not apply to a type is absent."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class Histogram(msgspec.Struct, frozen=True):
    """Equal bins: one edge more than counts. Edges of times are seconds since 1970. Both are empty without values."""

    edges: list[Any]
    counts: list[int]


class TopValue(msgspec.Struct, frozen=True):
    """A frequent text and how often it occurs."""

    value: Any
    count: int


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One column. ``count`` leaves missing values out; ``missing_share`` and ``true_share`` are between 0 and 1.

    Statistics without any value are null. Decimals are text, dates and times are ISO 8601.
    """

    name: str
    type: str
    count: int
    missing: int
    missing_share: float
    distinct: int | UnsetType = UNSET
    min: Any = UNSET
    max: Any = UNSET
    mean: Any = UNSET
    std: Any = UNSET
    variance: Any = UNSET
    skew: Any = UNSET
    kurtosis: Any = UNSET
    zeros: Any = UNSET
    negatives: Any = UNSET
    quantiles: dict[str, Any] | UnsetType = UNSET
    span_seconds: float | UnsetType | None = UNSET
    histogram: Histogram | UnsetType = UNSET
    true_share: float | UnsetType | None = UNSET
    min_length: int | UnsetType | None = UNSET
    max_length: int | UnsetType | None = UNSET
    empty: int | UnsetType | None = UNSET
    top: list[TopValue] | UnsetType = UNSET


class Correlation(msgspec.Struct, frozen=True):
    """The coefficients (-1 to 1, null without a result) of all pairs of ``columns``, row by row."""

    method: str
    columns: list[str]
    matrix: list[list[float | None]]


class ProfileWarning(msgspec.Struct, frozen=True):
    """A trait that deserves a look; ``column`` is null where it concerns the whole table."""

    code: str
    column: str | None
    message: str


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One table: row and column counts, duplicate rows, its columns and their correlation."""

    row_count: int
    column_count: int
    exact: bool = True
    duplicate_rows: int
    columns: list[ColumnProfile]
    correlation: Correlation
    warnings: list[ProfileWarning] = []
