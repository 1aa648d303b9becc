"""Spool: fetched rows on their way to the plan, as bounded Parquet parts in the collector's folder.

Memory holds one batch, however many pages there are. The parts may differ in their columns and types; ``scan``
unites them: a column missing in a part is null there, null gives way to any type, whole numbers to floats where no
digit is lost, a single value to lists, and what cannot be united becomes text (JSON text for lists and objects).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl

from service.collectors.records import mixed_types
from service.values.json_text import json_text

_UNPACKED = 3  # times a part's size in the file is about what its rows take in memory
_NOTHING = ""
_DECIMAL_DIGITS = 38
"""The column of a part whose records have none."""


class Spool:
    """Parts ``spool-00000.parquet`` … in ``folder``, which must exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[tuple[Path, pl.Schema]] = []
        self._labels: list[str] = []
        self.heights: list[int] = []
        self._parents: set[str] = set()
        self.rows = 0
        self._bytes = 0
        self._exact: dict[str, bool] = {}

    def add(self, frame: pl.DataFrame, parents: Collection[str] = (), label: str = "") -> None:
        """Write one part. ``parents`` are names that flattening replaced by others; ``label`` says where it is from."""
        self._parents.update(parents)
        if not frame.height:
            return
        self.rows += frame.height
        self.heights.append(frame.height)
        self._bytes += int(frame.estimated_size())
        frame = frame.select(_storable(n, d) for n, d in frame.schema.items()) if frame.width else frame
        path = self._folder / f"spool-{len(self._parts):05d}.parquet"
        self._parts.append((path, frame.schema))
        self._labels.append(label)
        self._exact.clear()
        if not frame.width:  # rows without any column are rows
            frame = pl.DataFrame({_NOTHING: pl.repeat(None, frame.height, dtype=pl.Int8, eager=True)})
        frame.write_parquet(path, compression="lz4", statistics=False)

    def adopt(self, path: Path, label: str = "") -> None:
        """Take up a part that another spool wrote, before the parts that are added."""
        schema = pl.read_parquet_schema(path)
        self._parts.append((path, pl.Schema({n: d for n, d in schema.items() if n != _NOTHING})))
        self._labels.append(label)
        self._exact.clear()
        self.heights.append(int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()))
        self.rows += self.heights[-1]
        self._bytes += _UNPACKED * path.stat().st_size

    @property
    def parts(self) -> list[Path]:
        """The files of the parts, in order."""
        return [path for path, _ in self._parts]

    @property
    def labels(self) -> list[str]:
        """Where each part is from."""
        return list(self._labels)

    @property
    def row_bytes(self) -> int:
        """What a row takes in memory, on average."""
        return self._bytes // max(1, self.rows)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of all parts, in order of first appearance, with the types that unite them."""
        united: dict[str, pl.DataType] = {}
        for _, schema in self._parts:
            for name, dtype in schema.items():
                united[name] = unite(united[name], dtype) if name in united else dtype
        for name, dtype in united.items():
            if dtype == pl.Float64 and self._long(name):
                united[name] = pl.String()
        for parent in self._parents & united.keys():
            if united[parent] == pl.Null:  # null here, an object there: its columns say it all
                del united[parent]
        return {name: _settled(dtype) for name, dtype in united.items()}

    @property
    def blank(self) -> set[str]:
        """The columns that have no value in any part."""
        valued = {name for _, schema in self._parts for name, dtype in schema.items() if dtype != pl.Null}
        return self.schema.keys() - valued

    def _long(self, name: str) -> bool:
        """Whether a part has whole numbers in that column that a float would round."""
        if name not in self._exact:
            ends = (pl.col(name).min().alias("low"), pl.col(name).max().alias("high"))
            paths = [path for path, schema in self._parts if schema.get(name) == pl.Int64]
            found = (pl.scan_parquet(path, glob=False).select(ends).collect().row(0) for path in paths)
            self._exact[name] = any(abs(end) > mixed_types.EXACT for part in found for end in part if end is not None)
        return self._exact[name]

    def conflicts(self) -> dict[str, list[tuple[str, pl.DataType]]]:
        """Columns that became text or lists because their parts disagree: by name, each type and its first label."""
        found: dict[str, list[tuple[str, pl.DataType]]] = {}
        for name, dtype in self.schema.items():
            if dtype != pl.String and not isinstance(dtype, pl.List):
                continue
            first: dict[pl.DataType, str] = {}
            for label, (_, schema) in zip(self._labels, self._parts, strict=True):
                if name in schema and schema[name] != pl.Null:
                    first.setdefault(schema[name], label)
            if len(first) > 1 and any(_disagrees(kind, dtype) for kind in first):
                found[name] = [(label, kind) for kind, label in first.items()]
        return found

    def scan(self, first: int = 0, last: int | None = None) -> pl.LazyFrame:
        """All rows, or those of some parts, in the order in which they were added, with the columns of all parts.

        Without any part: no rows, no columns.
        """
        wanted = self.schema
        scans = []
        for schema, group in itertools.groupby(self._parts[first:last], key=lambda part: part[1]):
            scans.append(self._alike([path for path, _ in group], schema, wanted))
        if not scans or not wanted:
            return pl.LazyFrame(schema=wanted)
        return scans[0] if len(scans) == 1 else pl.concat(scans, how="vertical")

    def part(self, place: int) -> pl.LazyFrame:
        """The rows of one part, with the columns and types of all."""
        path, schema = self._parts[place]
        return self._alike([path], schema, self.schema)

    @staticmethod
    def _alike(paths: list[Path], schema: pl.Schema, wanted: dict[str, pl.DataType]) -> pl.LazyFrame:
        same = [_as(name, schema.get(name), dtype) for name, dtype in wanted.items()]
        return pl.scan_parquet(paths, glob=False).with_columns(same).select(list(wanted))


