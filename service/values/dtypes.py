"""Column types by the names that users write, and back.

``int8``…``int64``, ``uint8``…``uint64``, ``float32``, ``float64``, ``decimal(p,s)``, ``string``, ``boolean``,
``date``, ``datetime`` and ``datetime[Europe/Berlin]``, ``time``, ``categorical``, ``enum(a,b)``, ``list(type)``.
Case and spaces in names do not matter; an enum's values keep theirs, and may be quoted if they contain a comma, a
bracket or outer spaces. Nesting is bounded, because a type nested thousands deep crashes the engine.

``name_of`` names every Polars type: those above in the form that ``parse`` reads, the others (structs, durations,
binary …) by their Polars names in lower case.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from typing import Any, cast

import polars as pl

from service.kit import errors

MAX_DEPTH = 16

_PLAIN: dict[str, Callable[[], pl.DataType]] = {
    "int8": pl.Int8,
    "int16": pl.Int16,
    "int32": pl.Int32,
    "int64": pl.Int64,
    "uint8": pl.UInt8,
    "uint16": pl.UInt16,
    "uint32": pl.UInt32,
    "uint64": pl.UInt64,
    "float32": pl.Float32,
    "float64": pl.Float64,
    "string": pl.String,
    "boolean": pl.Boolean,
    "date": pl.Date,
    "datetime": lambda: pl.Datetime("us"),
    "time": pl.Time,
    "categorical": pl.Categorical,
}

_ALIASES = {
    "int": "int64",
    "integer": "int64",
    "bigint": "int64",
    "float": "float64",
    "double": "float64",
    "str": "string",
    "text": "string",
    "varchar": "string",
    "utf8": "string",
    "bool": "boolean",
    "timestamp": "datetime",
    "category": "categorical",
    "numeric": "decimal(p,s)",
    "decimal": "decimal(p,s)",
    "enum": "enum(a,b)",
    "list": "list(type)",
}

_FORMS = ("decimal(p,s)", "datetime[timezone]", "enum(a,b)", "list(type)")
_BRACKETED = re.compile(r"(\w+)\s*([(\[])(.*)([)\]])", re.DOTALL)
_VALUE = re.compile(r"""\s*(?:"((?:[^"]|"")*)"|'((?:[^']|'')*)'|([^,"']*[^,]*?))\s*(?:,|$)""", re.DOTALL)


def parse(text: str) -> pl.DataType:
    """The Polars type of that name. Raises ``ValueError`` with what is wrong and a suggestion."""
    return _parse(text, 1)


def _parse(text: str, depth: int) -> pl.DataType:
    if depth > MAX_DEPTH:
        raise ValueError(f"the type is nested more than {MAX_DEPTH} deep")
    name = text.strip()
    plain = _PLAIN.get(name.lower())
    if plain is not None:
        return plain()
    match = _BRACKETED.fullmatch(name)
    if match is None:
        raise _unknown(name)
    kind, opening, inside, closing = match.group(1).lower(), match.group(2), match.group(3), match.group(4)
    if {"(": ")", "[": "]"}[opening] != closing:
        raise ValueError(f"'{_short(name)}' opens with '{opening}' and closes with '{closing}'")
    if kind == "list":
        return pl.List(_parse(inside, depth + 1))
    if kind == "decimal":
        return _decimal(inside)
    if kind == "datetime":
        return _datetime(inside)
    if kind == "enum":
        return _enum(inside)
    raise _unknown(name)


def _decimal(inside: str) -> pl.DataType:
    parts = [p.strip() for p in inside.split(",")]
    if len(parts) != 2 or not all(p.isascii() and p.isdigit() and len(p) <= 3 for p in parts):
        raise ValueError("write decimal(precision,scale) with two whole numbers, such as decimal(12,2)")
    precision, scale = int(parts[0]), int(parts[1])
    if not 1 <= precision <= 38 or scale > precision:
        raise ValueError("a decimal has a precision of 1 to 38 digits and a scale of 0 to its precision")
    return pl.Decimal(precision, scale)


def _datetime(inside: str) -> pl.DataType:
    zone = inside.strip().strip("'\"")
    known = zoneinfo.available_timezones()
    if zone not in known:
        raise ValueError(f"no time zone '{_short(zone)}'{errors.did_you_mean(zone, known)}; write datetime[UTC]")
    return pl.Datetime("us", zone)


def _enum(inside: str) -> pl.DataType:
    values: list[str] = []
    place = 0
    while place < len(inside):
        match = _VALUE.match(inside, place)
        if match is None:
            raise ValueError(f"enum values are separated by commas; cannot read '{_short(inside[place:])}'")
        double, single, bare = match.groups()
        if double is not None:
            values.append(double.replace('""', '"'))
        elif single is not None:
            values.append(single.replace("''", "'"))
        else:
            values.append(bare.strip())
        place = match.end()
    if not values or "" in values:
        raise ValueError("an enum needs its values, none of them empty: enum(small,large)")
    if len(set(values)) != len(values):
        twice = next(v for v in values if values.count(v) > 1)
        raise ValueError(f"the enum names the value '{_short(twice)}' twice")
    return pl.Enum(values)


def _unknown(name: str) -> ValueError:
    alias = _ALIASES.get(name.lower())
    everything = [*_PLAIN, *_FORMS]
    hint = f"; did you mean '{alias}'?" if alias else errors.did_you_mean(name.lower(), everything)
    return ValueError(f"unknown type '{_short(name)}'" + (hint or "; known are " + ", ".join(everything)))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def name_of(dtype: pl.DataType) -> str:
    """The name of a Polars type, in the form that ``parse`` reads if it has one."""
    match dtype:
        case pl.Decimal():
            return f"decimal({dtype.precision or 38},{dtype.scale})"
        case pl.Datetime():
            return f"datetime[{dtype.time_zone}]" if dtype.time_zone else "datetime"
        case pl.Enum():
            return f"enum({','.join(_quoted(v) for v in dtype.categories)})"
        case pl.List():
            return f"list({name_of(_instance(dtype.inner))})"
        case pl.Array():
            return f"array({name_of(_instance(dtype.inner))},{dtype.size})"
        case pl.Struct():
            inner = ", ".join(f"{f.name}: {name_of(_instance(f.dtype))}" for f in dtype.fields)
            return f"struct({inner})"
        case _:
            return str(dtype.base_type()).lower()


def _instance(dtype: Any) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else cast(pl.DataType, dtype())


def _quoted(value: str) -> str:
    if re.fullmatch(r"[^\s,()\[\]\"']([^,()\[\]\"']*[^\s,()\[\]\"'])?", value):
        return value
    return '"' + value.replace('"', '""') + '"'
