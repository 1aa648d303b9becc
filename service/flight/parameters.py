"""The parameters of prepared statements: which ones a statement has, and their values from an Arrow record batch.

Values reach the service as JSON. A type that JSON does not have travels as text, with a CAST around its placeholder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow.types as types
from pyarrow import lib
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import TokenType

from service.flight.errors import Refused
from service.flight.statements import Statement

_MOST = 10_000
_MOST_DIGITS = 38

_QUESTION_MARKS = {TokenType.PLACEHOLDER, TokenType.QDCOLON}  # ? and ?::


class Placeholder(NamedTuple):
    """A ``?``, ``$1`` or ``$name`` from ``start`` to ``end`` in the text of a statement; ``name`` is None for ``?``."""

    start: int
    end: int
    name: str | None


def placeholders(sql: str) -> list[Placeholder]:
    """The placeholders of a statement in their order; none for a text that cannot be read."""
    try:
        found = list(DuckDB().tokenize(sql))
    except TokenError:
        return []
    places = []
    for token, following in zip(found, [*found[1:], None], strict=True):
        if token.token_type in _QUESTION_MARKS:
            places.append(Placeholder(token.start, token.start + 1, None))
        elif token.token_type == TokenType.PARAMETER and following and following.start == token.end + 1:
            places.append(Placeholder(token.start, following.end + 1, following.text))
    return places


def names(places: list[Placeholder]) -> list[str]:
    """The parameters, each once: the numbers from 1 of ``?`` and ``$1``, or names. Raises ``Refused`` for too many."""
    if any(place.name is None for place in places):
        known = [str(number) for number in range(1, len(places) + 1)]
    else:
        known = list(dict.fromkeys(place.name for place in places if place.name is not None))
        if all(name.isdigit() for name in known):
            most = max(map(int, known), default=0)
            known = [str(number) for number in range(1, min(most, _MOST + 1) + 1)]
    if len(known) > _MOST:
        raise Refused(f"a statement takes {_MOST} parameters at most")
    return known


def bound(statement: Statement, values: lib.Table) -> Statement:
    """The statement with the values of one row: by name if the columns have the names, else in their order.

    They take the place of those that it had.

    Raises ``Refused`` for another number of rows or values, and for values that SQL does not have.
    """
    sql = statement.prepared or statement.sql
    places = placeholders(sql)
    wanted = names(places)
    if values.num_rows != 1:
        raise Refused(f"a SELECT takes one row of parameters; {values.num_rows} rows were bound")
    if values.num_columns != len(wanted):
        raise Refused(f"the statement has {len(wanted)} parameters; {values.num_columns} values were bound")
    by_name = set(values.schema.names) == set(wanted)
    given: dict[str, Any] = {}
    kinds: dict[str, str | None] = {}
    for place, name in enumerate(wanted):
        column = values.column(name if by_name else place).combine_chunks()
        try:
            given[name], kinds[name] = _value(column)
        except lib.ArrowException as error:
            raise Refused(f"parameter {name}: {error}") from None
    numbered = all(name.isdigit() for name in wanted)
    text = _with_casts(sql, places, kinds)
    return Statement(text, list(given.values()) if numbered else given, sql if text != sql else None)


def _with_casts(sql: str, places: list[Placeholder], kinds: dict[str, str | None]) -> str:
    """The statement with each placeholder cast to the type of its value, if that is not one of JSON."""
    found, end = [], 0
    for number, place in enumerate(places, 1):
        kind = kinds.get(place.name or str(number))
        if kind is not None:
            found += [sql[end : place.start], f"CAST({sql[place.start : place.end]} AS {kind})"]
            end = place.end
    return "".join([*found, sql[end:]])


def _value(column: lib.Array) -> tuple[Any, str | None]:
    """A value of JSON, and the SQL type that it is cast to, if any. Raises ``lib.ArrowInvalid``."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    for matches, convert, sql_type in _CONVERSIONS:
        if matches(kind):
            value = convert(column) if not column.null_count else None
            if isinstance(value, float) and not math.isfinite(value):
                return str(value), "DOUBLE"
            return value, sql_type and sql_type.format(kind=kind)
    raise lib.ArrowInvalid(f"values of the type {kind} are not taken")


def _text(exact: lib.DataType | None = None) -> Callable[[lib.Array], str]:
    """The text of a value. Digits that ``exact`` does not have are an error."""
    return lambda column: str((column if exact is None else column.cast(exact)).cast(lib.string())[0].as_py())


def _plain(column: lib.Array) -> Any:
    return column[0].as_py()


def _bytes(column: lib.Array) -> str:
    return "".join(f"\\x{byte:02X}" for byte in column[0].as_py())


def _microseconds(column: lib.Array) -> str:
    return f"{column.cast(lib.duration('us')).cast(lib.int64())[0]} microseconds"


def _any_of(*checks: Callable[[lib.DataType], bool]) -> Callable[[lib.DataType], bool]:
    return lambda kind: any(check(kind) for check in checks)


def _is_decimal(kind: lib.DataType) -> bool:
    return bool(types.is_decimal(kind)) and kind.precision <= _MOST_DIGITS


_CONVERSIONS: list[tuple[Callable[[lib.DataType], bool], Callable[[lib.Array], Any], str | None]] = [
    (
        _any_of(types.is_integer, types.is_boolean, types.is_floating, types.is_string,
                types.is_large_string, types.is_null),
        _plain, None,
    ),
    (_any_of(types.is_binary, types.is_large_binary, types.is_fixed_size_binary), _bytes, "BLOB"),
    (types.is_date, _text(), "DATE"),
    (types.is_time, _text(lib.time64("us")), "TIME"),
    (lambda kind: types.is_timestamp(kind) and kind.tz is None, _text(lib.timestamp("us")), "TIMESTAMP"),
    (types.is_timestamp, _text(lib.timestamp("us", "UTC")), "TIMESTAMPTZ"),
    (types.is_duration, _microseconds, "INTERVAL"),
    (_is_decimal, _text(), "DECIMAL({kind.precision},{kind.scale})"),
]  # fmt: skip


def nulls(wanted: list[str]) -> list[Any] | dict[str, Any] | None:
    """A null for each parameter, to bind a statement whose values are not known yet."""
    if not wanted:
        return None
    return [None] * len(wanted) if all(name.isdigit() for name in wanted) else dict.fromkeys(wanted)
