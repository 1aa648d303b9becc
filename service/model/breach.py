"""A breach: a bound of ``publish_if`` that the version of a run broke."""

from __future__ import annotations

from typing import Literal

import msgspec

Measure = Literal["row_drop_share", "row_growth_share", "schema_break", "drift"]


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A measure that exceeds its bound. ``value`` is null if it cannot be measured; ``column`` is that of a drift.

    Shares are of the rows of the version before; a schema break counts columns that were removed or have another type.
    """

    measure: Measure
    column: str | None = None
    value: float | None
    bound: float
    message: str
