"""Polars' types and DuckDB's: how a column is handed over, how SQL reads it, and what a result becomes.

Whole numbers of fewer than 64 bits are read as BIGINT, so that they count in 64 bits; as they are only where a function
takes no BIGINT. Durations are handed over as
whole ticks and read as INTERVAL. Of a result, HUGEINT becomes BIGINT (an error where it does not fit), INTERVAL a
duration, and what no column can hold its text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl
from duckdb.sqltypes import DuckDBPyType

from service.sandbox.quoting import literal, quoted
from service.values import dtypes

_SMALL = (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32)
_PLAIN: dict[str, pl.DataType] = {
    "boolean": pl.Boolean(),
    "tinyint": pl.Int8(),
    "smallint": pl.Int16(),
    "integer": pl.Int32(),
    "bigint": pl.Int64(),
    "utinyint": pl.UInt8(),
    "usmallint": pl.UInt16(),
    "uinteger": pl.UInt32(),
    "ubigint": pl.UInt64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "date": pl.Date(),
    "time": pl.Time(),
    "blob": pl.Binary(),
    "timestamp": pl.Datetime("us"),
    "timestamp_ns": pl.Datetime("ns"),
    "time_ns": pl.Time(),
}
_CHANGED: dict[str, tuple[str, pl.DataType]] = {
    "hugeint": ("BIGINT", pl.Int64()),
    "uhugeint": ("BIGINT", pl.Int64()),
    "timestamp_s": ("TIMESTAMP", pl.Datetime("us")),
    "timestamp_ms": ("TIMESTAMP", pl.Datetime("us")),
    "uuid": ("VARCHAR", pl.String()),
    "bit": ("VARCHAR", pl.String()),
    "enum": ("VARCHAR", pl.String()),
    "null": ("INTEGER", pl.Int32()),
    "sqlnull": ("INTEGER", pl.Int32()),
}
INTEGERS = frozenset({"tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger"})
"""Ids of the whole numbers of fewer than 64 bits."""


def physical(dtype: pl.DataType) -> pl.DataType:
    """The type that a column is handed over in. Raises ``ValueError`` for types that SQL cannot read."""
    match dtype:
        case pl.Categorical() | pl.Enum():
            return pl.String()
        case pl.Duration():
            return pl.Int64()
        case pl.Int128() | pl.UInt128():
            return pl.Decimal(38, 0)
        case pl.List():
            return pl.List(physical(_instance(dtype.inner)))
        case pl.Array():
            return pl.Array(physical(_instance(dtype.inner)), dtype.size)
        case pl.Struct():
            return pl.Struct({f.name: physical(_instance(f.dtype)) for f in dtype.fields})
        case pl.Object():
            raise ValueError(f"SQL cannot read a column of type {dtypes.name_of(dtype)}")
        case _:
            return dtype


def handed_over(name: str, dtype: pl.DataType) -> pl.Expr:
    """The column in its ``physical`` type."""
    column = pl.col(name)
    if isinstance(dtype, pl.Duration):
        return column.to_physical()
    wanted = physical(dtype)
    return column if wanted == dtype else column.cast(wanted)


def reading(source: str, name: str, dtype: pl.DataType, *, wide: bool = True, guarded: bool = False) -> str:
    """The SQL that reads the column ``source``, which was handed over, as the column ``name``.

    ``wide`` makes whole numbers BIGINT. A value with nanoseconds is an error where its type has none in SQL, and in a
    ``guarded`` column.
    """
    column = quoted(source)
    match dtype:
        case pl.Duration():
            column = _duration(column, name, dtype)
        case pl.Time():
            column = _without_nanoseconds(column, name, f"nanosecond({column})", f"CAST({column} AS TIME)", "string")
        case pl.Datetime() if dtype.time_unit == "ns" and dtype.time_zone:
            kept, other = f"CAST({column} AS TIMESTAMPTZ)", f"datetime[{dtype.time_zone}], which cuts them, or string"
            column = _without_nanoseconds(column, name, f"epoch_ns({column})", kept, other)
        case pl.Datetime() if dtype.time_unit == "ns" and guarded:
            other = "datetime, which cuts them, or write make_timestamp_ns(epoch_ns(x) + nanoseconds)"
            column = _without_nanoseconds(column, name, f"epoch_ns({column})", column, other)
        case pl.Datetime() if dtype.time_unit == "ms" and not dtype.time_zone:
            column = f"CAST({column} AS TIMESTAMP)"
        case _ if wide and isinstance(dtype, _SMALL):
            column = f"CAST({column} AS BIGINT)"
    return f"{column} AS {quoted(name)}"


def _duration(ticks: str, name: str, dtype: pl.Duration) -> str:
    """Whole ticks as INTERVAL."""
    if dtype.time_unit == "ms":
        return f"to_microseconds({ticks} * 1000)"
    if dtype.time_unit == "us":
        return f"to_microseconds({ticks})"
    return _without_nanoseconds(ticks, name, ticks, f"to_microseconds({ticks} // 1000)", "decimal(38,9), as seconds")


def _without_nanoseconds(column: str, name: str, nanoseconds: str, kept: str, other: str) -> str:
    """``kept``; an error for a value that it would change. ``other`` is what a cleaner's cast may make of it before."""
    begin = literal(f"column '{name}': ")
    end = literal(f" has nanoseconds, and SQL counts in microseconds here; cast it before, to {other}")
    message = f"{begin} || CAST({column} AS VARCHAR) || {end}"
    return f"CASE WHEN {nanoseconds} % 1000 <> 0 THEN error({message}) ELSE {kept} END"


