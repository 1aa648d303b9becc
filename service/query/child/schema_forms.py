"""The schema of a version in the words of other systems: JSON Schema, SQL, Arrow and Avro.

JSON Schema describes a record as JSON and NDJSON answer it (``type_forms.json_form``); SQL has DuckDB's types; Arrow
and Avro those of Arrow and Parquet answers. Versions have no constraints: what is "not null" is a column without a
missing value in this version. Values inside nested ones may always be null.
"""

# ruff: noqa: S608 - names are quoted, types are DuckDB's own text

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow.types as arrow
from duckdb.sqltypes import DuckDBPyType
from pyarrow import lib

from service.query.child import data_select, encode, type_forms
from service.sandbox import logical_types
from service.sandbox.confinement import Relation
from service.sandbox.quoting import quoted
from service.sandbox.source import TableSource

_AT_ONCE = 64
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_BITS = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64, "hugeint": 128}
_DAY, _CLOCK = r"-?\d{4,}-\d{2}-\d{2}", r"\d{2}:\d{2}:\d{2}(\.\d{1,9})?"
_TEXTS: dict[str, dict[str, Any]] = {
    "date": {"pattern": f"^{_DAY}$"},
    "time": {"pattern": f"^{_CLOCK}$"},
    "time_ns": {"pattern": f"^{_CLOCK}$"},
    "timestamp with time zone": {"format": "date-time"},
    "uuid": {"format": "uuid"},
    "blob": {"contentEncoding": "base64"},
}
_MOMENTS = ("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns")
_TEXTS |= {kind: {"pattern": f"^{_DAY}T{_CLOCK}$"} for kind in _MOMENTS}
_AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AVRO_UNITS = {"s": "millis", "ms": "millis", "us": "micros", "ns": "nanos"}


@dataclass(frozen=True)
class _Column:
    """A column with its DuckDB type and the number of missing values, and of values that JSON writes as null."""

    name: str
    type: DuckDBPyType
    missing: int
    null_in_json: int
    stored: pl.DataType | None


def write(connection: duckdb.DuckDBPyConnection, source: TableSource, relation: Relation, form: str) -> bytes:
    """The schema of ``source`` as ``json-schema``, ``sql``, ``arrow`` or ``avro``."""
    if form == "arrow":
        return bytes(_arrow(connection, relation).serialize())
    columns = list(_columns(connection, relation))
    if form == "sql":
        lines = ",\n".join(f"  {quoted(c.name)} {c.type}{'' if c.missing else ' NOT NULL'}" for c in columns)
        return f"CREATE TABLE {quoted(source.table)} (\n{lines}\n);\n".encode()
    if form == "avro":
        return msgspec.json.encode(_avro(source, _arrow(connection, relation), columns))
    return msgspec.json.encode(_json_schema(source, columns))


def _columns(connection: duckdb.DuckDBPyConnection, relation: Relation) -> Iterator[_Column]:
    names, types = type_forms.described(connection, f"FROM {relation.sql}")
    for start in range(0, len(names), _AT_ONCE):
        part = list(zip(names, types, strict=True))[start : start + _AT_ONCE]
        counts = []
        for name, type_ in part:
            column = quoted(name)
            written = (
                f"isfinite({column})" if type_forms.kind(type_) in ("float", "double") else f"{column} IS NOT NULL"
            )
            counts += [f"count(*) - count({column})", f"count(*) - count(*) FILTER (WHERE {written})"]
        (found,) = connection.execute(f"SELECT {', '.join(counts)} FROM {relation.sql}").fetchall()
        for place, (name, type_) in enumerate(part):
            yield _Column(name, type_, found[2 * place], found[2 * place + 1], relation.logical.get(name))


def _json_schema(source: TableSource, columns: list[_Column]) -> dict[str, Any]:
    properties = {}
    for column in columns:
        schema = _json_type(column.type, nested=False)
        if isinstance(column.stored, pl.Enum):
            schema["enum"] = column.stored.categories.to_list()
        properties[column.name] = _or_null(schema) if column.null_in_json else schema
    return {
        "$schema": _DIALECT,
        "title": source.table,
        "description": f"A record of version {source.version} of '{source.pipeline}'.",
        **_object(properties),
    }


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if schema["type"] == "null":
        return schema
    values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **values}


def _json_type(type_: DuckDBPyType, *, nested: bool = True) -> dict[str, Any]:
    """The schema of a value that is not null, with DuckDB's name of its type."""
    return {"description": str(type_), **_json_form(type_, type_forms.kind(type_), nested)}


