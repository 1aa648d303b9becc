"""How a value of each DuckDB type is written in each format, as SQL expressions.

DuckDB casts in parallel, before the rows leave it: each expression here turns one column into a type that the writer
of the format (Polars or Arrow) supports. ``None`` means: as it is.

JSON and NDJSON: integers of any size are integers, decimals are strings, dates and times ISO 8601 (the year before 0001
is 0000, and -0001 before that), timestamps with a time zone UTC with ``Z``, binary base64, MAP an object with string
keys; types without a JSON form (INTERVAL, BIT, UNION …) are DuckDB's own text. CSV is the same, with nested values as
JSON text, and with a ``'`` before a text that a spreadsheet would run as a formula. Arrow and Parquet keep types; a
type that they do not have is text.
"""

# ruff: noqa: S608 - SQL is this package's trade: names are quoted, texts of users pass the gate

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from duckdb import DuckDBPyConnection
from duckdb.sqltypes import DuckDBPyType

from service.sandbox.quoting import literal, quoted

Form = Callable[[str, DuckDBPyType, int], str | None]

_NAIVE = frozenset({"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"})
_JSON_AS_IS = frozenset(
    [
        "boolean",
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "hugeint",
        "float",
        "double",
        "decimal",
        "varchar",
        "uuid",
        "null",
    ]
)
_PLAIN = (_JSON_AS_IS | {"enum"}) - {"float"}  # which Python widens to a double
_MOMENTS = frozenset({"timestamp", "timestamp_s", "timestamp_ms", "date"})
_ENDS = frozenset({datetime.max, datetime.min, date.max, date.min})
_BINARY_AS_IS = _JSON_AS_IS | _NAIVE | {"timestamp with time zone", "date", "time", "time_ns", "blob", "enum"}
_NESTED = frozenset({"list", "array", "struct", "map", "tuple"})
# First characters that make a spreadsheet run a cell (OWASP), and their full-width twins.
FORMULA = "=+-@\t\r\n＝＋－＠"


def kind(type_: DuckDBPyType) -> str:
    """The type's id; MAP, STRUCT, TUPLE, UNION and ENUM without their members."""
    return str(type_.id).lower()


