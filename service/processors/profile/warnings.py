"""Warnings of a profile: ``[{"code", "column", "message"}]``, in the order of the columns.

The thresholds are rules of thumb, chosen so that tidy data has no warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

MOSTLY_MISSING = 0.5
HIGH_CARDINALITY = (50, 0.5)
"""More distinct texts than this, and more than this share of the values."""
STRONG = 0.9
SKEWED = 2.0
MIXED = 0.02
"""A format counts from this share of the values."""


def collect(profile: Mapping[str, Any], forms: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """The warnings of a profile; ``forms`` has for each text column the number of values by format."""
    warnings: list[dict[str, Any]] = []
    for column in profile["columns"]:
        for code, message in _of(column, forms.get(column["name"], {})):
            warnings.append({"code": code, "column": column["name"], "message": message})
    names, matrix = profile["correlation"]["columns"], profile["correlation"]["matrix"]
    for (i, a), (j, b) in combinations(enumerate(names), 2):
        value = matrix[i][j]
        if value is not None and abs(value) >= STRONG:
            message = f"'{a}' and '{b}' have a correlation of {value:.3f}; one of them may be redundant"
            warnings.append({"code": "strong_correlation", "column": a, "message": message})
    return warnings


def _of(column: Mapping[str, Any], forms: Mapping[str, int]) -> list[tuple[str, str]]:
    name, count, missing = column["name"], column["count"], column["missing"]
    warnings: list[tuple[str, str]] = []
    if missing and not count:
        return [("empty", f"'{name}' has no values")]
    if column["missing_share"] > MOSTLY_MISSING:
        warnings.append(("mostly_missing", f"'{name}' is missing in {column['missing_share']:.0%} of the rows"))
    distinct = column.get("distinct")
    if distinct == 1 and count > 1:
        warnings.append(("constant", f"'{name}' has only one value"))
    if distinct and "top" in column and distinct > HIGH_CARDINALITY[0] and distinct > HIGH_CARDINALITY[1] * count:
        warnings.append(("high_cardinality", f"'{name}' has {distinct} different texts in {count} values"))
    skew = column.get("skew")
    if skew is not None and abs(skew) >= SKEWED:
        side = "right" if skew > 0 else "left"
        warnings.append(("skewed", f"'{name}' has a long tail to the {side} (skewness {skew:.1f})"))
    seen = sum(forms.values())
    if seen:
        often = [form for form, n in forms.items() if n / seen >= MIXED and n > 1]
        if len(often) > 1:
            warnings.append(("mixed_formats", f"'{name}' holds several formats: {', '.join(sorted(often))}"))
    return warnings
