"""Every function that an expression may call, for every kind of argument, against DuckDB over edge values.

The same call is evaluated in a Polars plan and by a plain DuckDB connection over the same values. A value may be of a
wider type here, and a call may be refused; another value is a failure.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest

from service.engine import duckdb_types, row_sql
from service.expressions import functions

_HEIGHT = 48
_MOST_OVERLOADS = 12
NAN, INF = float("nan"), float("inf")
_TIMES = [
    dt.datetime(1, 1, 1),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
    None,
    dt.datetime(1970, 1, 1),
    dt.datetime(2000, 2, 29, 12, 30, 45, 123456),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
]
EDGES: dict[str, tuple[list[Any], pl.DataType]] = {
    "BOOLEAN": ([True, None, False], pl.Boolean()),
    "TINYINT": ([-128, 127, None, 0, 1, -1], pl.Int8()),
    "SMALLINT": ([-(2**15), 2**15 - 1, None, 0, 2], pl.Int16()),
    "INTEGER": ([-(2**31), 2**31 - 1, None, 0, 1, -2, 3], pl.Int32()),
    "BIGINT": ([-(2**63), 2**63 - 1, None, 0, 1, -2, 3, 2**53 + 1], pl.Int64()),
    "UTINYINT": ([0, 255, None, 1], pl.UInt8()),
    "USMALLINT": ([0, 2**16 - 1, None, 2], pl.UInt16()),
    "UINTEGER": ([0, 2**32 - 1, None, 3], pl.UInt32()),
    "UBIGINT": ([0, 2**64 - 1, None, 1, 2**63], pl.UInt64()),
    "FLOAT": ([0.0, -0.0, NAN, None, INF, -INF, 1.5, 16777217.0, -2.5], pl.Float32()),
    "DOUBLE": ([0.0, -0.0, NAN, None, INF, -INF, 0.1, 1e308, 5e-324, -2.5, 1e15 + 0.5], pl.Float64()),
    "DECIMAL": ([Decimal("0.00"), Decimal("-99999999.99"), None, Decimal("2.50"), Decimal("0.01")], pl.Decimal(10, 2)),
    "VARCHAR": (
        ["", "a", None, " b ", "Über", "e\u0301x", "🙂👩‍👩‍👧", "%_", "2024-02-29", "12", "a,b", '{"a": [1]}', "ẞß"],
        pl.String(),
    ),
    "BLOB": ([b"", b"\x00\xff", None, b"abc"], pl.Binary()),
    "DATE": ([t if t is None else t.date() for t in _TIMES], pl.Date()),
    "TIMESTAMP": (_TIMES, pl.Datetime("us")),
    "TIMESTAMP WITH TIME ZONE": (
        [t if t is None else t.replace(tzinfo=dt.UTC) for t in _TIMES],
        pl.Datetime("us", "UTC"),
    ),
    "TIME": ([dt.time(0), dt.time(23, 59, 59, 999999), None, dt.time(12, 30)], pl.Time()),
    "INTERVAL": (
        [dt.timedelta(0), dt.timedelta(days=-400, seconds=1), None, dt.timedelta(days=31, microseconds=7)],
        pl.Duration("us"),
    ),
    "BIGINT[]": ([[], [1], None, [3, None, 1, 1]], pl.List(pl.Int64())),
    "VARCHAR[]": ([[], [""], None, ["b", None, "a", "a"]], pl.List(pl.String())),
}
_LITERALS = {
    "part": ["'year'", "'decade'", "'week'", "'epoch'", "'microsecond'"],
    "format": ["'%Y-%m-%d %H:%M:%S.%f'", "'%d.%m.%y'"],
}
_CONSTANT = {"date_part": "part", "datepart": "part", "date_trunc": "part", "datetrunc": "part", "date_diff": "part",
             "datediff": "part", "date_sub": "part", "datesub": "part", "strftime": "format", "strptime": "format",
             "try_strptime": "format"}  # fmt: skip
_SAME = {
    "VARCHAR": "VARCHAR",
    "ANY": "VARCHAR",
    "T": "BIGINT",
    "ANY[]": "BIGINT[]",
    "T[]": "BIGINT[]",
    "ENUM": "VARCHAR",
}
_HEAVY = frozenset({"repeat", "lpad", "rpad", "bar", "range", "generate_series"})
"""What would make texts of 2^63 characters of edge values; they have calls of their own below."""


@functools.cache
def frame() -> pl.DataFrame:
    """Two columns of every type, in which edge values meet."""
    columns = []
    for kind, (values, dtype) in EDGES.items():
        for place, step in enumerate((1, 7, 11)):
            cycled = [values[(i * step + place) % len(values)] for i in range(_HEIGHT)]
            columns.append(pl.Series(_column(kind, place), cycled, dtype=dtype))
    return pl.DataFrame(columns)


def _column(kind: str, place: int) -> str:
    return f"{kind.lower().replace(' ', '_').replace('[]', '_list')}_{place}"


@functools.cache
def connection() -> duckdb.DuckDBPyConnection:
    """Plain DuckDB over the same values, nothing widened."""
    made = duckdb.connect(config={"threads": 1})
    made.execute("SET TimeZone = 'UTC'")
    handed = frame().select(duckdb_types.handed_over(n, t).alias(n) for n, t in frame().schema.items())
    made.register("batch", handed.to_arrow())
    read = ", ".join(duckdb_types.reading(n, n, t, wide=False) for n, t in frame().schema.items())
    made.execute(f"CREATE VIEW input AS SELECT {read} FROM batch")
    return made


@functools.cache
def overloads() -> dict[str, list[tuple[str, ...]]]:
    """Function to the kinds of its arguments, as DuckDB lists them."""
    rows = connection().execute(
        "SELECT DISTINCT lower(function_name), parameter_types FROM duckdb_functions() WHERE function_type = 'scalar'"
    )
    found: dict[str, list[tuple[str, ...]]] = {}
    for name, types in rows.fetchall():
        kinds = tuple(_SAME.get(str(t), str(t).split("(")[0]) for t in types)
        if name in functions.ROW and 0 < len(kinds) <= 3 and all(k in EDGES for k in kinds):
            found.setdefault(name, []).append(kinds)
    return found


def calls(name: str) -> Iterator[str]:
    constant = _LITERALS.get(_CONSTANT.get(name, ""), [])
    for kinds in sorted(set(overloads()[name]))[:_MOST_OVERLOADS]:
        arguments = [_column(kind, place) for place, kind in enumerate(kinds)]
        if not constant:
            yield f"{name}({', '.join(arguments)})"
        at = 1 if name.endswith(("strftime", "strptime")) else 0
        for literal in constant:
            yield f"{name}({', '.join([*arguments[:at], literal, *arguments[at + 1 :]])})"


OPERATORS = [
    f"{_column(kind, 0)} {sign} {_column(kind, 1)}"
    for sign, kinds in {
        "+": ["BIGINT", "TINYINT", "UBIGINT", "DOUBLE", "FLOAT", "DECIMAL"],
        "*": ["BIGINT", "INTEGER", "DOUBLE", "DECIMAL"],
        "-": ["BIGINT", "SMALLINT", "DOUBLE", "DATE", "TIMESTAMP"],
        "/": ["BIGINT", "TINYINT", "DOUBLE", "DECIMAL"],
        "//": ["BIGINT", "DOUBLE"],
        "%": ["BIGINT", "DOUBLE", "DECIMAL"],
        "**": ["BIGINT", "DOUBLE"],
        "&": ["BIGINT"],
        "=": list(EDGES),
        "<": list(EDGES),
        "IS DISTINCT FROM": list(EDGES),
        "||": ["VARCHAR", "BLOB"],
        "LIKE": ["VARCHAR"],
        "ILIKE": ["VARCHAR"],
        "SIMILAR TO": ["VARCHAR"],
        "AND": ["BOOLEAN"],
        "OR": ["BOOLEAN"],
    }.items()
    for kind in kinds
]
CASTS = [
    f"CAST({_column(kind, 0)} AS {target})"
    for kind in EDGES
    for target in ("VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "DECIMAL(18, 3)", "BOOLEAN", "DATE", "TIMESTAMP")
]
OTHERS = [
    "repeat(varchar_0, 3)",
    "lpad(varchar_0, 6, 'ab')",
    "rpad(varchar_0, 6, 'é')",
    "left(varchar_0, -1)",
    "substr(varchar_0, -2)",
    "substr(varchar_0, 2, 3)",
    "varchar_0[1:2]",
    "trim(varchar_0, 'a')",
    "round(bigint_0, -1)",
    "round(double_0, 2)",
    "round(decimal_0, 1)",
    "CASE WHEN boolean_0 THEN integer_0 ELSE 0.5 END",
    "coalesce(tinyint_0, bigint_0)",
    "greatest(double_0, 3)",
    "least(varchar_0, 'b')",
    "if(boolean_0, 1, 0)",
    "nullif(bigint_0, 3)",
    "extract(epoch FROM date_0)",
    "date_0 + INTERVAL 1 MONTH",
    "timestamp_0 - INTERVAL 1 SECOND",
    "date_0 + 1",
    "bigint_list_0[1]",
    "list_transform(bigint_list_0, lambda x: x + 1)",
    "varchar_0 IN ('a', NULL)",
    "bigint_0 BETWEEN 0 AND 5",
    "replace(varchar_0, '', '-')",
    "regexp_replace(varchar_0, '[a-z]', '_', 'g')",
    "strptime('01.02.69', '%d.%m.%y')",
    "timezone('Europe/Berlin', timestamp_0)",
    "NOT boolean_0",
    "-integer_0",
    "~bigint_0",
    "typeof(integer_0)",
    "CAST(tinyint_0 AS BIT)",
    "bigint_0 << 2",
    "integer_0 >> 1",
    "hex(integer_0)",
    "bin(tinyint_0)",
]


def compare(text: str) -> str | None:
    """What differs between the two, or None. ``try`` makes a row that fails null in both."""
    tried = f"try({text})"
    try:
        expression = row_sql.compiled(tried, frame().schema)
        mine = frame().select(x=expression.expr())
    except (ValueError, pl.exceptions.ComputeError):
        return None  # refused
    try:
        (kind,) = connection().sql(f"SELECT {tried} FROM input").types
        taken = duckdb_types.result(kind, "UTC").template.format(tried)
        theirs = [v for (v,) in connection().execute(f"SELECT CAST(try({taken}) AS VARCHAR) FROM input").fetchall()]
    except duckdb.Error:
        return None  # it counts in wider types here
    handed = mine.select(duckdb_types.handed_over("x", expression.dtype).alias("x"))
    cursor = connection().cursor()
    cursor.register("mine", handed.to_arrow())
    ours = [v for (v,) in cursor.execute("SELECT CAST(x AS VARCHAR) FROM mine").fetchall()]
    wider = kind.id in duckdb_types.INTEGERS
    bad = [
        (row, one, other)
        for row, (one, other) in enumerate(zip(ours, theirs, strict=True))
        if one != other and not (wider and other is None)
    ]
    return f"{text}: {expression.dtype} and {kind}: {bad[:3]}" if bad else None


@pytest.mark.parametrize("name", sorted(overloads()))
def test_a_function_answers_what_duckdb_answers(name: str) -> None:
    if name in _HEAVY:
        return
    differences = [found for call in itertools.islice(calls(name), 40) if (found := compare(call))]
    assert differences == []


@pytest.mark.parametrize("text", [*OPERATORS, *CASTS, *OTHERS])
def test_an_operator_or_cast_answers_what_duckdb_answers(text: str) -> None:
    assert compare(text) is None


def test_most_functions_are_compared() -> None:
    assert len(overloads()) > 250
