"""Logical types that DuckDB does not read from Parquet as they were written, and the SQL that restores them.

Parquet has no durations: Polars writes their number and notes the unit in the file's Arrow schema, which DuckDB does
not read. So they are INTERVALs here. A time of day has nanoseconds, for which DuckDB has TIME_NS, a type without
averages; it is TIME here. Both hold microseconds; a value with a part of one is an error, never another value. An
Int128 is 16 bytes in the file and a HUGEINT here. An Array is a list in the file, whose length only Polars notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from service.sandbox.quoting import literal, quoted

STORED = '"penstock stored values"'
"""The column, quoted, in which a relation has its columns as they are stored."""
_MOST = 2**128 - 1


def replaced(schema: Mapping[str, pl.DataType]) -> str:
    """``REPLACE (…)`` after a ``*``, for the columns of ``schema`` that need it; else an empty text."""
    forms = {name: _form(quoted(name), name, dtype, 0) for name, dtype in schema.items()}
    changed = ", ".join(f"{form} AS {quoted(name)}" for name, form in forms.items() if form is not None)
    return f" REPLACE ({changed})" if changed else ""


def is_read_as_stored(dtype: pl.DataType | None) -> bool:
    """Whether Arrow and Parquet get the stored value of such a column, to be cast to its type again."""
    return dtype is not None and not _has_int128(dtype)


def _has_int128(dtype: pl.DataType) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _has_int128(_instance(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return any(_has_int128(_instance(field.dtype)) for field in dtype.fields)
    return isinstance(dtype, pl.Int128)


def _form(expression: str, name: str, dtype: pl.DataType, depth: int) -> str | None:
    if isinstance(dtype, pl.Duration):
        return _interval(expression, name, dtype.time_unit)
    if isinstance(dtype, pl.Time):
        exact = f"CAST(CAST({expression} AS TIME) AS TIME_NS) = CAST({expression} AS TIME_NS)"
        return (
            f"CASE WHEN {exact} THEN CAST({expression} AS TIME) WHEN {expression} IS NOT NULL THEN {_error(name)} END"
        )
    if isinstance(dtype, pl.Int128):
        return _hugeint(expression)
    if isinstance(dtype, pl.List | pl.Array):
        inner = _form(f"x{depth}", name, _instance(dtype.inner), depth + 1)
        return f"list_transform({expression}, lambda x{depth}: {inner})" if inner is not None else None
    if isinstance(dtype, pl.Struct):
        fields = {f.name: f"struct_extract({expression}, {literal(f.name)})" for f in dtype.fields}
        forms = {f.name: _form(fields[f.name], name, _instance(f.dtype), depth) for f in dtype.fields}
        if all(form is None for form in forms.values()):
            return None
        packed = ", ".join(f"{quoted(field)} := {form or fields[field]}" for field, form in forms.items())
        return f"CASE WHEN {expression} IS NOT NULL THEN struct_pack({packed}) END"
    return None


def _interval(expression: str, name: str, unit: str) -> str:
    if unit == "ms":
        return f"to_microseconds({expression} * 1000)"
    if unit == "us":
        return f"to_microseconds({expression})"
    whole = f"{expression} % 1000 = 0"
    interval = f"to_microseconds({expression} // 1000)"
    return f"CASE WHEN {whole} THEN {interval} WHEN {expression} IS NOT NULL THEN {_error(name)} END"


def _hugeint(expression: str) -> str:
    """The 16 bytes, little-endian, in which Polars writes an Int128."""
    pairs = f"list_reverse(regexp_extract_all(hex({expression}), '..'))"
    bits = f"CAST('0x' || array_to_string({pairs}, '') AS UHUGEINT)"
    negative = f"-CAST({_MOST}::UHUGEINT - {bits} AS HUGEINT) - 1"
    return f"CASE WHEN {bits} > {_MOST // 2} THEN {negative} ELSE CAST({bits} AS HUGEINT) END"


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made


def _error(name: str) -> str:
    text = (
        f"'{name}' has parts of a microsecond, which SQL cannot hold; read it as Parquet, or round it in the pipeline"
    )
    return f"error({literal(text)})"
