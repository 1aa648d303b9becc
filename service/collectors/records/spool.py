"""The spool of fetched rows: bounded Parquet parts in the collector's folder, which the plan scans.

Memory holds one batch, however many pages there are. The parts may differ in their columns and types; ``scan``
unites them: a column missing in a part is null there, null becomes any type, whole numbers become floats if no
digit is lost, single values beside lists become lists, and what has no common type becomes text (JSON text for lists
and objects).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.collectors.records.flattened import Flattened
from service.kit import lazy
from service.values import common_type
from service.values.json_text import json_text

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_UNPACKED = 3  # rows take about this many times the size of their file in memory
_TEXT = "text"
_NOTHING = ""
"""The column of a part whose records have none."""


class Spool:
    """Parts ``spool-00000.parquet`` … in ``folder``, which must exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts: list[tuple[Path, pl.Schema]] = []
        self._labels: list[str] = []
        self.heights: list[int] = []
        self._flattened = Flattened()
        self.rows = 0
        self._bytes = 0
        self._rounded: dict[str, bool] = {}
        self._source: tuple[Path, bytes] | None = None

    def add(
        self, frame: pl.DataFrame, flattened: Flattened | None = None, label: str = "", source: bytes | None = None
    ) -> None:
        """Write one part. ``label`` names its origin. Raises ``Unusable`` if ``flattened`` contradicts other parts.

        ``source`` is the text of its records, if they write some values in another way than the columns show them; see
        ``restore_texts``.
        """
        flattened = flattened or Flattened()
        self._flattened.include(frame.columns, flattened)
        if not frame.height:
            return
        self._keep_source()
        self.rows += frame.height
        self.heights.append(frame.height)
        self._bytes += int(frame.estimated_size())
        frame = frame.select(_portable(n, d) for n, d in frame.schema.items()) if frame.width else frame
        path = self._folder / f"spool-{len(self._parts):05d}.parquet"
        self._parts.append((path, frame.schema))
        self._labels.append(label)
        self._rounded.clear()
        if not frame.width:  # rows without any column are rows
            frame = pl.DataFrame({_NOTHING: pl.repeat(None, frame.height, dtype=pl.Int8, eager=True)})
        self.write(frame, path)
        self._source = (_source_of(path), source) if source is not None else None

    def _keep_source(self) -> None:
        """Write the text of the newest part; while it is the only one, its columns keep their types."""
        if self._source is not None:
            path, text = self._source
            pl.DataFrame({_TEXT: [text]}).write_ipc(path, compression="lz4")
            self._source = None

    def restore_texts(self, read: Callable[[bytes, Mapping[str, pl.DataType]], pl.DataFrame]) -> None:
        """Write the columns that became text anew, as their records write them; the texts of all parts are removed.

        ``read`` makes the columns of these types from the text of a part. Call it after the last ``add``.
        """
        wanted = {name: self.schema[name] for name in self.rewritten}
        if wanted:
            self._keep_source()
        for place, (path, schema) in enumerate(self._parts):
            source = _source_of(path)
            if not source.exists():
                continue
            names = {
                n: t for n, t in wanted.items() if n in schema and not _is_text(schema[n]) and schema[n] != pl.Null
            }
            if names:
                found = read(pl.read_ipc(source)[_TEXT][0], names)
                part = pl.read_parquet(path, glob=False).with_columns(found.get_columns())
                self.write(part, path)
                self._parts[place] = (path, part.schema)
            source.unlink()
        self._source = None
        self._rounded.clear()

    def adopt(self, path: Path, label: str = "") -> None:
        """Include a part that another spool wrote; call it before ``add``."""
        schema = pl.read_parquet_schema(path)
        flattened = Flattened.of(pl.read_parquet_metadata(path))
        if flattened is not None:
            self._flattened.include(flattened.paths, flattened)
        self._parts.append((path, pl.Schema({n: d for n, d in schema.items() if n != _NOTHING})))
        self._labels.append(label)
        self._rounded.clear()
        self.heights.append(int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()))
        self.rows += self.heights[-1]
        self._bytes += _UNPACKED * path.stat().st_size

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        """Write a part with rows of this spool, and with what another spool that adopts it needs to know."""
        metadata = self._flattened.metadata(frame.columns)
        frame.write_parquet(path, compression="lz4", statistics=False, metadata=metadata)

    @property
    def parts(self) -> list[Path]:
        """The files of the parts, in order."""
        return [path for path, _ in self._parts]

    @property
    def labels(self) -> list[str]:
        """The origin of each part."""
        return list(self._labels)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in memory, on average."""
        return self._bytes // max(1, self.rows)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of all parts, in order of first appearance, with the types that unite them."""
        united: dict[str, pl.DataType] = {}
        for _, schema in self._parts:
            for name, dtype in schema.items():
                united[name] = common_type.unite(united[name], dtype) if name in united else dtype
        for name, dtype in united.items():
            if self._would_round(name, dtype):
                united[name] = pl.String()
        for parent in self._flattened.parents & united.keys():
            if united[parent] == pl.Null:  # null here, an object there: the object's columns hold everything
                del united[parent]
        return {name: _without_null(dtype) for name, dtype in united.items()}

    @property
    def blank(self) -> set[str]:
        """The columns that have no value in any part."""
        valued = {name for _, schema in self._parts for name, dtype in schema.items() if dtype != pl.Null}
        return self.schema.keys() - valued

    def _would_round(self, name: str, dtype: pl.DataType) -> bool:
        """Whether whole numbers of a part, also inside lists and objects, would lose digits as floats in ``dtype``."""
        if name not in self._rounded:
            self._rounded[name] = any(
                largest is not None and largest >= common_type.EXACT
                for path, schema in self._parts
                if name in schema
                for end in common_type.largest_integer(pl.col(name), schema[name], dtype)
                for largest in pl.scan_parquet(path, glob=False).select(end).collect().to_series()
            )
        return self._rounded[name]

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
            if len(first) > 1 and any(common_type.disagrees(kind, dtype) for kind in first):
                found[name] = [(label, kind) for kind, label in first.items()]
        return found

    @property
    def rewritten(self) -> set[str]:
        """The columns that become text although some parts hold numbers, lists or objects, which are written anew."""
        parts = [schema for _, schema in self._parts]
        return {
            name
            for name, dtype in self.schema.items()
            if _is_text(dtype) and any(not _is_text(s[name]) and s[name] != pl.Null for s in parts if name in s)
        }

    def scan(self, first: int = 0, last: int | None = None) -> pl.LazyFrame:
        """All rows, or those of some parts, in the order in which they were added, with the columns of all parts.

        Without parts: no rows, no columns.
        """
        schema_of_all = self.schema
        scans = []
        for schema, group in itertools.groupby(self._parts[first:last], key=lambda part: part[1]):
            scans.append(self._scan_as([path for path, _ in group], schema, schema_of_all))
        if not scans or not schema_of_all:
            return pl.LazyFrame(schema=schema_of_all)
        return scans[0] if len(scans) == 1 else pl.concat(scans, how="vertical")

    def part(self, place: int) -> pl.LazyFrame:
        """The rows of one part, with the columns and types of all."""
        path, schema = self._parts[place]
        return self._scan_as([path], schema, self.schema)

    @staticmethod
    def _scan_as(paths: list[Path], schema: pl.Schema, schema_of_all: dict[str, pl.DataType]) -> pl.LazyFrame:
        same = [_convert(name, schema.get(name), dtype) for name, dtype in schema_of_all.items()]
        return pl.scan_parquet(paths, glob=False).with_columns(same).select(list(schema_of_all))


