"""Column types of Arrow and Parquet answers that DuckDB's export does not have: durations and stored Polars types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from duckdb.sqltypes import DuckDBPyType
from pyarrow import lib

from service.query.child import type_forms

_NESTED = (lib.StructType, lib.MapType, lib.ListType, lib.FixedSizeListType)


class Restorer:
    """Casts columns of DuckDB's Arrow tables.

    Those in ``stored`` get the Polars type that the version's file has; in all others the INTERVALs of ``types``, also
    inside lists, structs and maps, become durations: ``type_forms.binary_form`` writes them as microseconds. ``schema``
    is that of the tables after the cast.
    """

    def __init__(self, schema: lib.Schema, stored: Mapping[str, pl.DataType], types: Sequence[DuckDBPyType]) -> None:
        self._stored: dict[str, Any] = {n: t for n, t in stored.items() if n in schema.names}
        made = {field.name: _with_durations(field.type, type_) for field, type_ in zip(schema, types, strict=True)}
        self._durations = {
            n: t for n, t in made.items() if n not in self._stored and t != schema.field(schema.get_field_index(n)).type
        }
        self.schema = schema
        if self._stored or self._durations:
            self.schema = self.table(schema.empty_table()).schema

    def table(self, table: lib.Table) -> lib.Table:
        """The table with its columns cast."""
        for name, dtype in self._stored.items():
            place = table.schema.get_field_index(name)
            cast = pl.DataFrame(pl.from_arrow(table.select([name]))).select(pl.col(name).cast(dtype)).to_arrow()
            table = table.set_column(place, cast.schema.field(0), cast.column(0))
        for name, type_ in self._durations.items():
            place = table.schema.get_field_index(name)
            parts = [part.view(type_) for part in table.column(place).chunks]  # the same numbers
            table = table.set_column(place, lib.field(name, type_), lib.chunked_array(parts, type_))
        return table


def _with_durations(arrow: lib.DataType, type_: DuckDBPyType) -> lib.DataType:
    """The Arrow type with a duration in each place of an INTERVAL."""
    if type_forms.kind(type_) == "interval":
        return lib.duration("us")
    if not isinstance(arrow, _NESTED):
        return arrow
    inner = [child for _, child in type_forms.children(type_)]
    if isinstance(arrow, lib.StructType):
        return lib.struct([f.with_type(_with_durations(f.type, child)) for f, child in zip(arrow, inner, strict=True)])
    if isinstance(arrow, lib.MapType):
        key, value = (_with_durations(t, c) for t, c in zip((arrow.key_type, arrow.item_type), inner, strict=True))
        return lib.map_(arrow.key_field.with_type(key), arrow.item_field.with_type(value))
    item = arrow.value_field.with_type(_with_durations(arrow.value_type, inner[0]))
    return lib.list_(item, arrow.list_size) if isinstance(arrow, lib.FixedSizeListType) else lib.list_(item)
