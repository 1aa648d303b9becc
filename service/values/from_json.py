"""JSON records as a table with a given schema; every value that does not fit is reported (``records[3].price``).

It accepts what the API returns in JSON: numbers, decimals as text or number, dates and times in ISO 8601, binary in
base64, lists and objects. A float may also be "NaN", "Infinity" or "-Infinity", which JSON cannot write as a number; a
duration is text such as 25:00:00.5, or a whole number in the unit of its column (mostly us). A datetime has an offset
exactly if its column has a time zone. Every record has every column; a missing value is null.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import itertools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import polars as pl

from service.kit import decoding, errors
from service.kit.errors import Problem
from service.values import dtypes

MOST_PROBLEMS = 50
_UNITS = {"ms": 3, "us": 6, "ns": 9}
_PER_SECOND = {3: 1_000, 6: 1_000_000, 9: 1_000_000_000}
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?)?")
_CLOCK = re.compile(r"(\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?")
_DURATION = re.compile(r"(-?)(\d{1,9}):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EXACT = Context(prec=100)
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
# A column of only these JSON types needs no check of each value.
_FAST: dict[type[pl.DataType], frozenset[type]] = {
    pl.String: frozenset({str, type(None)}),
    pl.Boolean: frozenset({bool, type(None)}),
    pl.Int64: frozenset({int, type(None)}),
    pl.Float64: frozenset({float, type(None)}),
}

Read = Callable[[Any], Any]


class Misfit(ValueError):
    """A value that does not fit; ``at`` is its path inside the column's value."""

    def __init__(self, message: str, at: str = "") -> None:
        super().__init__(message)
        self.at = at