def restorable(made: pl.DataType, source: pl.DataType) -> bool:
    """Whether a column that went through as it is can have its own type back without losing anything."""
    if made == source or isinstance(source, pl.Null | pl.Int128 | pl.UInt128):
        return False
    return not source.is_nested() or isinstance(source, pl.Array)


def same(kinds: Iterable[DuckDBPyType], types: Iterable[pl.DataType]) -> bool:
    """Whether DuckDB reads columns in the types that they are expected to be handed over in."""
    return all(_same(kind, dtype) for kind, dtype in zip(kinds, types, strict=True))


def _same(kind: DuckDBPyType, dtype: pl.DataType) -> bool:
    match dtype:
        case pl.Time():
            return kind.id in ("time", "time_ns")
        case pl.Datetime() if dtype.time_zone:
            return kind.id == ("timestamptz_ns" if dtype.time_unit == "ns" else "timestamp with time zone")
        case pl.Datetime():
            return kind.id in ("timestamp_ns",) if dtype.time_unit == "ns" else kind.id in ("timestamp", "timestamp_ms")
        case pl.Null():
            return True
    try:
        sql, found = result_type(kind)
    except ValueError:
        return False
    return sql is None and found == dtype


def zone_of(types: Iterable[pl.DataType]) -> str:
    """The time zone that SQL counts in: that of the columns where they have one in common, else UTC."""
    zones = {t.time_zone for t in types if isinstance(t, pl.Datetime) and t.time_zone}
    return zones.pop() if len(zones) == 1 else "UTC"


@dataclass(frozen=True)
class Result:
    """How a column of a result is taken over: SQL around it (``{}`` is the column), and its type in the end."""

    template: str
    dtype: pl.DataType

    @property
    def plain(self) -> bool:
        """Whether the column is taken over as it is."""
        return self.template == "{}"


def result(kind: DuckDBPyType, zone: str) -> Result:
    """How a result of that type is taken over. Raises ``ValueError`` where no column can hold it."""
    if kind.id == "interval":
        return Result("epoch_us({})", pl.Duration("us"))
    sql, dtype = result_type(kind, zone)
    if kind.id == "map":
        return Result("map_entries({})", dtype)
    return Result("{}" if sql is None else f"CAST({{}} AS {sql})", dtype)


def result_type(kind: DuckDBPyType, zone: str = "UTC") -> tuple[str | None, pl.DataType]:
    """The DuckDB type to cast to (None: as it is), and the type that this is in Polars. Raises ``ValueError``."""
    name = "json" if str(kind) == "JSON" else kind.id.strip('"').lower()
    if name in _PLAIN:
        return None, _PLAIN[name]
    if name in ("varchar", "json"):
        return (None if name == "varchar" else "VARCHAR"), pl.String()
    if name in _CHANGED:
        return _CHANGED[name]
    if name == "timestamp with time zone":
        return None, pl.Datetime("us", zone)
    if name == "timestamptz_ns":
        return None, pl.Datetime("ns", zone)
    if name in ("decimal", "list", "array", "struct", "map"):
        return _composed(name, dict(kind.children), zone)
    raise ValueError(f"a column cannot hold a value of DuckDB's type {kind}; cast it, such as CAST(… AS VARCHAR)")


def _composed(name: str, parts: dict[str, Any], zone: str) -> tuple[str | None, pl.DataType]:
    if name == "decimal":
        return None, pl.Decimal(int(parts["precision"]), int(parts["scale"]))
    if name == "map":
        fields = {"key": result_type(parts["key"], zone)[1], "value": result_type(parts["value"], zone)[1]}
        return None, pl.List(pl.Struct(fields))
    if name in ("list", "array"):
        sql, inner = result_type(parts["child"], zone)
        changed = sql is not None or name == "array"
        return (f"{sql or parts['child']}[]" if changed else None), pl.List(inner)
    fields, words, changed = {}, [], False
    for field, kind in parts.items():
        sql, fields[field] = result_type(kind, zone)
        changed = changed or sql is not None
        words.append(f"{quoted(field)} {sql or kind}")
    return (f"STRUCT({', '.join(words)})" if changed else None), pl.Struct(fields)


def _instance(dtype: Any) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()
