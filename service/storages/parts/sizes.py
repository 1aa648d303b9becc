"""Sizes, in rows: what is read at once, and how large the parts of a version are."""

from __future__ import annotations

from service.values.version_mode import VersionMode

CHUNK = 262_144
"""Read at once."""
ROW_GROUP = CHUNK // 2
"""DuckDB reads whole row groups for a page or a top-N, and gives each to one thread."""
HELD = 500_000
"""Rows of a batch that are held in memory at once."""
SMALLEST, LARGEST_MERGED, LARGEST = 10_000, 100_000, 1_000_000
MOST_SMALL = 64
"""Small parts of a version, before neighbours are written together."""


def of_a_part(mode: VersionMode, rows: int) -> int:
    """How many rows a new part gets, in a version of ``rows`` rows.

    A merge rewrites the parts with changed keys, so that these are small: a hundredth of the version. Thousands of
    files would be slow to open.
    """
    if mode.mode != "merge":
        return LARGEST
    return max(min(max(rows // 100, SMALLEST), LARGEST_MERGED), rows // 500)
