"""Column types: Polars types by the names that users write (``values.type_names``), and back.

``name_of`` names every Polars type: the types of ``type_names`` in the form that ``parse`` reads, the others (structs,
durations, binary …) by their Polars names in lower case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from service.kit import lazy
from service.values import polars_names, type_names
from service.values.type_names import TypeName

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_POLARS = {
    "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64", "uint8": "UInt8", "uint16": "UInt16",
    "uint32": "UInt32", "uint64": "UInt64", "float32": "Float32", "float64": "Float64", "string": "String",
    "boolean": "Boolean", "date": "Date", "time": "Time", "categorical": "Categorical",
}  # fmt: skip


def parse(text: str) -> pl.DataType:
    """The Polars type of that name. Raises ``ValueError`` with what is wrong and a suggestion."""
    return _dtype(type_names.read(text))


def _dtype(name: TypeName) -> pl.DataType:
    match name.kind:
        case "list":
            assert name.inner is not None
            return pl.List(_dtype(name.inner))
        case "decimal":
            return pl.Decimal(name.precision, name.scale)
        case "datetime":
            return pl.Datetime("us", name.zone)
        case "enum":
            return pl.Enum(name.values)
        case kind:
            return cast("pl.DataType", getattr(pl, _POLARS[kind])())


def name_of(dtype: pl.DataType) -> str:
    """The name of a Polars type, in the form that ``parse`` reads if it has one."""
    match dtype:
        case pl.Decimal():
            return f"decimal({dtype.precision or 38},{dtype.scale})"
        case pl.Datetime():
            return f"datetime[{dtype.time_zone}]" if dtype.time_zone else "datetime"
        case pl.Enum():
            return f"enum({','.join(polars_names.quoted(v) for v in dtype.categories)})"
        case pl.List():
            return f"list({name_of(_instance(dtype.inner))})"
        case pl.Array():
            return f"array({name_of(_instance(dtype.inner))},{dtype.size})"
        case pl.Struct():
            inner = ", ".join(f"{f.name}: {name_of(_instance(f.dtype))}" for f in dtype.fields)
            return f"struct({inner})"
        case _:
            return str(dtype.base_type()).lower()


def _instance(dtype: Any) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else cast(pl.DataType, dtype())
