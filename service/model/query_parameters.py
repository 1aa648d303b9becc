"""The parameters of saved queries: their types, and values of these types from texts.

A value travels as text: a request has it so, and it is converted where the query is answered.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from service.kit import errors
from service.kit.errors import Problem

Kind = Literal["string", "integer", "number", "decimal", "boolean", "date", "time", "datetime"]
Scalar = str | int | float | bool
_READ: dict[Kind, Callable[[str], Any]] = {
    "string": str, "date": date.fromisoformat, "time": time.fromisoformat, "datetime": datetime.fromisoformat,
    "integer": lambda text: msgspec.convert(text, int, strict=False),
    "number": lambda text: msgspec.convert(text, float, strict=False),
    "decimal": lambda text: msgspec.convert(text, Decimal, strict=False),
    "boolean": lambda text: msgspec.convert(text, bool, strict=False),
}  # fmt: skip
_SAMPLES: dict[Kind, str] = {
    "string": "", "integer": "1", "number": "1.5", "decimal": "1.5", "boolean": "true", "date": "2026-01-31",
    "time": "06:30:00", "datetime": "2026-01-31T06:30:00",
}  # fmt: skip
_MOST_INTEGER = 1 << 127
_MOST_DIGITS = 38
_MOST_CHARACTERS = 10_000
_PARTS_OF_MICROSECONDS = re.compile(r"[.,]\d{6}\d*[1-9]")


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parameter of a saved query, `$name` in its SQL.

    Without a value it has its `default`; without a default it is null, unless it is `required`.
    """

    type: Annotated[Kind, msgspec.Meta(description="What its values are.")]
    default: Annotated[Scalar, msgspec.Meta(description="The value if a request has none.")] | None = None
    required: Annotated[bool, msgspec.Meta(description="Whether every request must have a value.")] = False
    enum: Annotated[list[Scalar], msgspec.Meta(description="The values it may have.", min_length=1)] | None = None
    description: Annotated[str, msgspec.Meta(description="What it means.", max_length=1000)] = ""


def problems(name: str, parameter: Parameter) -> list[Problem]:
    """What is wrong with the definition of a parameter, each with its path below the saved query."""
    where, found = f"parameters.{name}", []
    listed = [(f"{where}.enum[{place}]", value) for place, value in enumerate(parameter.enum or [])]
    for field, value in [
        *listed,
        *([(f"{where}.default", parameter.default)] if parameter.default is not None else []),
    ]:
        try:
            _converted(text_of(value), parameter.type)
        except ValueError as error:
            found.append(Problem(field, str(error)))
    if parameter.required and parameter.default is not None:
        found.append(Problem(f"{where}.default", "a required parameter has no default"))
    if not found and parameter.default is not None and parameter.enum is not None and not _is_one_of(
        text_of(parameter.default), parameter
    ):  # fmt: skip
        found.append(Problem(f"{where}.default", "must be one of the values of enum"))
    return found


def values(parameters: Mapping[str, Parameter], given: Mapping[str, str]) -> dict[str, str | None]:
    """The values of a request as texts, with the defaults. Raises ``errors.Invalid`` naming every wrong parameter."""
    found: dict[str, str | None] = {}
    wrong: list[Problem] = []
    for name in given:
        if name not in parameters:
            known = f" (known: {', '.join(parameters)})" if parameters else ""
            wrong.append(Problem(name, f"unknown parameter{errors.did_you_mean(name, parameters)}{known}"))
    for name, parameter in parameters.items():
        text = given.get(name)
        found[name] = text if text is not None or parameter.default is None else text_of(parameter.default)
        if text is None:
            if parameter.required:
                wrong.append(Problem(name, f"is required ({parameter.type})"))
            continue
        try:
            _converted(text, parameter.type)
            if parameter.enum is not None and not _is_one_of(text, parameter):
                raise ValueError(f"expected one of {', '.join(map(text_of, parameter.enum))}, got '{text[:60]}'")
        except ValueError as error:
            wrong.append(Problem(name, str(error)))
    if wrong:
        raise errors.Invalid.of(wrong, "query string")
    return found


def samples(parameters: Mapping[str, Parameter]) -> dict[str, str]:
    """A value for each parameter, to bind the statement with."""
    found = {}
    for name, parameter in parameters.items():
        known = [parameter.default] if parameter.default is not None else parameter.enum
        found[name] = text_of(known[0]) if known else _SAMPLES[parameter.type]
    return found


def absent(parameters: Mapping[str, Parameter]) -> list[str]:
    """Those that are null where a request has no value for them."""
    return [name for name, parameter in parameters.items() if not parameter.required and parameter.default is None]


def kinds(parameters: Mapping[str, Parameter]) -> dict[str, Kind]:
    """The type of each parameter."""
    return {name: parameter.type for name, parameter in parameters.items()}


def converted(texts: Mapping[str, str | None], types: Mapping[str, Kind]) -> dict[str, Any]:
    """The values that texts mean; None stays. Raises ``ValueError``."""
    return {name: None if text is None else _converted(text, types[name]) for name, text in texts.items()}


def text_of(value: Scalar) -> str:
    """A value as a request writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _converted(text: str, kind: Kind) -> Any:
    if len(text) > _MOST_CHARACTERS or "\x00" in text:
        raise ValueError(f"must have at most {_MOST_CHARACTERS} characters, and no NUL")
    try:
        value = _READ[kind](text)
    except (msgspec.ValidationError, ValueError):
        raise ValueError(f"expected {kind}, got '{text[:60]}'") from None
    if kind == "integer" and not -_MOST_INTEGER <= value < _MOST_INTEGER:
        raise ValueError("must be an integer of at most 128 bits")
    if kind in ("number", "decimal") and not math.isfinite(value):
        raise ValueError(f"expected {kind}, got '{text[:60]}'")
    if kind == "decimal" and _digits(value) > _MOST_DIGITS:
        raise ValueError(f"must have at most {_MOST_DIGITS} digits")  # of more, DuckDB makes a floating-point number
    if kind in ("time", "datetime") and _PARTS_OF_MICROSECONDS.search(text):
        raise ValueError("must have at most six digits of a second")
    return value


def _digits(value: Decimal) -> int:
    """The digits that a type needs for a value, the zeros before and behind it included."""
    _, digits, exponent = value.as_tuple()
    places = int(exponent)
    return len(digits) + places if places > 0 else len(digits) if len(digits) >= -places else 1 - places


def _is_one_of(text: str, parameter: Parameter) -> bool:
    known = [_converted(text_of(value), parameter.type) for value in parameter.enum or []]
    return _converted(text, parameter.type) in known
