"""Lossless: Python values as JSON and back without a loss, and Polars schemas the same way.

Floats are written with as many digits as bring them back; what JSON has no word for is an object with one key that
begins with ``$`` (``{"$date": "2024-02-29"}``, ``{"$float": "nan"}``). Times with a zone are their instant and the
zone's name. A type is its Polars name, or an object with one key where it has parts.
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


def plain(value: Any) -> Any:
    """``value`` in what JSON has. Raises ``TypeError`` for a type that has no form here."""
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
            return [plain(v) for v in value]
        case tuple():
            return {"$tuple": [plain(v) for v in value]}
        case Mapping():
            if all(isinstance(k, str) and not k.startswith("$") for k in value):
                return {k: plain(v) for k, v in value.items()}
            return {"$dict": [[plain(k), plain(v)] for k, v in value.items()]}
        case pl.Series():
            return plain(value.to_list())
    raise TypeError(f"an answer of type {type(value).__name__} cannot be kept")


def value(kept: Any) -> Any:
    """What ``plain`` was given (a series comes back as a list). Raises ``ValueError`` for an unknown form."""
    if isinstance(kept, list):
        return [value(v) for v in kept]
    if not isinstance(kept, dict):
        return kept
    if not kept:
        return {}
    key: str
    inner: Any
    key, inner = next(iter(kept.items()))
    if not key.startswith("$"):
        return {k: value(v) for k, v in kept.items()}
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
            return tuple(value(v) for v in inner)
        case "$dict":
            return {value(k): value(v) for k, v in inner}
    raise ValueError(f"no value has the form '{key}'")


_PLAIN: dict[str, type[pl.DataType]] = {
    t.__name__: t
    for t in (
        pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.UInt128,
        pl.Float16, pl.Float32, pl.Float64, pl.String, pl.Boolean, pl.Date, pl.Time, pl.Categorical, pl.Binary,
        pl.Null,
    )
}  # fmt: skip


def plain_schema(schema: Mapping[str, pl.DataType]) -> list[list[Any]]:
    """``[name, type]`` of every column."""
    return [[name, _plain_type(dtype)] for name, dtype in schema.items()]


def schema(kept: list[list[Any]]) -> pl.Schema:
    """The schema that ``plain_schema`` was given. Raises ``ValueError`` where a type has no form."""
    return pl.Schema({name: _type(dtype) for name, dtype in kept})


def _plain_type(dtype: Any) -> Any:
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
            return {"list": _plain_type(dtype.inner)}
        case pl.Array():
            return {"array": [_plain_type(dtype.inner), dtype.size]}
        case pl.Struct():
            return {"struct": [[f.name, _plain_type(f.dtype)] for f in dtype.fields]}
    name = dtype.base_type().__name__
    return name if name in _PLAIN else {"other": str(dtype)}


def _type(kept: Any) -> pl.DataType:
    if isinstance(kept, str):
        return _PLAIN[kept]()
    ((kind, inner),) = kept.items()
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
            return pl.List(_type(inner))
        case "array":
            return pl.Array(_type(inner[0]), inner[1])
        case "struct":
            return pl.Struct([pl.Field(name, _type(t)) for name, t in inner])
    raise ValueError(f"columns of type {inner} cannot be given from outside")
