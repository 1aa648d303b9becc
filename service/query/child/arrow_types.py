"""Column types of Arrow and Parquet answers that DuckDB's export does not have: durations and stored Polars types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
from pyarrow import lib


class Restorer:
    """Casts columns of DuckDB's Arrow tables.

    Those in ``stored`` get the Polars type that the version's file has; those in ``intervals`` (microseconds, as
    ``type_forms.binary_form`` writes an INTERVAL) become durations. ``schema`` is that of the tables after the cast.
    """

    def __init__(self, schema: lib.Schema, stored: Mapping[str, pl.DataType], intervals: Iterable[str]) -> None:
        micros = {name: pl.Duration("us") for name in intervals}
        self._types: dict[str, Any] = {n: t for n, t in {**micros, **stored}.items() if n in schema.names}
        self.schema = schema
        if self._types:
            self.schema = self.table(schema.empty_table()).schema

    def table(self, table: lib.Table) -> lib.Table:
        """The table with its columns cast."""
        for name, dtype in self._types.items():
            place = table.schema.get_field_index(name)
            cast = pl.DataFrame(pl.from_arrow(table.select([name]))).select(pl.col(name).cast(dtype)).to_arrow()
            table = table.set_column(place, cast.schema.field(0), cast.column(0))
        return table