def _json_form(type_: DuckDBPyType, kind: str, nested: bool) -> dict[str, Any]:
    children: list[tuple[str, Any]] = list(type_.children) if kind in _NESTED else []
    if kind in ("hugeint", "uhugeint") and nested:
        return {"type": "string", "pattern": r"^-?\d+$"}
    if kind.removeprefix("u") in _BITS:
        bits = _BITS[kind.removeprefix("u")]
        least, most = (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return {"type": "integer", **({"minimum": least, "maximum": most} if bits <= 32 else {})}
    if kind in ("boolean", "null"):
        return {"type": kind}
    if kind in ("float", "double"):
        return {"type": "number"}
    if kind == "decimal":
        digits = dict(type_.children)["scale"]
        return {"type": "string", "pattern": rf"^-?\d+\.\d{{{digits}}}$" if digits else r"^-?\d+$"}
    if kind in ("list", "array"):
        size = dict(children).get("size")
        length = {"minItems": size, "maxItems": size} if kind == "array" else {}
        return {"type": "array", "items": _or_null(_json_type(children[0][1])), **length}
    if kind in ("struct", "tuple"):
        named = [(str(place) if kind == "tuple" else name, child) for place, (name, child) in enumerate(children, 1)]
        return _object({name: _or_null(_json_type(child)) for name, child in named})
    if kind == "map":
        return {"type": "object", "additionalProperties": _or_null(_json_type(children[1][1]))}
    return {"type": "string", **_TEXTS.get(kind, {})}


_NESTED = frozenset({"list", "array", "struct", "tuple", "map"})


def _arrow(connection: duckdb.DuckDBPyConnection, relation: Relation) -> lib.Schema:
    """The schema of Arrow and Parquet answers."""
    known = connection.sql(f"SELECT * FROM {relation.sql} LIMIT 0").columns
    columns = ", ".join(data_select.column(name, relation, as_stored=True) for name in known)
    rows = encode.Rows.of(connection, f"SELECT {columns} FROM {relation.with_stored or relation.sql}")
    types = {n: t for n, t in relation.logical.items() if logical_types.is_read_as_stored(t)}
    return encode.arrow_schema(rows, types)


def _avro(source: TableSource, schema: lib.Schema, columns: list[_Column]) -> dict[str, Any]:
    records = _Names()
    name = records.valid(source.table)
    fields, taken = [], _Names()
    for field, column in zip(schema, columns, strict=True):
        known = taken.valid(field.name)
        form = _avro_type(field.type, known, records)
        if isinstance(column.stored, pl.Enum):
            form = _avro_enum(column.stored, records.valid(f"{known}_values"))
        fields.append(
            {"name": known, **_as_it_is(known, field.name), "type": _avro_null(form) if column.missing else form}
        )
    doc = f"Version {source.version} of '{source.pipeline}'."
    return {"type": "record", "name": name, "doc": doc, "fields": fields}


class _Names:
    """Names that Avro allows: letters, digits and ``_``, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def valid(self, name: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
        plain = plain if _AVRO_NAME.fullmatch(plain) else f"_{plain}"
        found, number = plain, 1
        while found in self._taken:
            found, number = f"{plain}_{number}", number + 1
        self._taken.add(found)
        return found


def _as_it_is(known: str, name: str) -> dict[str, str]:
    return {} if known == name else {"column": name}


def _avro_null(form: Any) -> Any:
    return form if form == "null" else ["null", form]


def _avro_enum(stored: pl.Enum, name: str) -> Any:
    symbols = stored.categories.to_list()
    if not symbols or not all(_AVRO_NAME.fullmatch(symbol) for symbol in symbols):
        return "string"
    return {"type": "enum", "name": name, "symbols": symbols}


def _avro_type(type_: Any, name: str, records: _Names) -> Any:
    """The Avro type of a value that is not null; ``name`` is for the records in it."""
    is_: Any = arrow
    if is_.is_list(type_) or is_.is_large_list(type_) or is_.is_fixed_size_list(type_):
        return {"type": "array", "items": _avro_null(_avro_type(type_.value_type, name, records))}
    if is_.is_map(type_) and not is_.is_string(type_.key_type):
        fields = [("key", type_.key_type), ("value", type_.item_type)]
        return {"type": "array", "items": _avro_record(fields, name, records)}
    if is_.is_map(type_):
        return {"type": "map", "values": _avro_null(_avro_type(type_.item_type, name, records))}
    if is_.is_struct(type_):
        return _avro_record([(field.name, field.type) for field in type_], name, records)
    return _avro_leaf(type_)


def _avro_record(fields: list[tuple[str, Any]], name: str, records: _Names) -> dict[str, Any]:
    record, taken, shown = records.valid(f"{name}_record"), _Names(), []
    for field, type_ in fields:
        known = taken.valid(field)
        form = _avro_null(_avro_type(type_, f"{name}_{known}", records))
        shown.append({"name": known, **_as_it_is(known, field), "type": form})
    return {"type": "record", "name": record, "fields": shown}


def _avro_leaf(type_: Any) -> Any:
    is_: Any = arrow
    if is_.is_boolean(type_):
        return "boolean"
    if is_.is_integer(type_):
        if type_ == lib.uint64():
            return {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 0}
        return "long" if type_.bit_width == 64 or type_ == lib.uint32() else "int"
    if is_.is_floating(type_):
        return "double" if type_ == lib.float64() else "float"
    if is_.is_decimal(type_):
        return {"type": "bytes", "logicalType": "decimal", "precision": type_.precision, "scale": type_.scale}
    if is_.is_date(type_):
        return {"type": "int", "logicalType": "date"}
    if is_.is_time(type_):
        return {"type": "long", "logicalType": "time-micros"}
    if is_.is_timestamp(type_):
        local = "" if type_.tz else "local-"
        return {"type": "long", "logicalType": f"{local}timestamp-{_AVRO_UNITS[type_.unit]}"}
    if is_.is_duration(type_):
        return {"type": "long", "unit": type_.unit}
    if is_.is_binary(type_) or is_.is_large_binary(type_) or is_.is_fixed_size_binary(type_):
        return "bytes"
    return "null" if is_.is_null(type_) else "string"
