"""Rows of a Polars frame as JSON lines without DuckDB, where the types of all columns are plain.

The text of each value and the names of the types are those that ``type_forms.json_form`` gives for the same rows in a
Parquet file, which is tested. Dates beyond the years 1 to 9999 have another text in each engine and are not plain.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import polars as pl

from service.query.child import type_forms

_NAMES: dict[type[pl.DataType], str] = {
    pl.Boolean: "BOOLEAN", pl.Int8: "TINYINT", pl.Int16: "SMALLINT", pl.Int32: "INTEGER", pl.Int64: "BIGINT",
    pl.UInt8: "UTINYINT", pl.UInt16: "USMALLINT", pl.UInt32: "UINTEGER", pl.UInt64: "UBIGINT", pl.Float32: "FLOAT",
    pl.Float64: "DOUBLE", pl.String: "VARCHAR", pl.Date: "DATE", pl.Categorical: "VARCHAR",
}  # fmt: skip
_DATETIMES = {"ms": "TIMESTAMP", "us": "TIMESTAMP", "ns": "TIMESTAMP_NS"}
_ZONED = "TIMESTAMP WITH TIME ZONE"
_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH = dt.date(1970, 1, 1).toordinal()
_DAYS = 1 - _EPOCH, dt.date.max.toordinal() - _EPOCH
"""The days from which and to which a date has a common text, since 1970."""
_FEW_VALUES = 2_000
_encode_lines = msgspec.json.Encoder().encode_lines
_UNITS = {"ms": "%.3f", "us": "%.6f", "ns": "%.9f"}


def type_name(dtype: pl.DataType) -> str | None:
    """The name of a plain type in SQL; None for a type that is not plain."""
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is not None:
            return _ZONED if dtype.time_unit != "ns" else None
        return _DATETIMES[dtype.time_unit]
    return _NAMES.get(dtype.base_type())


def columns(schema: Mapping[str, pl.DataType]) -> list[dict[str, str]] | None:
    """The columns as answers show them; None if one is not plain, or if SQL cannot tell their names apart."""
    names = list(schema)
    if type_forms.unique(names) != names:
        return None
    kinds = [type_name(dtype) for dtype in schema.values()]
    return [{"name": n, "type": k} for n, k in zip(names, kinds, strict=True) if k is not None] if all(kinds) else None


def lines(frame: pl.DataFrame) -> bytes | None:
    """The rows as NDJSON; None if they hold a date that is not plain. The types must be plain."""
    if not all(map(_is_common, frame.get_columns())):
        return None
    if frame.height * frame.width <= _FEW_VALUES and all(map(_is_object, frame.dtypes)):
        return _of_objects(frame)
    text = io.BytesIO()
    frame.with_columns(e for n, t in frame.schema.items() if (e := _form(n, t)) is not None).write_ndjson(text)
    return text.getvalue()


def _is_common(values: pl.Series) -> bool:
    """Whether all dates in a column are in the years 1 to 9999."""
    dtype = values.dtype
    if isinstance(dtype, pl.Date):
        low, high = _DAYS
    elif isinstance(dtype, pl.Datetime):
        low, high = (day * 86_400 * _PER_SECOND[dtype.time_unit] for day in (_DAYS[0], _DAYS[1] + 1))
        high -= 1
    else:
        return True
    units = values.to_physical()
    least, most = cast(int | None, units.min()), cast(int | None, units.max())
    return least is None or most is None or (least >= low and most <= high)


def _is_object(dtype: pl.DataType) -> bool:
    """Whether a value is a Python object with the same digits."""
    return not isinstance(dtype, pl.Float32) and not (isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns")


def _of_objects(frame: pl.DataFrame) -> bytes:
    """Few rows, by way of Python, which costs less than the start of an engine."""
    columns = [_texts(values) for values in frame.get_columns()]
    names = frame.columns
    return _encode_lines([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])


def _texts(values: pl.Series) -> list[Any]:
    """The values of a column as JSON has them."""
    dtype = values.dtype
    if isinstance(dtype, pl.Datetime):
        naive = values.to_physical().cast(pl.Datetime(dtype.time_unit)).to_list()  # in UTC
        end = "Z" if dtype.time_zone is not None else ""
        return [None if v is None else _moment(v) + end for v in naive]
    found = values.to_list()
    if isinstance(dtype, pl.Decimal):
        return [None if v is None else format(v, "f") for v in found]
    return [None if v is None else v.isoformat() for v in found] if isinstance(dtype, pl.Date) else found


def _moment(value: dt.datetime) -> str:
    text = value.isoformat()
    return text.rstrip("0") if value.microsecond else text


def _form(name: str, dtype: pl.DataType) -> pl.Expr | None:
    column = pl.col(name)
    if isinstance(dtype, pl.Decimal | pl.Categorical):
        return column.cast(pl.String)
    if isinstance(dtype, pl.Date):
        return column.dt.to_string("%Y-%m-%d")
    if not isinstance(dtype, pl.Datetime):
        return None
    text = _in_utc(name, dtype).dt.to_string(f"%Y-%m-%dT%H:%M:%S{_UNITS[dtype.time_unit]}")
    text = text.str.strip_chars_end("0").str.strip_suffix(".")  # there is always a point
    return text + "Z" if dtype.time_zone is not None else text


def _in_utc(name: str, dtype: pl.DataType) -> pl.Expr:
    """The column; one with a time zone as it is in UTC, without the zone."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column
