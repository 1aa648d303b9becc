"""The differences between two versions of a pipeline, as values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of both versions. ``changed`` and ``unchanged`` are rows of one key in both; without a key none changes."""

    before: int
    after: int
    added: int
    removed: int
    changed: int
    unchanged: int


class BeforeAfter(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a column in both versions; null if there is none."""

    before: float | None = None
    after: float | None = None


class ColumnDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How a column differs. ``changed`` are rows whose value changed; ``missing_share`` is of null and NaN.

    ``mean`` is that of numbers, ``psi`` the population stability index of the two profiles.
    """

    name: str
    change: Literal["added", "removed", "retyped"] | None
    type: str
    changed: int
    missing_share: BeforeAfter
    mean: BeforeAfter
    psi: float | None


class ChangedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that changed: its key, and the whole row in both versions."""

    key: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """The first rows that differ, in stored order."""

    added: list[dict[str, Any]]
    removed: list[dict[str, Any]]
    changed: list[ChangedRow]


class VersionDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The differences of ``version`` from the version ``against``. Without a ``key``, equal rows are paired."""

    pipeline: str
    version: int
    against: int
    key: list[str]
    rows: RowCounts
    columns: list[ColumnDiff]
    samples: Samples