def children(type_: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """The members of a nested type: name and type; a list and an array have one."""
    return [(name, child) for name, child in type_.children if isinstance(child, DuckDBPyType)]


def _text(expression: str) -> str:
    return f"CAST({expression} AS VARCHAR)"


def _iso(expression: str) -> str:
    """A date or timestamp in ISO 8601, where DuckDB writes ``(BC)`` after early years."""
    year, text = f"year({expression})", f"replace(replace({_text(expression)}, ' (BC)', ''), ' ', 'T')"
    early = (
        f"printf('%s%04d%s', CASE WHEN {year} < 0 THEN '-' ELSE '' END, -{year}, substr({text}, strpos({text}, '-')))"
    )
    return f"(CASE WHEN {year} < 1 THEN {early} ELSE replace({_text(expression)}, ' ', 'T') END)"


def json_form(expression: str, type_: DuckDBPyType, depth: int = 0) -> str | None:
    """For JSON and NDJSON."""
    name = kind(type_)
    if name in _JSON_AS_IS:
        return None
    if name in _NAIVE or name == "date":
        return _iso(expression)
    if name == "timestamp with time zone":
        return _iso(f"({expression} AT TIME ZONE 'UTC')") + " || 'Z'"
    if name == "blob":
        return f"to_base64({expression})"
    return _nested(expression, type_, depth, json_form, keys_as_text=True) or (
        None if name in _NESTED else _text(expression)
    )


def is_plain(type_: DuckDBPyType) -> bool:
    """Whether the JSON text of such a value can be made of DuckDB's Python object of it (``moment_text``)."""
    name = kind(type_)
    if name in ("list", "struct"):
        return all(kind(c) in _PLAIN or (kind(c) in ("list", "struct") and is_plain(c)) for _, c in children(type_))
    return name in _PLAIN or is_moment(type_)


def is_moment(type_: DuckDBPyType) -> bool:
    """Whether such a value is a ``datetime`` or a ``date`` in Python, with all that it has in DuckDB."""
    return kind(type_) in _MOMENTS


def moment_text(value: Any) -> Any:
    """A ``datetime`` or ``date`` as ``json_form`` has it. Raises ``OverflowError`` for one that Python may not hold."""
    if value is None:
        return None
    if isinstance(value, str) or value in _ENDS:  # out of range, or infinite
        raise OverflowError
    text = value.isoformat()
    return text.rstrip("0") if "." in text else text


def json_column(expression: str, type_: DuckDBPyType) -> str | None:
    """For a column of JSON and NDJSON: as ``json_form``, but UHUGEINT is left to the encoder, as HUGEINT is."""
    return None if kind(type_) == "uhugeint" else json_form(expression, type_)


def binary_form(expression: str, type_: DuckDBPyType, depth: int = 0) -> str | None:
    """For Arrow and Parquet."""
    name = kind(type_)
    if name in _BINARY_AS_IS:
        return None
    if name == "interval":
        return _micros(expression)
    return _nested(expression, type_, depth, binary_form, keys_as_text=False) or (
        None if name in _NESTED else _text(expression)
    )


def _micros(expression: str) -> str:
    """An INTERVAL as microseconds, which the encoder makes a duration; a month has no number of microseconds."""
    months = f"datepart('month', {expression}) + datepart('year', {expression})"
    message = "an INTERVAL with months has no duration in Arrow and Parquet; CAST it AS VARCHAR"
    return f"CASE WHEN {months} <> 0 THEN error({literal(message)}) ELSE epoch_us({expression}) END"


def _stringly(expression: str, type_: DuckDBPyType, depth: int) -> str | None:
    """As JSON, with decimals as text: for values inside a JSON text."""
    name = kind(type_)
    if name == "decimal":
        return _text(expression)
    if name in ("float", "double"):  # JSON has no NaN and no infinities
        return f"CASE WHEN isfinite({expression}) THEN {expression} END"
    if name in _NESTED:
        return _nested(expression, type_, depth, _stringly, keys_as_text=True)
    return json_form(expression, type_, depth)


def csv_form(expression: str, type_: DuckDBPyType, *, escape_formulas: bool) -> str | None:
    """For CSV."""
    name = kind(type_)
    if name in _NESTED:
        inner = _nested(expression, type_, 0, _stringly, keys_as_text=True) or expression
        return f"CASE WHEN {expression} IS NOT NULL THEN CAST(to_json({inner}) AS VARCHAR) END"
    if name in ("hugeint", "uhugeint"):
        return _text(expression)
    form = json_form(expression, type_, 0)
    if name in ("varchar", "enum", "union") and escape_formulas:
        value = form or expression
        # Not IN: DuckDB turns a list of that length into a join, and a join does not keep the order of rows.
        starts = f"left({value}, 1) <> '' AND contains({literal(FORMULA)}, left({value}, 1))"
        return f"CASE WHEN {starts} THEN chr(39) || {value} ELSE {value} END"
    return form


def _nested(expression: str, type_: DuckDBPyType, depth: int, form: Form, *, keys_as_text: bool) -> str | None:
    """Apply ``form`` to the values inside; None if no value changes, or if the type is not nested."""
    name = kind(type_)
    if name in ("list", "array"):
        item = f"x{depth}"
        inner = form(item, children(type_)[0][1], depth + 1)
        if inner is None:
            return None
        values = f"CAST({expression} AS {children(type_)[0][1]}[])" if name == "array" else expression
        return f"list_transform({values}, lambda {item}: {inner})"
    if name in ("struct", "tuple"):
        return _struct(expression, type_, depth, form)
    if name == "map":
        (_, key), (_, value) = children(type_)
        item = f"x{depth}"
        inner_key = form(f"{item}.key", key, depth + 1)
        if keys_as_text and kind(key) != "varchar":
            inner_key = inner_key or _text(f"{item}.key")
        inner_value = form(f"{item}.value", value, depth + 1)
        if inner_key is None and inner_value is None:
            return None
        pair = f"struct_pack(k := {inner_key or item + '.key'}, v := {inner_value or item + '.value'})"
        entries = f"list_transform(map_entries({expression}), lambda {item}: {pair})"
        return f"CASE WHEN {expression} IS NOT NULL THEN map_from_entries({entries}) END"
    return None


def _struct(expression: str, type_: DuckDBPyType, depth: int, form: Form) -> str | None:
    fields: list[str] = []
    unnamed = kind(type_) == "tuple"
    changed = unnamed
    for position, (name, child) in enumerate(children(type_), start=1):
        value = f"struct_extract({expression}, {position if unnamed else literal(name)})"
        inner = form(value, child, depth)
        changed = changed or inner is not None
        # A tuple has no names; its positions are its keys.
        fields.append(f"{quoted(str(position) if unnamed else name)} := {inner or value}")
    if not changed:
        return None
    return f"CASE WHEN {expression} IS NOT NULL THEN struct_pack({', '.join(fields)}) END"


def unique(names: list[str]) -> list[str]:
    """Column names without repeats: ``a, a, b`` becomes ``a, a_1, b`` (any case)."""
    taken: set[str] = {n.casefold() for n in names}
    seen: set[str] = set()
    last: dict[str, int] = {}  # thousands of columns may have one name
    found: list[str] = []
    for name in names:
        number = last.get(name.casefold(), 0)
        new = f"{name}_{number}" if number else name
        while new.casefold() in seen or (number and new.casefold() in taken):
            number += 1
            new = f"{name}_{number}"
        last[name.casefold()] = number
        seen.add(new.casefold())
        found.append(new)
    return found


def select(
    select_sql: str, names: list[str], types: list[DuckDBPyType], form: Callable[[str, DuckDBPyType], str | None]
) -> str:
    """``select_sql`` with every column in its form, under unique names, in the order it had."""
    places = [f"c{i}" for i in range(len(names))]
    columns = ", ".join(
        f"{form(place, type_) or place} AS {quoted(name)}"
        for place, type_, name in zip(places, types, unique(names), strict=True)
    )
    return f"SELECT {columns} FROM ({select_sql}\n) AS q({', '.join(places)})"


def described(
    connection: DuckDBPyConnection, select_sql: str, parameters: object = None
) -> tuple[list[str], list[DuckDBPyType]]:
    """Names and types of a SELECT without executing it. Raises ``duckdb.Error`` if it does not bind."""
    probe = connection.sql(f"SELECT * FROM ({select_sql}\n) AS q LIMIT 0", params=parameters)
    return list(probe.columns), list(probe.dtypes)


def escaped(text: str) -> str:
    """``text``, with a leading ``'`` if a spreadsheet would run it as a formula."""
    return f"'{text}" if text[:1] in FORMULA and text else text
