"""Lossless JSON encoding of Python values and Polars schemas.

Floats have as many digits as they need to be read back exactly; a value without a JSON type is an object with one key
that begins with ``$`` (``{"$date": "2024-02-29"}``, ``{"$float": "nan"}``). A time with a zone is its instant and the
zone's name. A type is its Polars name, or an object with one key if it has parameters.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
import zoneinfo
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

_WORD = 2**63


def encode(value: Any) -> Any:
    """``value`` in JSON types. Raises ``TypeError`` for a type that has no encoding."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -_WORD <= value < _WORD else {"$int": str(value)}
        case float():
            return value if math.isfinite(value) else {"$float": repr(value)}
        case Decimal():
            return {"$decimal": str(value)}
        case dt.datetime():
            if value.tzinfo is None:
                return {"$datetime": [value.isoformat(), None]}
            zone = value.tzinfo.key if isinstance(value.tzinfo, zoneinfo.ZoneInfo) else "UTC"
            return {"$datetime": [value.astimezone(dt.UTC).isoformat(), zone]}
        case dt.date():
            return {"$date": value.isoformat()}
        case dt.time():
            return {"$time": value.isoformat()}
        case dt.timedelta():
            return {"$timedelta": value // dt.timedelta(microseconds=1)}
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case list():
            return [encode(v) for v in value]
        case tuple():
            return {"$tuple": [encode(v) for v in value]}
        case Mapping():
            if all(isinstance(k, str) and not k.startswith("$") for k in value):
                return {k: encode(v) for k, v in value.items()}
            return {"$dict": [[encode(k), encode(v)] for k, v in value.items()]}
        case pl.Series():
            return encode(value.to_list())
    raise TypeError(f"a value of type {type(value).__name__} cannot be encoded")


def decode(encoded: Any) -> Any:
    """The inverse of ``encode`` (a series becomes a list). Raises ``ValueError`` for an unknown tag."""
    if isinstance(encoded, list):
        return [decode(v) for v in encoded]
    if not isinstance(encoded, dict):
        return encoded
    if not encoded:
        return {}
    key: str
    inner: Any
    key, inner = next(iter(encoded.items()))
    if not key.startswith("$"):
        return {k: decode(v) for k, v in encoded.items()}
    match key:
        case "$int":
            return int(inner)
        case "$float":
            return float(inner)
        case "$decimal":
            return Decimal(inner)
        case "$datetime":
            moment = dt.datetime.fromisoformat(inner[0])
            return moment if inner[1] is None else moment.astimezone(zoneinfo.ZoneInfo(inner[1]))
        case "$date":
            return dt.date.fromisoformat(inner)
        case "$time":
            return dt.time.fromisoformat(inner)
        case "$timedelta":
            return dt.timedelta(microseconds=inner)
        case "$bytes":
            return base64.b64decode(inner)
        case "$tuple":
            return tuple(decode(v) for v in inner)
        case "$dict":
            return {decode(k): decode(v) for k, v in inner}
    raise ValueError(f"unknown value tag '{key}'")


_SIMPLE: dict[str, type[pl.DataType]] = {
    t.__name__: t
    for t in (
        pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.UInt128,
        pl.Float16, pl.Float32, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Time, pl.Categorical, pl.Binary,
        pl.Null,
    )
}  # fmt: skip


def encode_schema(schema: Mapping[str, pl.DataType]) -> list[list[Any]]:
    """``[name, type]`` of every column."""
    return [[name, _encode_type(dtype)] for name, dtype in schema.items()]


def decode_schema(encoded: list[list[Any]]) -> pl.Schema:
    """The inverse of ``encode_schema``. Raises ``ValueError`` for a type without an encoding."""
    return pl.Schema({name: _decode_type(dtype) for name, dtype in encoded})


def _encode_type(dtype: Any) -> Any:
    match dtype:
        case pl.Datetime():
            return {"datetime": [dtype.time_unit, dtype.time_zone]}
        case pl.Duration():
            return {"duration": dtype.time_unit}
        case pl.Decimal():
            return {"decimal": [dtype.precision, dtype.scale]}
        case pl.Enum():
            return {"enum": dtype.categories.to_list()}
        case pl.List():
            return {"list": _encode_type(dtype.inner)}
        case pl.Array():
            return {"array": [_encode_type(dtype.inner), dtype.size]}
        case pl.Struct():
            return {"struct": [[f.name, _encode_type(f.dtype)] for f in dtype.fields]}
    name = dtype.base_type().__name__
    return name if name in _SIMPLE else {"other": str(dtype)}


def _decode_type(encoded: Any) -> pl.DataType:
    if isinstance(encoded, str):
        return _SIMPLE[encoded]()
    ((kind, inner),) = encoded.items()
    match kind:
        case "datetime":
            return pl.Datetime(inner[0], inner[1])
        case "duration":
            return pl.Duration(inner)
        case "decimal":
            return pl.Decimal(inner[0], inner[1])
        case "enum":
            return pl.Enum(inner)
        case "list":
            return pl.List(_decode_type(inner))
        case "array":
            return pl.Array(_decode_type(inner[0]), inner[1])
        case "struct":
            return pl.Struct([pl.Field(name, _decode_type(t)) for name, t in inner])
    raise ValueError(f"columns of type {inner} cannot be decoded")