def _source_of(part: Path) -> Path:
    return part.with_suffix(".source")


def _portable(name: str, dtype: pl.DataType) -> pl.Expr:
    """The column in a type that Parquet and the engines that read it know."""
    column = pl.col(name)
    portable = _portable_type(dtype)
    if portable != dtype:
        return column.cast(portable)
    if _has_empty_struct(dtype):
        return json_text(column, dtype).alias(name)
    return column


def _portable_type(dtype: Any) -> Any:
    """``dtype`` with text instead of integers beyond Int64."""
    if dtype == pl.Int128 or dtype == pl.UInt64:
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_portable_type(dtype.inner))
    return pl.Struct({f.name: _portable_type(f.dtype) for f in dtype.fields}) if isinstance(dtype, pl.Struct) else dtype


def _has_empty_struct(dtype: Any) -> bool:
    if isinstance(dtype, pl.Struct):
        return not dtype.fields or any(_has_empty_struct(f.dtype) for f in dtype.fields)
    return isinstance(dtype, pl.List) and _has_empty_struct(dtype.inner)


def _is_text(dtype: Any) -> bool:
    return _is_text(dtype.inner) if isinstance(dtype, pl.List) else dtype == pl.String


def _without_null(dtype: Any) -> pl.DataType:
    """``dtype`` with String instead of Null, which no stored column may have; also inside lists and structs."""
    if dtype == pl.Null:
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(_without_null(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return pl.Struct({f.name: _without_null(f.dtype) for f in dtype.fields})
    return dtype  # type: ignore[no-any-return]


def _convert(name: str, source: Any, target: pl.DataType) -> pl.Expr:
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
