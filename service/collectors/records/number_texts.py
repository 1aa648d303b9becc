"""Number texts: JSON values as text, with every number exactly as the source writes it.

A decoder turns 1e2 into 100.0, -0 into 0 and 12345678901234567.89 into another number. So records whose numbers become
text are decoded a second time, by a decoder that keeps numbers as they are written; other records never are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import msgspec

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_MINUS_ZERO = b"-0"


def decode(record: bytes) -> Any:
    """A valid record with its numbers as ``msgspec.Raw``, which JSON writes again as they are."""
    return json.loads(record, parse_float=_raw, parse_int=_raw)


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


tolerant = msgspec.json.Decoder(float_hook=float)
"""Decodes numbers beyond the range of floats as infinite."""


def is_text(dtype: Any) -> bool:
    """Whether a column holds texts, or lists of texts."""
    return is_text(dtype.inner) if isinstance(dtype, pl.List) else dtype == pl.String


def as_text(value: Any, dtype: Any) -> Any:
    """A value of ``decode`` as a text, or as a list of texts (``dtype``): texts as they are, all others as JSON."""
    if value is None:
        return None
    if isinstance(dtype, pl.List):
        return [as_text(item, dtype.inner) for item in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def would_change(frame: pl.DataFrame, names: Collection[str], ndjson: bytes) -> bool:
    """Whether the source may write values of the columns ``names``, as Polars parsed them, in another way."""
    types = [frame.schema[name] for name in names if name in frame.schema]
    if any(dtype.is_float() or dtype.is_nested() for dtype in types):
        return True
    return any(dtype.is_integer() for dtype in types) and _MINUS_ZERO in ndjson


def is_infinite(value: Any) -> bool:
    """Whether a decoded value is, or holds, a number beyond the range of floats."""
    if isinstance(value, dict):
        return any(map(is_infinite, value.values()))
    return any(map(is_infinite, value)) if isinstance(value, list) else isinstance(value, float) and math.isinf(value)
