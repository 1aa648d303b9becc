"""Measured values as JSON has them."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

_LEAST, _MOST = -(2**63), 2**64 - 1


def json_value(value: Any) -> Any:
    """The value in a type of JSON: infinity and NaN are None, decimals, dates and times are text.

    So are whole numbers that need more than 64 bits, as decimals are: what carries a profile has no more.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal | datetime.timedelta) or (isinstance(value, int) and not _LEAST <= value <= _MOST):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value
