"""Measured values as JSON has them."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any


def json_value(value: Any) -> Any:
    """The value in a type of JSON: infinity and NaN are None, decimals, dates and times are text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal | datetime.timedelta):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value