def table(records: Sequence[Any], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The records as rows of ``schema``. Raises ``errors.Invalid`` that lists the values that do not fit."""
    values = _by_column(records, list(schema))
    problems = [] if values is not None else _shape(records, schema)
    columns: list[pl.Series] = []
    if values is not None:
        for (name, dtype), column in zip(schema.items(), values, strict=True):
            columns.append(_column(name, dtype, column, problems))
            if len(problems) >= MOST_PROBLEMS:
                break
    if problems:
        raise errors.Invalid.of(sorted(problems[:MOST_PROBLEMS], key=_record_number), "records")
    return pl.DataFrame(columns)


def _record_number(problem: Problem) -> int:
    match = re.match(r"records\[(\d+)\]", problem.field)
    return int(match[1]) if match else 0


def _by_column(records: Sequence[Any], names: list[str]) -> list[list[Any]] | None:
    """The values of each column; None if a record does not have exactly the columns."""
    if not all(isinstance(record, dict) and len(record) == len(names) for record in records):
        return None
    if not (records and names):
        return [[] for _ in names]
    try:
        if len(names) == 1:
            return [[record[names[0]] for record in records]]
        return list(map(list, zip(*map(operator.itemgetter(*names), records), strict=True)))
    except KeyError:
        return None


def _shape(records: Sequence[Any], schema: Mapping[str, pl.DataType]) -> list[Problem]:
    names = schema.keys()
    problems: list[Problem] = []
    for place, record in enumerate(records):
        if not isinstance(record, dict):
            problems.append(Problem(f"records[{place}]", "expected an object with a value for each column"))
        elif record.keys() != names:
            problems += [
                Problem(f"records[{place}].{n}", f"the data has no such column{errors.did_you_mean(n, names)}")
                for n in itertools.islice((n for n in record if n not in names), MOST_PROBLEMS)
            ]
            problems += [
                Problem(f"records[{place}].{n}", f"is missing; give {with_article(t)}, or null if it is unknown")
                for n, t in schema.items()
                if n not in record
            ]
        if len(problems) >= MOST_PROBLEMS:
            break
    return problems


def _column(name: str, dtype: pl.DataType, values: list[Any], problems: list[Problem]) -> pl.Series:
    if set(map(type, values)) <= _FAST.get(type(dtype), frozenset()):
        try:
            return pl.Series(name, values, dtype=dtype, strict=True)
        except (OverflowError, TypeError, pl.exceptions.PolarsError):
            pass  # a number out of range: the slow path names it
    read = _reader(dtype)
    converted: list[Any] = []
    for place, value in enumerate(values):
        try:
            converted.append(None if value is None else read(value))
        except Misfit as misfit:
            converted.append(None)
            problems.append(Problem(decoding.join(f"records[{place}].{name}", misfit.at), str(misfit)))
            if len(problems) >= MOST_PROBLEMS:
                break
    if problems:
        return pl.Series(name, [], dtype=dtype)
    return pl.Series(name, converted, dtype=_physical(dtype), strict=True).cast(dtype)


def with_article(dtype: pl.DataType) -> str:
    """The name of a type in a sentence: an int64, a string."""
    name = dtypes.name_of(dtype)
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def _physical(dtype: Any) -> Any:
    """The type that the values are read as before the cast to the column's type."""
    match dtype:
        case pl.Datetime() | pl.Duration() | pl.Time():
            return pl.Int64()
        case pl.Date():
            return pl.Int32()
        case pl.Categorical():
            return pl.String()
        case pl.List():
            return pl.List(_physical(dtype.inner))
        case pl.Array():
            return pl.Array(_physical(dtype.inner), dtype.size)
        case pl.Struct():
            return pl.Struct([pl.Field(f.name, _physical(f.dtype)) for f in dtype.fields])
    return dtype


def _reader(dtype: Any) -> Read:
    match dtype:
        case pl.String() | pl.Categorical():
            return _exactly(str, "text")
        case pl.Boolean():
            return _exactly(bool, "true or false")
        case pl.Enum():
            return _enum(dtype.categories.to_list())
        case pl.Date():
            return _date
        case pl.Datetime():
            return _datetime(_UNITS[dtype.time_unit or "us"], zoned=dtype.time_zone is not None)
        case pl.Time():
            return _time
        case pl.Duration():
            return _duration(_UNITS[dtype.time_unit or "us"])
        case pl.Decimal():
            return _decimal(dtype.precision or 38, dtype.scale)
        case pl.Binary():
            return _binary
        case pl.List():
            return _list(_reader(dtype.inner), None)
        case pl.Array():
            return _list(_reader(dtype.inner), dtype.size)
        case pl.Struct():
            return _struct({f.name: _reader(f.dtype) for f in dtype.fields})
        case pl.Null():
            return _nothing
    if dtype.is_float():
        return _float
    bits = int(re.sub(r"\D", "", type(dtype).__name__))
    return _int(0, 2**bits - 1) if dtype.is_unsigned_integer() else _int(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _exactly(kind: type, what: str) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise Misfit(f"expected {what}, got {_shown(value)}")
        return value

    return read


def _int(low: int, high: int) -> Read:
    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int:
            raise Misfit(f"expected a whole number, got {_shown(value)}")
        if not low <= value <= high:
            raise Misfit(f"{value} is out of range; the column holds {low} to {high}")
        return value

    return read


def _duration(digits: int) -> Read:
    """Units of 10**-``digits`` seconds, from such a number or from text as answers show it."""
    whole = _int(-(2**63), 2**63 - 1)

    def read(value: Any) -> Any:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return whole(value)
        sign, hours, minutes, seconds, fraction = match.groups(default="")
        if fraction[digits:].strip("0"):
            raise Misfit(f"{_shown(value)} has more than {digits} digits of a second")
        units = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 10**digits + int(
            fraction.ljust(digits, "0")[:digits]
        )
        return whole(-units if sign else units)

    return read


def _float(value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if type(value) not in (int, float):
        raise Misfit(f"expected a number, got {_shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise Misfit("the number is too large for a float") from None


def _decimal(precision: int, scale: int) -> Read:
    unit = Decimal(1).scaleb(-scale)

    def read(value: Any) -> Decimal:
        try:
            if type(value) not in (int, float, str):
                raise InvalidOperation
            number = Decimal(str(value))
            if not number.is_finite():
                raise InvalidOperation
            fitting = number.quantize(unit, context=_EXACT)
        except InvalidOperation:
            raise Misfit(f"expected a number, best as text, got {_shown(value)}") from None
        if fitting != number:
            raise Misfit(f"{number} has more than {scale} digits after the point")
        if number and number.adjusted() + 1 > precision - scale:
            raise Misfit(f"{number} has too many digits for a decimal({precision},{scale})")
        return fitting

    return read


def _enum(categories: list[str]) -> Read:
    known = frozenset(categories)

    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            hint = errors.did_you_mean(value, categories) if isinstance(value, str) else ""
            raise Misfit(f"{_shown(value)} is not one of the column's values{hint}")
        return value

    return read


def _date(value: Any) -> int:
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] is not None:
        raise Misfit(f"expected a date such as 2024-01-31, got {_shown(value)}")
    try:
        return (dt.date.fromisoformat(match[1]) - _EPOCH.date()).days
    except ValueError as error:
        raise Misfit(f"{_shown(value)}: {error}") from None


def _datetime(digits: int, *, zoned: bool) -> Read:
    form = "2024-01-31T10:00:00" + ("Z" if zoned else "")

    def read(value: Any) -> int:
        match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise Misfit(f"expected a date and time such as {form}, got {_shown(value)}")
        day, clock, fraction, offset = match.groups()
        if zoned != (offset is not None):
            which = "has a time zone: add the offset" if zoned else "has no time zone: leave the offset out"
            raise Misfit(f"the column {which}, such as {form}; got {_shown(value)}")
        try:
            moment = dt.datetime.fromisoformat(f"{day}T{clock or '00:00'}{offset or '+00:00'}")
        except ValueError as error:
            raise Misfit(f"{_shown(value)}: {error}") from None
        since = moment - _EPOCH
        return (since.days * 86_400 + since.seconds) * _PER_SECOND[digits] + _fraction(fraction, digits)

    return read


def _time(value: Any) -> int:
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Misfit(f"expected a time such as 10:00:00, got {_shown(value)}")
    try:
        clock = dt.time.fromisoformat(match[1])
    except ValueError as error:
        raise Misfit(f"{_shown(value)}: {error}") from None
    return (clock.hour * 3600 + clock.minute * 60 + clock.second) * 10**9 + _fraction(match[2], 9)


def _fraction(text: str | None, digits: int) -> int:
    """The digits after the second in units of 10^-digits."""
    text = (text or "").rstrip("0")
    if len(text) > digits:
        raise Misfit(f"more than {digits} digits after the second, which the column does not hold")
    return int(text.ljust(digits, "0"))


def _binary(value: Any) -> bytes:
    try:
        if not isinstance(value, str):
            raise TypeError
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise Misfit(f"expected text in base64, got {_shown(value)}") from None


def _list(read: Read, size: int | None) -> Read:
    def read_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Misfit(f"expected a list, got {_shown(value)}")
        if size is not None and len(value) != size:
            raise Misfit(f"expected a list of {size}, got {len(value)}")
        return [_inside(read, v, f"[{place}]") for place, v in enumerate(value)]

    return read_all


def _struct(fields: Mapping[str, Read]) -> Read:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Misfit(f"expected an object, got {_shown(value)}")
        for name in value:
            if name not in fields:
                raise Misfit(f"the column has no such field{errors.did_you_mean(name, fields)}", name)
        return {name: _inside(r, value.get(name), name) for name, r in fields.items()}

    return read


def _inside(read: Read, value: Any, at: str) -> Any:
    try:
        return None if value is None else read(value)
    except Misfit as misfit:
        raise Misfit(str(misfit), decoding.join(at, misfit.at)) from None


def _nothing(value: Any) -> None:
    raise Misfit("the column had no values when the version was made, so its type is unknown; give null")
