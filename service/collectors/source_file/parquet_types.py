"""Logical types of Parquet files that the engine reads as something else, or does not read at all."""

from __future__ import annotations

import os
import re
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.kit import lazy
from service.values import seconds

if TYPE_CHECKING:
    import polars as pl
    from pyarrow import lib, parquet
else:
    pl, lib, parquet = lazy.module("polars"), lazy.module("pyarrow.lib"), lazy.module("pyarrow.parquet")

UUID, TEXT = "uuid", "text"
_TEXTS = {"UUID": UUID, "JSON": TEXT, "ENUM": TEXT}
_GROUPS = re.compile("^(.{8})(.{4})(.{4})(.{4})(.{12})$")
# Without it, an offset such as +05:30, which is not the name of a zone, ends the process of the engine in a panic.
_ANY_ZONE = "POLARS_IGNORE_TIMEZONE_PARSE_ERROR"


def accept_every_zone() -> None:
    """Let this process read columns with time zones that the engine does not know; ``as_read`` makes them UTC."""
    os.environ[_ANY_ZONE] = "1"


def texts(path: Path, schema: pl.Schema) -> dict[str, str]:
    """The columns that are texts although the engine reads bytes: UUID, or TEXT (JSON and enums)."""
    if pl.Binary not in schema.dtypes():
        return {}
    return {
        name: _TEXTS[kind]
        for name, kind in _logical_types(path).items()
        if kind in _TEXTS and schema.get(name) == pl.Binary
    }


def intervals(path: Path) -> list[str]:
    """The columns that are intervals of months, days and milliseconds, which the engine cannot read."""
    return [name for name, kind in _logical_types(path).items() if kind == "INTERVAL"]


def list_views(path: Path) -> list[str]:
    """The columns with Arrow's list views, which the engine cannot read."""
    with _open(path) as file:
        return [field.name for field in file.schema_arrow if "list_view<" in str(field.type)]


def _open(path: Path) -> Any:  # pyarrow ships no types
    opened: Any = parquet.ParquetFile
    return opened(path)


def _logical_types(path: Path) -> dict[str, str]:
    """The logical types of the columns in capitals; nothing for a file that only the engine can read."""
    try:
        with _open(path) as file:
            columns = [file.schema.column(place) for place in range(len(file.schema))]
            return {column.path: str(column.logical_type).partition("(")[0].upper() for column in columns}
    except (lib.ArrowException, OSError):
        return {}


def as_read(dtype: Any) -> Any:
    """The type in which a column is read: zones that are not in the time zone database are UTC, the same moments."""
    if isinstance(dtype, pl.List):
        return pl.List(as_read(dtype.inner))
    if isinstance(dtype, pl.Array):
        return pl.Array(as_read(dtype.inner), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: as_read(field.dtype) for field in dtype.fields})
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None and not _is_zone(dtype.time_zone):
        return pl.Datetime(dtype.time_unit, "UTC")
    return dtype


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def types(schema: pl.Schema, text: Mapping[str, str]) -> dict[str, pl.DataType]:
    """The types of the columns that ``readable`` answers."""
    return {
        name: pl.Float64() if isinstance(dtype, pl.Duration) else pl.String() if name in text else as_read(dtype)
        for name, dtype in schema.items()
    }


def readable(lf: pl.LazyFrame, schema: pl.Schema, text: Mapping[str, str]) -> pl.LazyFrame:
    """A scan with durations as seconds, as casts read them, unknown zones as UTC, and texts as texts."""
    return lf.with_columns(
        _readable(name, dtype, text.get(name)).alias(name)
        for name, dtype in schema.items()
        if isinstance(dtype, pl.Duration) or name in text or as_read(dtype) != dtype
    )


def _readable(name: str, dtype: pl.DataType, kind: str | None) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Duration):  # SQL does not see the unit of a stored duration
        return seconds.from_ticks(column.to_physical(), dtype.time_unit)
    if kind == UUID:
        return column.bin.encode("hex").str.replace(_GROUPS.pattern, "$1-$2-$3-$4-$5")
    return column.cast(pl.String() if kind == TEXT else as_read(dtype))
