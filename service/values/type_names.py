"""Type names as users write them, read without an engine.

``int8``…``int64``, ``uint8``…``uint64``, ``float32``, ``float64``, ``decimal(p,s)``, ``string``, ``boolean``,
``date``, ``datetime`` and ``datetime[Europe/Berlin]``, ``time``, ``categorical``, ``enum(a,b)``, ``list(type)``.
Case and spaces in names do not matter; an enum's values keep theirs, and may be quoted if they contain a comma, a
bracket or outer spaces. Nesting is bounded, because a type nested thousands deep crashes the engine.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass

from service.kit import errors

MAX_DEPTH = 16

PLAIN = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "string", "boolean",
    "date", "datetime", "time", "categorical",
)  # fmt: skip
"""The names of types without parameters."""

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


@dataclass(frozen=True)
class TypeName:
    """A type: its ``kind`` (a name in ``PLAIN``, or decimal, enum, list) and the parameters that the kind has."""

    kind: str
    precision: int = 0
    scale: int = 0
    zone: str | None = None
    values: tuple[str, ...] = ()
    inner: TypeName | None = None


def read(text: str) -> TypeName:
    """The type that ``text`` names. Raises ``ValueError`` with what is wrong and a suggestion."""
    return _read(text, 1)


def _read(text: str, depth: int) -> TypeName:
    if depth > MAX_DEPTH:
        raise ValueError(f"the type is nested more than {MAX_DEPTH} deep")
    name = text.strip()
    if name.lower() in PLAIN:
        return TypeName(name.lower())
    match = _BRACKETED.fullmatch(name)
    if match is None:
        raise _unknown(name)
    kind, opening, inside, closing = match.group(1).lower(), match.group(2), match.group(3), match.group(4)
    if {"(": ")", "[": "]"}[opening] != closing:
        raise ValueError(f"'{_short(name)}' opens with '{opening}' and closes with '{closing}'")
    if kind == "list":
        return TypeName("list", inner=_read(inside, depth + 1))
    if kind == "decimal":
        return _decimal(inside)
    if kind == "datetime":
        return _datetime(inside)
    if kind == "enum":
        return _enum(inside)
    raise _unknown(name)


def _decimal(inside: str) -> TypeName:
    parts = [p.strip() for p in inside.split(",")]
    if len(parts) != 2 or not all(p.isascii() and p.isdigit() and len(p) <= 3 for p in parts):
        raise ValueError("write decimal(precision,scale) with two whole numbers, such as decimal(12,2)")
    precision, scale = int(parts[0]), int(parts[1])
    if not 1 <= precision <= 38 or scale > precision:
        raise ValueError("a decimal has a precision of 1 to 38 digits and a scale of 0 to its precision")
    return TypeName("decimal", precision=precision, scale=scale)


def _datetime(inside: str) -> TypeName:
    zone = inside.strip().strip("'\"")
    known = zoneinfo.available_timezones()
    if zone not in known:
        raise ValueError(f"no time zone '{_short(zone)}'{errors.did_you_mean(zone, known)}; write datetime[UTC]")
    return TypeName("datetime", zone=zone)


def _enum(inside: str) -> TypeName:
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
    return TypeName("enum", values=tuple(values))


def _unknown(name: str) -> ValueError:
    alias = _ALIASES.get(name.lower())
    everything = [*PLAIN, *_FORMS]
    hint = f"; did you mean '{alias}'?" if alias else errors.did_you_mean(name.lower(), everything)
    return ValueError(f"unknown type '{_short(name)}'" + (hint or "; known are " + ", ".join(everything)))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