def _storable(name: str, dtype: pl.DataType) -> pl.Expr:
    """Without the types that Parquet, or the engines behind it, do not know."""
    column = pl.col(name)
    told = _told(dtype)
    if told != dtype:
        return column.cast(told)
    if _has_empty_struct(dtype):
        return json_text(column, dtype).alias(name)
    return column


def _told(dtype: Any) -> Any:
    """The type with text for numbers whose digits are beyond Int64."""
    if dtype == pl.Int128 or dtype == pl.UInt64:
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_told(dtype.inner))
    return pl.Struct({f.name: _told(f.dtype) for f in dtype.fields}) if isinstance(dtype, pl.Struct) else dtype


def _has_empty_struct(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return not dtype.fields or any(_has_empty_struct(f.dtype) for f in dtype.fields)
    return isinstance(dtype, pl.List) and _has_empty_struct(dtype.inner)


def unite(one: Any, other: Any) -> pl.DataType:
    """The type that both can become without loss, String where there is none."""
    if one == other or other == pl.Null:
        return one  # type: ignore[no-any-return]
    if one == pl.Null:
        return other  # type: ignore[no-any-return]
    if one.is_integer() and other.is_integer():
        return pl.Int64()
    if one.is_decimal() and other.is_decimal():
        scale = max(one.scale, other.scale)
        digits = max(one.precision - one.scale, other.precision - other.scale) + scale
        return pl.Decimal(digits, scale) if digits <= _DECIMAL_DIGITS else pl.Float64()
    if one.is_numeric() and other.is_numeric():
        return pl.Float64()
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        inner = unite(one.inner, other.inner)
        nested = any(isinstance(d, pl.List | pl.Struct) for d in (one.inner, other.inner))
        return pl.String() if nested and inner == pl.String else pl.List(inner)
    if isinstance(one, pl.List) or isinstance(other, pl.List):
        return _listed(one, other) if isinstance(one, pl.List) else _listed(other, one)
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        fields: dict[str, Any] = {f.name: f.dtype for f in one.fields}
        for f in other.fields:
            fields[f.name] = unite(fields[f.name], f.dtype) if f.name in fields else f.dtype
        if any(_lossy(f.dtype, fields[f.name]) for s in (one, other) for f in s.fields):
            return pl.String()
        return pl.Struct(fields)
    return pl.String()


def _listed(dtype: pl.List, single: Any) -> pl.DataType:
    """What lists and single values become: lists, unless one of them would have to become text as a whole."""
    inner = unite(dtype.inner, single)
    nested = isinstance(single, pl.Struct) or isinstance(dtype.inner, pl.List | pl.Struct)
    return pl.String() if nested else pl.List(inner)


def _disagrees(source: Any, united: Any) -> bool:
    """Whether values of that type are told in another way among the others."""
    if not isinstance(united, pl.List):
        return source != united  # type: ignore[no-any-return]
    if not isinstance(source, pl.List):
        return True
    return united.inner == pl.String and _disagrees(source.inner, united.inner) and source.inner != pl.Null


def _lossy(source: Any, target: Any) -> bool:
    """Whether a cast inside a struct would make text of something else, and not as JSON writes it."""
    return target == pl.String and source not in (pl.String, pl.Null)


def _settled(dtype: Any) -> pl.DataType:
    """Null, which no stored column may be, as String; inside lists and structs too."""
    if dtype == pl.Null:
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_settled(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({f.name: _settled(f.dtype) for f in dtype.fields})
    return dtype  # type: ignore[no-any-return]


def _as(name: str, source: Any, target: pl.DataType) -> pl.Expr:
    if source is None:
        return pl.lit(None, dtype=target).alias(name)
    if source == target:
        return pl.col(name)
    if target == pl.String and isinstance(source, pl.List | pl.Struct):
        return json_text(pl.col(name), source).alias(name)
    if isinstance(target, pl.List) and source != pl.Null and not isinstance(source, pl.List):
        single = pl.concat_list(pl.col(name).cast(target.inner))
        return pl.when(pl.col(name).is_not_null()).then(single).alias(name)
    return pl.col(name).cast(target)
